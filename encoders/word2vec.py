"""Word2Vec: words are near each other that stand among the same words. Learned or from a file.

Mikolov, Chen, Corrado & Dean 2013, "Efficient Estimation of Word Representations in Vector Space"
(skip-gram and CBOW), and Mikolov et al. 2013, "Distributed Representations of Words and Phrases
and their Compositionality" (negative sampling). By gensim (Řehůřek & Sojka 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

from encoders import _gensim, _wordvectors
from encoders._ranges import check_counts
from encoders._wordtable import Table
from encoders._wordvectors import Shared, WordVectors

if TYPE_CHECKING:
    import numpy as np

    from encoders.base import Json, Modality
    from encoders.learning import Watch

MODALITY: Modality = "text"
PATHS = ("vectors",)

Algorithm: TypeAlias = Literal["skipgram", "cbow"]
ALGORITHMS: tuple[Algorithm, ...] = ("skipgram", "cbow")


@dataclass(frozen=True)
class Params(Shared):
    """The keys of ``[encoders.NAME]``, besides those of `encoders._wordvectors.Shared`.

    Attributes:
        algorithm: ``skipgram``, which is better for few texts, or ``cbow``, which is faster.
        dim: the width of the vectors.
        window: how many words to each side count as near, at most.
        min_count: leave out words that are rarer in the sample.
        negative: drawn words that each near word is told from.
        subsample: words of a share above this are left out now and then; 0 for never.
        epochs: how often the sample is gone through.
        rate: the learning rate at the beginning; it falls evenly.

    Raises:
        ValueError: if a value is out of its range, or does not go with another.
    """

    algorithm: Algorithm = "skipgram"
    dim: int = 100
    window: int = 5
    min_count: int = 5
    negative: int = 5
    subsample: float = 1e-3
    epochs: int = 10
    rate: float = 0.025

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self)


def check(params: Params) -> None:
    """Refuse values that gensim would not.

    Raises:
        ValueError: naming the first of them.
    """
    check_counts(params, ("dim", "window", "min_count", "negative", "epochs"))
    if params.algorithm not in ALGORITHMS:
        raise ValueError(
            f"algorithm must be one of {', '.join(ALGORITHMS)}, got {params.algorithm!r}"
        )
    if not 0 <= params.subsample < 1:
        raise ValueError(f"subsample must be from 0 to below 1, got {params.subsample}")
    if not params.rate > 0:  # NaN too
        raise ValueError(f"rate must be above 0, got {params.rate}")


def settings(params: Params, rng: np.random.Generator) -> dict[str, object]:
    """The keywords of gensim's models.

    One worker: with several, the threads' updates race, and no two fits are equal. Gensim's
    ``hashfxn``, which is salted, no longer seeds vectors: all come from the one seed.
    """
    return {
        "sg": int(params.algorithm == "skipgram"),
        "vector_size": params.dim,
        "window": params.window,
        "min_count": params.min_count,
        "negative": params.negative,
        "sample": params.subsample,
        "alpha": params.rate,
        "seed": _gensim.seed_of(rng),
        "workers": 1,
    }


def train(
    params: Params, texts: list[list[str]], rng: np.random.Generator, watch: Watch
) -> tuple[Table, dict[str, Json]]:
    """Learn a table, see `encoders._wordvectors.Train`."""
    from gensim.models import Word2Vec

    model = Word2Vec(**settings(params, rng))
    figures = _gensim.trained(model, texts, params.epochs, watch)
    return Table(tuple(model.wv.index_to_key), model.wv.vectors), figures


def build(params: Params) -> WordVectors:
    """Build the encoder; it must be fitted, unless its vectors come from a file."""
    return _wordvectors.build("word2vec", params, partial(train, params), "gensim")


def recipe(params: Params) -> dict[str, Json] | None:
    """The recipe of the encoder that `build` gives; None where it has to learn."""
    return _wordvectors.quick_recipe("word2vec", params, "gensim")
