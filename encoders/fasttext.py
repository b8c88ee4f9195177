"""FastText: Word2Vec over the subwords of words, so that unseen words have vectors too.

Bojanowski, Grave, Joulin & Mikolov 2017, "Enriching Word Vectors with Subword Information". By
gensim (Řehůřek & Sojka 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from encoders import _gensim, _wordvectors, word2vec
from encoders._ranges import check_counts
from encoders._wordtable import Subwords, Table

if TYPE_CHECKING:
    import numpy as np

    from encoders._wordvectors import WordVectors
    from encoders.base import Json, Modality
    from encoders.learning import Watch

MODALITY: Modality = "text"
PATHS = ("vectors",)


@dataclass(frozen=True)
class Params(word2vec.Params):
    """The keys of ``[encoders.NAME]``, besides those of `encoders.word2vec.Params`.

    Attributes:
        shortest: characters of a subword at least; ``<`` and ``>`` mark the ends of a word.
        longest: and at most.
        buckets: how many vectors the subwords share by their hash. All of them are in the state:
            100,000 of 100 dimensions take 40 MB.

    Raises:
        ValueError: if a value is out of its range, or does not go with another.
    """

    shortest: int = 3
    longest: int = 6
    buckets: int = 100_000

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, ("shortest", "buckets"))
        if self.longest < self.shortest:
            raise ValueError(
                f"longest must be at least shortest, got {self.longest} and {self.shortest}"
            )


def train(
    params: Params, texts: list[list[str]], rng: np.random.Generator, watch: Watch
) -> tuple[Table, dict[str, Json]]:
    """Learn a table with subwords, see `encoders._wordvectors.Train`."""
    from gensim.models import FastText

    model = FastText(
        **word2vec.settings(params, rng),
        min_n=params.shortest,
        max_n=params.longest,
        bucket=params.buckets,
    )
    figures = _gensim.trained(model, texts, params.epochs, watch)
    subwords = Subwords(model.wv.vectors_ngrams, params.shortest, params.longest)
    return Table(tuple(model.wv.index_to_key), model.wv.vectors, subwords), figures


def build(params: Params) -> WordVectors:
    """Build the encoder; it must be fitted, unless its vectors come from a file."""
    return _wordvectors.build("fasttext", params, partial(train, params), "gensim")


def recipe(params: Params) -> dict[str, Json] | None:
    """The recipe of the encoder that `build` gives; None where it has to learn."""
    return _wordvectors.quick_recipe("fasttext", params, "gensim")
