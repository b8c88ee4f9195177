"""Text by any sentence-transformers model, from a local folder or the Hugging Face hub.

Reimers & Gurevych 2019, "Sentence-BERT". The default is all-MiniLM-L6-v2, whose files a package
from the registry carries, so that it works where no hub can be reached.

Weights are read from safetensors. A model that has only ``pytorch_model.bin`` is read too, since
transformers and sentence-transformers both load that with ``weights_only=True``: tensors, never
code. A model that brings code of its own (``trust_remote_code``) is refused.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from encoders import _hub
from encoders._device import pick_device
from encoders._libraries import majors
from encoders.base import EncoderError, Json, Metric, Modality

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

MODALITY: Modality = "text"
PATHS = ("model",)
REVISION = 1
"""To be raised with any change of this file that changes vectors."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "sentence"``.

    Attributes:
        model: a folder that sentence-transformers saved, or a name on the hub. From Python, a
            relative path begins with ``./`` or ``../``.
        revision: a commit, tag or branch on the hub; a commit makes a first download repeatable.
        normalize: give vectors of L2 norm 1. Off, they are as the model's own modules leave them,
            which for all-MiniLM-L6-v2 is norm 1 as well.
        prompt: put before every text, as in ``"passage: "``; by default what the model's own
            configuration names, which is mostly nothing.
        truncate_dim: keep the first so many dimensions (Matryoshka models lose little by it).
        max_tokens: cut texts after so many tokens, special ones counted; by default what the
            model says, 256 for all-MiniLM-L6-v2. See `SentenceEncoder.truncated`.
        dtype: the precision to compute in. The vectors are float32 in any case, but with the two
            short types a vector depends on its batch in the third digit.
        device: ``auto`` (CUDA where there is one), or any device of torch.
        batch_size: texts that run through the model at a time.
    """

    model: str = _hub.MINILM
    revision: str | None = None
    normalize: bool = True
    prompt: str | None = None
    truncate_dim: int | None = None
    max_tokens: int | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"
    batch_size: int = 64


class SentenceEncoder:
    """A sentence-transformers model with its weights loaded and digested."""

    modality: ClassVar[Modality] = "text"
    metric: Metric = "cosine"

    def __init__(self, params: Params) -> None:
        if params.batch_size < 1:
            raise EncoderError(f"batch_size must be at least 1, got {params.batch_size}")
        folder = _hub.locate(params.model, params.revision)
        self._recipe = _recipe(folder, params)
        self._params = params
        # The tokenizer keeps its padding and truncation as its own state: a call at a time.
        self._lock = threading.Lock()
        self._model = _load(folder, params)
        self.batch_size = params.batch_size
        _set_max_tokens(self._model, params)
        self._dim = _kept_dim(params.truncate_dim, len(self._embed(["width"])[0]))

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self._dim

    def recipe(self) -> dict[str, Json]:
        """All that decides the vectors; the files by name and content, never by their place."""
        return dict(self._recipe)

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts: ``(n, dim)`` float32, L2 norm 1 unless ``normalize`` is off."""
        if len(batch) == 0:
            return np.empty((0, self.dim), dtype=np.float32)
        vectors = self._embed(batch)[:, : self.dim]
        if not self._params.normalize:
            return np.ascontiguousarray(vectors)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        # A model of word vectors gives zeros for a text none of whose words it knows.
        unit: NDArray[np.float32] = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
        return unit

    def truncated(self, batch: Sequence[str]) -> int:
        """How many of these texts are longer than the model reads, prompt and all."""
        limit = self._max_tokens()
        if limit is None or len(batch) == 0:
            return 0
        prompt = self._params.prompt
        if prompt is None:
            prompt = self._model.prompts.get(self._model.default_prompt_name) or ""
        with self._lock:
            tokens = self._model.tokenizer(
                [prompt + text for text in batch],
                truncation=False,
                padding=False,
                return_attention_mask=False,
                verbose=False,
            )
        return sum(len(ids) > limit for ids in tokens["input_ids"])

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        # It sorts by length itself, so that short texts are not padded to the longest of all.
        with self._lock:
            found = self._model.encode(
                list(texts),
                prompt=self._params.prompt,
                batch_size=self.batch_size,
                show_progress_bar=False,
                convert_to_tensor=True,
            )
        vectors: NDArray[np.float32] = found.float().cpu().numpy()
        return vectors

    def _max_tokens(self) -> int | None:
        limit = self._model.max_seq_length
        return None if limit is None else int(limit)


def build(params: Params) -> SentenceEncoder:
    """Load a model; the weights of a large one take seconds to read and to digest."""
    return SentenceEncoder(params)


def recipe(params: Params) -> dict[str, Json]:
    """The recipe of the encoder that `build` gives, without loading the model.

    Raises:
        EncoderError: if the model is nowhere to be had.
    """
    return _recipe(_hub.locate(params.model, params.revision), params)


