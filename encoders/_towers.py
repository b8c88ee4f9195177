"""Models with a tower for texts and one for something else, trained into one space.

Each tower ends in a projection; the cosine of two projections says how well the two belong
together. Only models are read whose towers are known to stand alone: others attend from one
modality to the other, or want their texts in a shape of their own. None of them keeps anything
between calls, so that parts of a batch run side by side (`encoders._streams`).
"""

from __future__ import annotations

import hashlib
import inspect
import json
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from encoders import _cached, _streams
from encoders._device import moved
from encoders._hub import digest_checkpoint
from encoders._loading import loading_checkpoint
from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

T = TypeVar("T")

SPACE = 1
"""To be raised with any change that puts vectors of equal weights into another space."""

_NOTHING_UNUSED = "no such parameter"
"""Poolers are part of these towers, so none may be missing."""

_WEIGHTS = (".safetensors", ".bin")
_ROWS = {"cuda": 64}
_FEWEST = 8
_A_STREAM = 4
"""Images or recordings at a time on a processor: measured, as fast as more, and a batch is shared
out among more threads."""
_SLACK = 1e-3
"""How much padding may change a float32 vector by rounding, as a share of its largest entry."""

_PROBES = ("stone", "the mill ground the grain to flour, and the flour was fine. " * 20)


@dataclass(frozen=True)
class Texts:
    """How a type of model wants its texts.

    Attributes:
        length: tokens that it was trained on at most, special ones counted.
        padded: whether a shorter text is padded to that many, because the model sees the padding.
    """

    length: int
    padded: bool = False


def files_recipe(folder: Path, *, normalize: bool) -> dict[str, Any]:
    """What a recipe says of a checkpoint: its files by their digests, and its space."""
    files = digest_checkpoint(folder)
    decide = {
        name: digest
        for name, digest in files.items()
        if name == "config.json" or name.endswith(_WEIGHTS)
    }
    told = json.dumps([SPACE, sorted(decide.items()), normalize])
    return {"files": dict(files), "space": hashlib.sha256(told.encode()).hexdigest()}


