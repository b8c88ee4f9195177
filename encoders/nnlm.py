"""Word vectors by a neural language model, learned from your records.

Bengio, Ducharme, Vincent & Jauvin 2003, "A Neural Probabilistic Language Model", the first of
their kind: a word's vector is what helps most to predict the next word. See `encoders._nnlm` for
the network; texts become the mean of their words, or SIF.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from unicodedata import normalize

from encoders import _pooling, _words
from encoders._device import pick_device
from encoders._learned import Learned, expect
from encoders._libraries import majors
from encoders._pooling import METHODS, Method, Pool, Sif
from encoders._ranges import check_counts, check_dropout, check_held_out, check_steps
from encoders._words import words
from encoders._wordtable import Table
from encoders.base import State
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from encoders._nnlm import Model, Sizes
    from encoders.base import Json, Metric, Modality

MODALITY: Modality = "text"
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""

_COUNTS = ("dim", "context", "hidden", "vocabulary", "min_count", "noise", "epochs", "batch_size")


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "nnlm"``.

    Attributes:
        dim: the width of a word's vector.
        context: how many words before it a word is predicted from.
        hidden: width of the tanh layer.
        direct: whether the word vectors go to the output directly too.
        vocabulary: how many words there are at most; all others are one unknown word.
        min_count: how often a word must stand in the sample.
        lowercase: take texts in lower case.
        noise: words drawn a batch, in place of the whole vocabulary.
        held_out: share of the sample that is not learned from, to know when to stop.
        dropout: share of the hidden layer that is left out while learning.
        epochs: at most so many passes over the sample.
        rate: learning rate at the first step.
        decay: weight decay.
        pooling: words to texts, ``mean`` or ``sif``.
        sif_a: words much more frequent than this weigh little in ``sif``.
        normalize: give vectors of L2 norm 1.
        device: where to learn: ``auto`` (CUDA where there is one), or any device of torch.
        batch_size: texts encoded at a time.

    Raises:
        ValueError: if a value is out of its range.
    """

    dim: int = 64
    context: int = 3
    hidden: int = 128
    direct: bool = False
    vocabulary: int = 10_000
    min_count: int = 3
    lowercase: bool = True
    noise: int = 1024
    held_out: float = 0.05
    dropout: float = 0.4
    epochs: int = 6
    rate: float = 0.002
    decay: float = 0.05
    pooling: Method = "mean"
    sif_a: float = 1e-3
    normalize: bool = True
    device: str = "auto"
    batch_size: int = 1024

    def __post_init__(self) -> None:
        check_counts(self, _COUNTS)
        check_held_out(self.held_out)
        check_dropout(self.dropout)
        check_steps(self.rate, self.decay)
        if self.pooling not in METHODS:
            raise ValueError(f"pooling must be one of {', '.join(METHODS)}, got {self.pooling!r}")
        if not 0 < self.sif_a < 1:
            raise ValueError(f"sif_a must be between 0 and 1, got {self.sif_a}")

    def sizes(self) -> Sizes:
        """Those of the network."""
        from encoders._nnlm import Sizes

        return Sizes(self.dim, self.context, self.hidden, self.direct)


@dataclass(frozen=True)
class _Learnt:
    """A model, and what documents are pooled by: its word table, with SIF or without."""

    model: Model
    table: Table
    pool: Pool
    sif: Sif | None
    figures: Json