def _recipe(folder: Path, params: Params) -> dict[str, Json]:
    return {
        "kind": "sentence",
        "code": REVISION,
        "files": dict(_hub.digest_files(folder)),
        "normalize": params.normalize,
        "prompt": params.prompt,
        "truncate_dim": params.truncate_dim,
        "max_tokens": params.max_tokens,
        "dtype": params.dtype,
        "libraries": majors("sentence-transformers", "tokenizers", "transformers"),
    }


def _load(folder: Path, params: Params) -> Any:  # noqa: ANN401 - the library ships no types
    import torch
    from safetensors import SafetensorError
    from sentence_transformers import SentenceTransformer

    if params.dtype not in {"float32", "bfloat16", "float16"}:
        raise EncoderError(
            f"dtype must be 'float32', 'bfloat16' or 'float16', got {params.dtype!r}"
        )
    dtype = getattr(torch, params.dtype)
    device = pick_device(params.device)
    with _loading() as report:
        try:
            model = SentenceTransformer(
                str(folder), device=device, local_files_only=True, model_kwargs={"dtype": dtype}
            )
        except UnpicklingError as error:
            # Without the message: torch's advises to load the file with its safety off.
            raise EncoderError(
                f"the pickled weights of {params.model!r} hold more than tensors, which may be "
                "code and is not loaded; get the model as safetensors"
            ) from error
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
            raise EncoderError(
                f"sentence-transformers cannot load {params.model!r}: {error}; expected a folder "
                "or hub repository that SentenceTransformer(...).save made, without code of its own"
            ) from error
    _refuse_made_up_weights(report, params.model)
    if model.modalities != ["text"]:
        # Such a model opens a text that looks like a path or an address as the file behind it.
        raise EncoderError(
            f"{params.model!r} reads {model.modalities}; expected a model that reads text alone"
        )
    for module in list(model)[1:]:
        module.to(dtype)
    return model.eval()


class _Report(logging.Handler):
    """Keeps the messages of a logger."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@contextmanager
def _loading() -> Iterator[list[str]]:
    """Keep the loader's progress bars and chatter off the terminal; give what it reports."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled
    from transformers.utils import logging as hf_logging

    report = _Report()
    library = logging.getLogger("transformers")
    loader = logging.getLogger("transformers.modeling_utils")
    handlers, level, bars = library.handlers, loader.level, not are_progress_bars_disabled()
    library.handlers = [report]
    # A verbosity that the user has lowered must not hide that weights are missing.
    loader.setLevel(logging.WARNING)
    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # the library's omission
    try:
        yield report.messages
    finally:
        library.handlers = handlers
        loader.setLevel(level)
        if bars:
            hf_logging.enable_progress_bar()  # type: ignore[no-untyped-call] # as above


def _refuse_made_up_weights(report: list[str], model: str) -> None:
    """Refuse a model for which transformers drew at random what its file lacks.

    BERT's pooler is let through: checkpoints of masked language models lack it, and sentence
    models pool the tokens themselves.
    """
    rows = [line.split("|") for message in report for line in message.splitlines()]
    missing = [row[0].strip() for row in rows if len(row) > 1 and "MISSING" in row[1]]
    missing = [name for name in missing if "pooler" not in name]
    if missing:
        raise EncoderError(
            f"the weights of {model!r} lack {len(missing)} of the model's parameters, such as "
            f"{missing[0]!r}, which would be random; copy or download the whole model again"
        )


def _set_max_tokens(model: Any, params: Params) -> None:  # noqa: ANN401 - as `_load`
    wanted = params.max_tokens
    if wanted is None:
        return
    if model.max_seq_length is None:
        raise EncoderError(
            f"max_tokens = {wanted} was given, but {params.model!r} reads texts of any length; "
            "remove it"
        )
    least = model.tokenizer.num_special_tokens_to_add() + 1
    most = _positions(model)
    if wanted < least or (most is not None and wanted > most):
        raise EncoderError(
            f"max_tokens must be from {least} to {most or 'any number'} for {params.model!r}, "
            f"got {wanted}"
        )
    model.max_seq_length = wanted


def _positions(model: Any) -> int | None:  # noqa: ANN401 - as `_load`
    """How many tokens the model has positions for; None where it computes them."""
    config = getattr(model.transformers_model, "config", None)
    positions = getattr(config, "max_position_embeddings", None)
    if positions is None:
        return None
    # RoBERTa and its heirs count positions from padding_idx + 1.
    return int(positions) - int(model[0]._infer_flatten_position_offset())  # noqa: SLF001 - nowhere else to be had


def _kept_dim(wanted: int | None, dim: int) -> int:
    if wanted is None:
        return dim
    if not 1 <= wanted <= dim:
        raise EncoderError(
            f"truncate_dim must be from 1 to the model's own {dim} dimensions, got {wanted}"
        )
    return wanted
