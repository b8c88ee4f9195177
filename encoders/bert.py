"""Text by any transformer encoder, pooled as asked, from a local folder or the hub.

Devlin et al. 2019, "BERT: Pre-training of Deep Bidirectional Transformers". Any checkpoint that
transformers' ``AutoModel`` and ``AutoTokenizer`` load is read: BERT, RoBERTa, DistilBERT, MPNet,
DeBERTa, ModernBERT and their like, the encoder of a T5, and decoders such as GPT-2. A folder of
sentence-transformers gives its transformer, without what that library puts behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np

from encoders import _cached, _hub, _layers
from encoders._checkpoint import Checkpoint, check_limit
from encoders._code import check_code
from encoders._device import pick_device
from encoders._libraries import majors
from encoders._precision import Dtype, resolved
from encoders.abilities import Truncated
from encoders.base import EncoderError, EncoderUsageError, Json, Metric, Modality

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from encoders._checkpoint import Pooled

MODALITY: Modality = "text"
PATHS = ("model",)
REVISION = 1
"""To be raised with any change of this file or `_checkpoint` that changes vectors."""

_POOLINGS = ("mean", "cls", "max", "last")
_PROBES = ("stone", "the mill ground the grain to flour, and the flour was fine. " * 4)
_SLACK = {"float32": 1e-3, "bfloat16": 0.1, "float16": 0.05}
"""How much padding may change a vector by rounding, as a share of its largest entry."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "bert"``.

    Attributes:
        model: a folder that ``save_pretrained`` filled, or a name on the hub. From Python, a
            relative path begins with ``./`` or ``../``.
        revision: a commit, tag or branch on the hub; a commit makes a first download repeatable.
        pooling: ``mean`` or ``max`` of the vectors of all tokens, that of the first (``cls``), or
            that of the ``last``, which alone has seen the whole text in a decoder.
        layers: which layers are read: 0 is the embeddings, 1 the first layer, -1 the last. Of a
            list, each token's vectors are combined before they are pooled.
        combine: ``mean`` of the layers, or their vectors side by side (``concat``).
        normalize: give vectors of L2 norm 1.
        prompt: put before every text.
        max_tokens: cut texts after so many tokens, special ones counted; by default what the
            model says, or 512 where it has no limit. See `BertEncoder.truncated`.
        dtype: the precision to compute in; ``auto`` is bfloat16 on CUDA and on processors that
            compute in it, else float32. The vectors are float32 in any case, but with the two
            short types a vector depends on its batch in the third digit.
        device: ``auto`` (CUDA where there is one), or any device of torch.
        batch_size: texts that run through the model at a time, at most.
        batch_tokens: tokens that do, padding counted; by default 1024 on a CPU, whose caches hold
            no more, and any number elsewhere. Neither of the two decides a vector.

    Raises:
        ValueError: if a value is none of those above.
    """

    model: str
    revision: str | None = None
    pooling: Literal["mean", "cls", "max", "last"] = "mean"
    layers: int | tuple[int, ...] = -1
    combine: _layers.Combine = "mean"
    normalize: bool = True
    prompt: str = ""
    max_tokens: int | None = None
    dtype: Dtype = "float32"
    device: str = "auto"
    batch_size: int = 32
    batch_tokens: int | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.batch_tokens is not None and self.batch_tokens < 1:
            raise ValueError(f"batch_tokens must be at least 1, got {self.batch_tokens}")
        choices = {
            "pooling": _POOLINGS,
            "combine": get_args(_layers.Combine),
            "dtype": get_args(Dtype),
        }
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
        if not isinstance(self.layers, int):
            object.__setattr__(self, "layers", _layers.asked(self.layers))


class BertEncoder:
    """A transformer with its weights loaded and digested, and a pooling."""

    modality: ClassVar[Modality] = "text"
    metric: Metric = "cosine"

    def __init__(self, params: Params) -> None:
        folder = _located(params)
        self._recipe = _recipe(folder, params)
        self._params = params
        self.batch_size = params.batch_size
        self._dtype = resolved(params.dtype, params.device)
        device = pick_device(params.device)
        self._budget = params.batch_tokens or _cached.bound(device, _cached.TOKENS)
        self._checkpoint = Checkpoint(folder, params.model, device, self._dtype)
        self._limit = check_limit(self._checkpoint, params.max_tokens)
        self._layers = _layers.LAST
        self._set_layers()
        if params.pooling == "cls" and not self._checkpoint.starts_with_cls():
            raise EncoderUsageError(
                f'pooling = "cls" was given, but the tokenizer of {params.model!r} puts no [CLS] '
                'first; use "mean", or "last" for a decoder'
            )
        self._dim = self._probe()

    @property
    def dim(self) -> int:
        """The width of the vectors: that of the model, times the layers that are put together."""
        return self._dim

    def recipe(self) -> dict[str, Json]:
        """All that decides the vectors; the files by name and content, never by their place."""
        return dict(self._recipe)

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts: ``(n, dim)`` float32, L2 norm 1 unless ``normalize`` is off."""
        vectors = np.empty((len(batch), self.dim), dtype=np.float32)
        if len(batch) == 0:
            return vectors
        tokens = self._checkpoint.tokens(self._prompted(batch), self._limit)
        # By length, so that short texts are not padded to the longest of all.
        parts = [*_cached.parts([*map(len, tokens)], self.batch_size, self._budget)]
        given = [[tokens[row] for row in rows] for rows in parts]
        found = self._checkpoint.turns.mapped(self._embed, given)
        for rows, made in zip(parts, found, strict=True):
            vectors[rows] = made
        return vectors

    def together(self, batch: Sequence[str]) -> list[list[int]]:
        """The texts that run through the model together, by their places in the batch."""
        tokens = self._checkpoint.tokens(self._prompted(batch), self._limit) if batch else []
        return [*_cached.parts([*map(len, tokens)], self.batch_size, self._budget)]

    def truncated(self, batch: Sequence[str]) -> Truncated:
        """How much of these texts the model does not read, prompt and all."""
        if len(batch) == 0:
            return Truncated()
        tokens = self._checkpoint.tokens(self._prompted(batch), None)
        return Truncated.of([len(row) for row in tokens], self._limit)

    def _prompted(self, texts: Sequence[str]) -> list[str]:
        return [self._params.prompt + text for text in texts]

    def _embed(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        run = self._checkpoint.run(tokens, every_layer=self._layers != _layers.LAST)
        pooled = _pool(self._combined(run), run.mask, self._params.pooling)
        vectors: NDArray[np.float32] = pooled.cpu().numpy()
        if self._params.normalize:
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            vectors = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
        return vectors

    def _combined(self, run: Pooled) -> torch.Tensor:
        return _layers.combined(
            [run.layers[layer].float() for layer in self._layers], self._params.combine
        )

    def _set_layers(self) -> None:
        asked = _layers.asked(self._params.layers)
        if asked != _layers.LAST:
            probe = self._checkpoint.tokens(_PROBES[:1], self._limit)
            known = len(self._checkpoint.run(probe, every_layer=True).layers)
            self._layers = _layers.resolved(asked, known, self._params.model)

    def _probe(self) -> int:
        """The width of the vectors; refuses a model for which padding decides what they are.

        Some architectures (FNet, Nyströmformer, ConvBERT …) mix the padding into a text.
        """
        short, long = self._checkpoint.tokens(_PROBES, self._limit)
        alone = self._embed([short])
        if self.batch_size > 1 and len(long) > len(short):
            padded = self._embed([short, long])[:1]
            off = float(np.abs(padded - alone).max() / max(float(np.abs(alone).max()), 1e-12))
            if not off <= _SLACK[self._dtype]:
                raise EncoderError(
                    f"the vectors of {self._params.model!r} depend on padding: that of a short "
                    f"text changes by {off:.2g} of its size beside a longer one; set "
                    "batch_size = 1, so that nothing is padded, or choose another model"
                )
        return int(alone.shape[1])


def _pool(vectors: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """One vector a text ``(n, width)`` of those of its tokens ``(n, tokens, width)``."""
    import torch

    if pooling == "cls":
        return vectors[:, 0]
    if pooling == "last":
        return vectors[torch.arange(len(vectors), device=mask.device), mask.sum(dim=1) - 1]
    real = mask.unsqueeze(-1)
    if pooling == "max":
        return vectors.masked_fill(~real, -torch.inf).max(dim=1).values
    return vectors.masked_fill(~real, 0).sum(dim=1) / mask.sum(dim=1, keepdim=True)


def build(params: Params) -> BertEncoder:
    """Load a model; the weights of a large one take seconds to read and to digest.

    Raises:
        EncoderError: if the model is not there, is not whole, or is none that can be pooled so.
    """
    return BertEncoder(params)


def recipe(params: Params) -> dict[str, Json]:
    """The recipe of the encoder that `build` gives, without loading the model.

    Raises:
        EncoderError: if the model is nowhere to be had.
    """
    return _recipe(_located(params), params)


def _located(params: Params) -> Path:
    folder = _hub.locate(params.model, params.revision, checkpoint=True)
    check_code(folder, trusted=False)
    return _hub.transformer_folder(folder)


def _recipe(folder: Path, params: Params) -> dict[str, Json]:
    layers = _layers.asked(params.layers)
    return {
        "kind": "bert",
        "code": REVISION,
        "files": dict(_hub.digest_checkpoint(folder)),
        "pooling": params.pooling,
        "layers": list(layers),
        "combine": params.combine if len(layers) > 1 else None,
        "normalize": params.normalize,
        "prompt": params.prompt,
        "max_tokens": params.max_tokens,
        "dtype": resolved(params.dtype, params.device),
        "libraries": majors("tokenizers", "transformers"),
    }