class Nnlm(Learned[_Learnt]):
    """Texts to ``(n, dim)`` float32; zeros for a text without a known word."""

    modality: ClassVar[Modality] = "text"
    metric: Metric = "cosine"
    fit_size = 50_000
    kind = "nnlm"
    nothing = "has learned no model yet"

    def __init__(self, params: Params) -> None:
        super().__init__()
        self._params = params
        self.batch_size = params.batch_size

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self._params.dim

    def fit(self, sample: Sequence[str], rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Learn to predict words, until the held-out texts are predicted no better.

        Raises:
            EncoderError: if there are too few texts with words, no word is frequent enough, or
                the fit diverges.
        """
        from encoders._corpus import Objective
        from encoders._descent import Descent
        from encoders._nnlm import learn

        params = self._params
        objective = Objective(
            min_count=params.min_count,
            vocabulary=params.vocabulary,
            noise=params.noise,
            held_out=params.held_out,
            dropout=params.dropout,
            descent=Descent(params.epochs, params.rate, params.decay),
        )
        device = pick_device(params.device)
        model, figures = learn(self._cut(sample), params.sizes(), objective, rng, device, watch)
        look = partial(_table(model).look, lowercase=params.lowercase)
        sif = Sif.learn(sample, look, params.sif_a) if params.pooling == "sif" else None
        self._take(self._learnt(model, sif, figures))

    def _written(self, model: _Learnt) -> State:
        """The weights as the paper names them, float32, the words, and what SIF learned."""
        weights = model.model.weights
        arrays: dict[str, NDArray[Any]] = {n: weight.cpu().numpy() for n, weight in weights.items()}
        arrays |= model.model.lexicon.arrays()
        if model.sif is not None:
            arrays |= model.sif.arrays()
        return State(arrays, {"figures": model.figures})

    def _read(self, state: State) -> _Learnt:
        import torch

        from encoders._lexicon import Lexicon
        from encoders._nnlm import Model

        lexicon = Lexicon.restored(state.arrays)
        sizes = self._params.sizes()
        expected = sizes.shapes(lexicon.size)
        weighed = {name: array for name, array in state.arrays.items() if name in expected}
        expect(State(weighed, state.meta), expected)
        sif = None
        if self._params.pooling == "sif":
            sif = Sif.restored(state.arrays, self._params.sif_a, self.dim)
        device = pick_device(self._params.device)
        weights = {name: torch.tensor(state.arrays[name], device=device) for name in expected}
        return self._learnt(Model(sizes, lexicon, weights), sif, state.meta.get("figures"))

    def recipe(self) -> dict[str, Json]:
        """Parameters, code, words, and the digest of what was learned (None before)."""
        params: dict[str, Json] = asdict(self._params)
        for name in ("device", "batch_size"):
            del params[name]
        if self._params.pooling == "mean":
            del params["sif_a"]
        return {
            "kind": "nnlm",
            "code": [REVISION, _pooling.REVISION, _words.REVISION],
            "params": params,
            "libraries": majors("torch"),
            "state": self._digest,
        }

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts: ``(n, dim)`` float32, zeros for a text without a known word.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        return self._known().pool.encode(batch)

    def vocabulary(self) -> tuple[Sequence[str], NDArray[np.float32]]:
        """The words and their vectors ``(v, dim)``, the most frequent first."""
        table = self._known().table
        return table.words, table.vectors.copy()

    def word(self, word: str) -> NDArray[np.float32] | None:
        """The vector ``(dim,)`` of a word, in lower case where texts are; None if unknown."""
        spelt = normalize("NFC", word.lower() if self._params.lowercase else word)
        vector = self._known().table.word(spelt)
        return None if vector is None else vector.copy()

    def perplexity(self, texts: Sequence[str]) -> float:
        """How many words it is as if the model had to choose from, for each word of some texts.

        Over the whole vocabulary, the end of each text and unknown words counted as words.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        from math import exp

        return exp(self._known().model.loss(self._cut(texts)))

    def _cut(self, texts: Sequence[str]) -> list[list[str]]:
        return [words(text, lowercase=self._params.lowercase) for text in texts]

    def _learnt(self, model: Model, sif: Sif | None, figures: Json) -> _Learnt:
        params, table = self._params, _table(model)
        look = partial(table.look, lowercase=params.lowercase)
        pool = Pool.of(len(table.words), params.dim, look, sif, normalize=params.normalize)
        return _Learnt(model, table, pool, sif, figures)


def _table(model: Model) -> Table:
    vectors = model.weights["C"].cpu().numpy()
    return Table(model.lexicon.words, vectors[-len(model.lexicon.words) :])


def build(params: Params) -> Nnlm:
    """Build the encoder; it must be fitted or restored before it encodes."""
    return Nnlm(params)
