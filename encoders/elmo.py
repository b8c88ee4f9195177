"""Text by ELMo: what two LSTMs, one reading forwards and one backwards, make of each token.

Peters et al. 2018, "Deep contextualized word representations". With ``options`` and ``weights`` it
is a published model, read from its own files. Without, a small one of the same make learns from
your records to predict each word from those before it, and from those behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from encoders import _bilm_files, _characters
from encoders._bilm import shapes
from encoders._characters import tokens
from encoders._device import pick_device
from encoders._elmo_params import PATHS, Params
from encoders._hub import sha256
from encoders._learned import Learned, expect
from encoders._libraries import majors
from encoders._reader import Reader
from encoders.abilities import Truncated
from encoders.base import State
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from encoders._bilm import Shape
    from encoders._bilm_training import Predictor
    from encoders.base import Json, Metric, Modality

__all__ = ["MODALITY", "PATHS", "Elmo", "LearnedElmo", "Params", "build", "recipe"]

MODALITY: Modality = "text"
REVISION = 1
"""Raised whenever equal parameters and weights would give other vectors than before."""


class Elmo:
    """A published model: texts to ``(n, 2 * projection)`` float32; zeros for a text of no token."""

    modality: ClassVar[Modality] = "text"
    metric: Metric = "cosine"

    def __init__(self, params: Params) -> None:
        self._params = params
        self.batch_size = params.batch_size
        options, file = _files(params)
        shape = _bilm_files.read_shape(options)
        self._chosen = params.chosen(shape.depth)
        self._recipe = _of_files(params)
        self._reader = _reader(_bilm_files.read_weights(file, shape), shape, params.device)

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self._reader.dim

    def recipe(self) -> dict[str, Json]:
        """Parameters, code, tokens, and the digests of both files."""
        return dict(self._recipe)

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts: ``(n, dim)`` float32, as the network leaves them, not normalised."""
        params = self._params
        return self._reader.pooled(batch, self._chosen, params.pooling, params.max_tokens)

    def truncated(self, batch: Sequence[str]) -> Truncated:
        """How much of these texts the model does not read."""
        return Truncated.of([len(tokens(text)) for text in batch], self._params.max_tokens)


@dataclass(frozen=True)
class _Learnt:
    predictor: Predictor
    figures: Json


class LearnedElmo(Learned[_Learnt]):
    """A small model, learned: texts to ``(n, 2 * projection)`` float32; zeros for no token."""

    modality: ClassVar[Modality] = "text"
    metric: Metric = "cosine"
    fit_size = 20_000
    kind = "elmo"
    nothing = "has learned no model yet"

    def __init__(self, params: Params) -> None:
        super().__init__()
        self._params = params
        self.batch_size = params.batch_size
        self._shape = params.shape()
        self._chosen = params.chosen(self._shape.depth)

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return 2 * self._shape.projection

    def fit(self, sample: Sequence[str], rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Learn to predict words, until the held-out texts are predicted no better.

        Raises:
            EncoderError: if there are too few texts with words, or the fit diverges.
        """
        from encoders._bilm_training import learn
        from encoders._corpus import Objective
        from encoders._descent import Descent
        from encoders._repeatable import one_core

        params = self._params
        objective = Objective(
            min_count=params.min_count,
            vocabulary=params.vocabulary,
            noise=params.noise,
            held_out=params.held_out,
            dropout=params.dropout,
            descent=Descent(params.epochs, params.rate, params.decay),
        )
        cut = [tokens(text)[: params.max_tokens] for text in sample]
        device = pick_device(params.device)
        with one_core():
            predictor, figures = learn(cut, self._shape, objective, rng, device, watch)
        self._take(_Learnt(predictor, figures))

    def _written(self, model: _Learnt) -> State:
        """The weights by name, float32, and the words that can be predicted."""
        known = model.predictor
        weights = {name: weight.cpu().numpy() for name, weight in known.reader.weights.items()}
        return State(weights | known.lexicon.arrays(), {"figures": model.figures})

    def _read(self, state: State) -> _Learnt:
        from encoders._bilm_training import Predictor
        from encoders._lexicon import Lexicon

        lexicon = Lexicon.restored(state.arrays)
        expected = shapes(self._shape) | {
            "word.table": (lexicon.size, self._shape.projection),
            "word.bias": (lexicon.size,),
        }
        weights = {n: array for n, array in state.arrays.items() if n not in lexicon.arrays()}
        expect(State(weights, state.meta), expected)
        reader = _reader(weights, self._shape, self._params.device)
        table, bias = reader.weights["word.table"], reader.weights["word.bias"]
        return _Learnt(Predictor(reader, lexicon, table, bias), state.meta.get("figures"))

    def recipe(self) -> dict[str, Json]:
        """Parameters, code, tokens, and the digest of what was learned (None before)."""
        return {**_common(self._params), **self._params.learning(), "state": self._digest}

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts: ``(n, dim)`` float32, as the network leaves them, not normalised.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        params, reader = self._params, self._known().predictor.reader
        return reader.pooled(batch, self._chosen, params.pooling, params.max_tokens)

    def truncated(self, batch: Sequence[str]) -> Truncated:
        """How much of these texts the model does not read."""
        return Truncated.of([len(tokens(text)) for text in batch], self._params.max_tokens)

    def perplexity(self, texts: Sequence[str]) -> tuple[float, float]:
        """How many words it is as if it had to choose from, forwards and backwards.

        Over the whole vocabulary, the end of each text and unknown words counted as words.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        cut = [tokens(text)[: self._params.max_tokens] for text in texts]
        forward, backward = self._known().predictor.losses(cut)
        return float(np.exp(forward)), float(np.exp(backward))


def build(params: Params) -> Elmo | LearnedElmo:
    """Build the encoder; a published model takes seconds to read and to digest.

    Raises:
        EncoderError: if files are missing or do not fit, or there is no such layer.
    """
    return LearnedElmo(params) if params.options is None else Elmo(params)


def recipe(params: Params) -> dict[str, Json] | None:
    """The recipe of a published model, without loading it; None for one that learns.

    Raises:
        EncoderError: if a file is missing.
    """
    return None if params.options is None else _of_files(params)


def _of_files(params: Params) -> dict[str, Json]:
    options, weights = _files(params)
    files: dict[str, Json] = {"options": sha256(options), "weights": sha256(weights)}
    return {**_common(params), "files": files}


def _common(params: Params) -> dict[str, Json]:
    return {
        "kind": "elmo",
        "code": REVISION,
        "tokens": _characters.REVISION,
        **params.reading(),
        "libraries": majors("torch"),
    }


def _files(params: Params) -> tuple[Path, Path]:
    options = _bilm_files.located(str(params.options), "options")
    return options, _bilm_files.located(str(params.weights), "weights")


def _reader(weights: Mapping[str, NDArray[Any]], shape: Shape, device: str) -> Reader:
    import torch

    place = pick_device(device)
    return Reader(
        {name: torch.tensor(array).to(place) for name, array in weights.items()}, shape, place
    )