class Towers:
    """A checkpoint whose every weight was in its files, on its device."""

    def __init__(
        self, folder: Path, name: str, types: Mapping[str, Texts], device: str, dtype: str
    ) -> None:
        """Load the model and its tokenizer.

        Args:
            folder: of the checkpoint.
            name: as the user called it, for errors.
            types: the model types that are read, and how they want their texts.
            device: of torch.
            dtype: a torch type's name.

        Raises:
            EncoderError: if it cannot be loaded whole, is of another type, or its texts are not
                told apart from their padding.
        """
        self.name = name
        self._tokenizer, self.model = _load(folder, name, types, dtype)
        self.model.to(device)
        self._device, self._short = device, dtype != "float32"
        self._rows = _ROWS.get(device.partition(":")[0], _FEWEST)
        self._texts = types[self.model.config.model_type]
        # The tokenizer keeps its padding and truncation as its own state: a call at a time.
        self._lock = threading.Lock()
        positions = getattr(self.model.config.text_config, "max_position_embeddings", None)
        known = (self._texts.length, positions, self._tokenizer.model_max_length)
        self.limit = min(int(n) for n in known if n)
        self.dim = self._probe()

    @property
    def scale(self) -> float:
        """What cosines are multiplied by before a softmax over them, as the model has learned."""
        for name in ("logit_scale", "logit_scale_a"):
            if hasattr(self.model, name):
                return float(getattr(self.model, name).detach().float().exp())
        return 1 / float(self.model.temperature.detach().float())

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special ones counted, before any are cut."""
        return [len(row) for row in self._tokens(texts, None)]

    def texts(self, texts: Sequence[str], batch_size: int) -> NDArray[np.float32]:
        """Texts by the text tower, ``(n, dim)`` float32, not yet of norm 1."""
        tokens = self._tokens(texts, self.limit)
        if self._short:
            parts = [*_cached.parts([*map(len, tokens)], self._rows, None)]
        else:
            sizes = [self.limit if self._texts.padded else len(row) for row in tokens]
            budget = _cached.bound(self._device, _cached.TOKENS)
            parts = [*_cached.parts(sizes, batch_size, budget)]
        given = [[tokens[row] for row in part] for part in parts]
        found = np.empty((len(tokens), self.dim), np.float32)
        made = _streams.mapped(self._text_rows, given, self._device)
        for part, rows in zip(parts, made, strict=True):
            found[part] = rows
        return found

    def run_each(
        self,
        features: Callable[..., Any],
        make: Callable[[list[T]], Mapping[str, torch.Tensor]],
        records: Iterable[T],
        batch_size: int,
    ) -> NDArray[np.float32]:
        """Rows of one of the model's towers: ``(n, dim)`` float32.

        Args:
            features: such as ``model.get_image_features``.
            make: what it takes of some records, a row an entry of each tensor; floats are brought
                to its type. Called by several threads at once.
            records: at least one.
            batch_size: of them that run at a time, at most.
        """
        # In a short type they are filled up to so many in any case.
        few = self._rows if self._short else _A_STREAM
        at_a_time = min(batch_size, _cached.bound(self._device, few) or batch_size)
        return np.concatenate(
            _streams.mapped(
                lambda part: self._filled(features, make(part)),
                _cached.in_parts(records, at_a_time),
                self._device,
            )
        )

    def _filled(
        self, features: Callable[..., Any], given: Mapping[str, torch.Tensor]
    ) -> NDArray[np.float32]:
        """In a short type as many rows run at a time whatever there are, fillers among them.

        The last digit of a matrix product depends on the shapes of its matrices.
        """
        import torch

        if not self._short:
            return self._run(features, given)
        n = len(next(iter(given.values())))
        parts = []
        for start in range(0, n, self._rows):
            part = {key: value[start : start + self._rows] for key, value in given.items()}
            real = min(self._rows, n - start)
            fill = [0] * (self._rows - real)
            filled = {key: torch.cat([value, value[fill]]) for key, value in part.items()}
            parts.append(self._run(features, filled)[:real])
        return np.concatenate(parts)

    def _run(
        self, features: Callable[..., Any], given: Mapping[str, torch.Tensor]
    ) -> NDArray[np.float32]:
        import torch

        dtype = self.model.dtype
        typed = {
            key: value.to(dtype) if value.is_floating_point() else value
            for key, value in given.items()
        }
        with torch.inference_mode():
            rows: NDArray[np.float32] = (
                features(**moved(typed, self._device)).pooler_output.float().cpu().numpy()
            )
        return rows

    def _text_rows(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        whole = self._texts.padded or self._short
        with self._lock:
            padded = self._tokenizer.pad(
                {"input_ids": [list(row) for row in tokens]},
                padding="max_length" if whole else "longest",
                max_length=self.limit,
                return_tensors="pt",
                verbose=False,
            )
        takes = inspect.signature(self.model.get_text_features).parameters
        given = {key: value for key, value in padded.items() if key in takes}
        return self._filled(self.model.get_text_features, given)

    def _tokens(self, texts: Sequence[str], limit: int | None) -> list[list[int]]:
        with self._lock:
            found: list[list[int]] = self._tokenizer(
                list(texts),
                truncation=limit is not None,
                max_length=limit,
                padding=False,
                return_attention_mask=False,
                return_token_type_ids=False,
                verbose=False,
            )["input_ids"]
        nothing = self._tokenizer.pad_token_id
        return [ids or [int(nothing)] for ids in found]

    def _probe(self) -> int:
        """The width of the vectors; refuses a text tower that takes padding for text."""
        short, long = self._tokens(_PROBES, self.limit)
        try:
            alone = self._text_rows([short])
            beside = self._text_rows([short, long])[:1]
        except (TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            raise EncoderError(
                f"the text tower of {self.name!r} cannot be run on {self.limit} tokens ({error}); "
                "the model and its tokenizer do not belong together: copy both from one place"
            ) from error
        off = float(np.abs(beside - alone).max() / max(float(np.abs(alone).max()), 1e-12))
        if not self._short and not off <= _SLACK:
            raise EncoderError(
                f"the text vectors of {self.name!r} depend on padding: that of a short text "
                f"changes by {off:.2g} of its size beside a longer one; its tokenizer does not "
                "mark what is padding. Save it anew with save_pretrained, or choose another model"
            )
        return int(alone.shape[1])


def _load(folder: Path, name: str, types: Mapping[str, Texts], dtype: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    local = {"local_files_only": True, "trust_remote_code": False}
    with loading_checkpoint(folder, name, "a model and its processor", _NOTHING_UNUSED):
        config = AutoConfig.from_pretrained(folder, **local)
        if config.model_type not in types:
            raise EncoderError(
                f"{name!r} is of type {config.model_type!r}; expected one of "
                f"{', '.join(sorted(types))}, whose towers stand alone and share a space"
            )
        tokenizer = AutoTokenizer.from_pretrained(folder, **local)
        model = AutoModel.from_pretrained(
            folder, config=config, dtype=getattr(torch, dtype), **local
        )
    if not set(tokenizer.get_vocab()).difference(tokenizer.all_special_tokens):
        raise EncoderError(
            f"{name!r} has no vocabulary: expected tokenizer.json, vocab.json with merges.txt, or "
            "the like beside its weights; save the processor there too "
            "(processor.save_pretrained(folder))"
        )
    if tokenizer.pad_token_id is None:
        raise EncoderError(
            f"the tokenizer of {name!r} names no token for padding; save the one that the model "
            "was trained with beside it (tokenizer.save_pretrained(folder))"
        )
    return tokenizer, model.eval()
