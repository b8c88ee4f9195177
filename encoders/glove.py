"""GloVe: word vectors from how often words stand near each other. Learned or from a file.

Pennington, Socher & Manning 2014; see `encoders._glove` for the method. A share of the pairs of
words can be held out, to stop before the vectors fit chance.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from encoders import _gensim, _glove, _wordvectors
from encoders._ranges import check_counts
from encoders._wordtable import Table
from encoders._wordvectors import Shared, WordVectors
from encoders.base import EncoderError
from encoders.learning import EarlyStopping

if TYPE_CHECKING:
    from encoders._glove import Cells, Weights
    from encoders.base import Json, Modality
    from encoders.learning import Watch

MODALITY: Modality = "text"
PATHS = ("vectors",)

_BATCHES = 128
_LARGEST = 8192
"""An epoch takes so many steps at least, and of a batch this large at most."""


@dataclass(frozen=True)
class Params(Shared):
    """The keys of ``[encoders.NAME]``, besides those of `encoders._wordvectors.Shared`.

    Attributes:
        dim: the width of the vectors.
        window: how many words to each side count as near, at most.
        min_count: leave out words that are rarer in the sample.
        x_max: pairs that occur as often weigh in full. The paper has 100 for billions of words;
            the authors' demonstration, on millions, has 10.
        epochs: how often all pairs are gone through, at most.
        rate: the learning rate of AdaGrad.
        held_out: the share of pairs that the fit is judged by and not learned from; 0 for none.
        patience: epochs without a better held-out loss before the fit ends.

    Raises:
        ValueError: if a value is out of its range, or does not go with another.
    """

    dim: int = 100
    window: int = 10
    min_count: int = 5
    x_max: float = 10.0
    epochs: int = 25
    rate: float = 0.05
    held_out: float = 0.05
    patience: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, ("dim", "window", "min_count", "epochs", "patience"))
        for name in ("x_max", "rate"):
            if not getattr(self, name) > 0:  # NaN too
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        if not 0 <= self.held_out <= 0.5:  # noqa: PLR2004 - half
            raise ValueError(f"held_out must be from 0 to 0.5, got {self.held_out}")


def train(
    params: Params, texts: list[list[str]], rng: np.random.Generator, watch: Watch
) -> tuple[Table, dict[str, Json]]:
    """Learn a table, see `encoders._wordvectors.Train`.

    Raises:
        EncoderError: if the sample has no two words near each other, or the fit diverges.
    """
    watch.stage("count words", None)
    counts = Counter(word for text in texts for word in text)
    words = [word for word, count in counts.most_common() if count >= params.min_count]
    if not words:
        raise _gensim.too_few(params.min_count, texts)
    rows = {word: row for row, word in enumerate(words)}
    # as the authors' program and gensim do, words that are left out do not part their neighbours
    numbered = [np.array([rows[w] for w in text if w in rows], np.int32) for text in texts]
    cells = _glove.cooccurrences(numbered, len(words), params.window)
    learned, held_out = cells.parted(params.held_out, rng)
    if not len(learned):
        raise EncoderError(
            f"no two of the {len(words)} words that stand {params.min_count} times or more are in "
            "one text; glove learns from texts of several words: give longer ones, or a lower "
            "min_count"
        )
    weights = _glove.Weights.drawn(len(words), params.dim, rng)
    watch.stage("learn word vectors", params.epochs)
    best, figures = _fitted(params, weights, learned, held_out, rng, watch)
    known = sum(map(len, numbered))
    figures |= {"vocabulary": len(words), "tokens": counts.total(), "known_tokens": known}
    figures["cells"] = len(cells)
    return Table(tuple(words), best.words + best.contexts), figures


def _fitted(
    params: Params,
    weights: Weights,
    learned: Cells,
    held_out: Cells,
    rng: np.random.Generator,
    watch: Watch,
) -> tuple[Weights, dict[str, Json]]:
    """The weights of the best epoch by the held-out pairs, or of the last where there are none.

    Losses are the paper's cost, a pair's share of it.
    """
    learner = _glove.AdaGrad(weights, params.x_max, params.rate)
    stopping = EarlyStopping(patience=params.patience)
    size = min(_LARGEST, 1 + len(learned) // _BATCHES)
    best, losses = weights, []
    for _ in range(params.epochs):
        for batch in _glove.batches(learned, size, rng):
            learner.step(batch)
        watch.advance(1)
        losses.append(_glove.cost(weights, learned, params.x_max) / len(learned))
        judged = held_out if len(held_out) else learned
        loss = _glove.cost(weights, judged, params.x_max) / len(judged)
        if _better(stopping, losses[-1], loss) and len(held_out):
            best = weights.copy()
        if stopping.done and len(held_out):
            break
    told: list[Json] = [round(loss, 6) for loss in losses]
    if not len(held_out):
        return weights, {"epochs": len(losses), "train_loss": losses[-1], "losses": told}
    figures = stopping.figures()
    if figures["overfitted"]:
        watch.note(
            f"glove overfits after epoch {figures['best_epoch']}, whose vectors are kept: more "
            "texts, fewer dimensions or a higher min_count help"
        )
    return best, {**figures, "losses": told}


def _better(stopping: EarlyStopping, train_loss: float, held_out: float) -> bool:
    try:
        return stopping.better(train_loss, held_out)
    except ValueError as error:
        raise EncoderError(f"glove cannot learn with these parameters: {error}") from error


def build(params: Params) -> WordVectors:
    """Build the encoder; it must be fitted, unless its vectors come from a file."""
    return _wordvectors.build("glove", params, partial(train, params), "gensim", "scipy")


def recipe(params: Params) -> dict[str, Json] | None:
    """The recipe of the encoder that `build` gives; None where it has to learn."""
    return _wordvectors.quick_recipe("glove", params, "gensim", "scipy")
