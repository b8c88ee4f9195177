"""The objective of ELMo: at each token the next word forwards, and the one before it backwards."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from encoders import _bilm
from encoders._corpus import Corpus
from encoders._descent import descend, dropping, seeded
from encoders._lexicon import BOUNDARY, Lexicon
from encoders._reader import Reader
from encoders._softmax import Draws, exact_loss, sampled_loss

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from encoders._bilm import Shape
    from encoders._corpus import Objective, Text
    from encoders.base import Json
    from encoders.learning import EarlyStopping, Watch

_BATCH_TOKENS = 512
"""On news, three epochs of three times as many came to 156 where these came to 112."""
_LEAST_STEPS = 40
"""Of an epoch: few texts go in smaller batches."""
_MEASURED_TOKENS = 2048
_LIKE_LENGTH = 16
"""Batches whose texts are sorted by length together, so that little of them is padding."""


@dataclass(frozen=True)
class Predictor:
    """A network with the softmax over its words, which both directions share.

    Attributes:
        reader: the network.
        lexicon: the words.
        table: ``(v, projection)`` float32, a row a word.
        bias: ``(v,)`` float32.
    """

    reader: Reader
    lexicon: Lexicon
    table: Tensor
    bias: Tensor

    def losses(self, texts: Sequence[Text]) -> tuple[float, float]:
        """The exact loss a word in nats, forwards and backwards; ends of texts count as words."""
        import torch

        totals, targets = [0.0, 0.0], 0
        ordered = sorted(texts, key=len)
        for part in _bilm.bundle([len(text) + 2 for text in ordered], _MEASURED_TOKENS):
            with torch.no_grad():
                both, wanted = self._asked(ordered[part])
                for way in (0, 1):
                    loss = exact_loss(both[way], self.table, self.bias, wanted[way])
                    totals[way] += float(loss)
            targets += len(wanted[0])
        return totals[0] / targets, totals[1] / targets

    def estimate(
        self, texts: Sequence[Text], drop: _bilm.Drop, drawn: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, int]:
        """The summed loss of a batch against drawn words, and how many targets it has."""
        import torch

        both, wanted = self._asked(texts, drop)
        features, targets = torch.cat(both), torch.cat(wanted)
        return sampled_loss(features, self.table, self.bias, targets, drawn), len(targets)

    def _asked(
        self, texts: Sequence[Text], drop: _bilm.Drop | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """What each direction knows before a word, ``(n, projection)``, and that word ``(n,)``."""
        import torch

        _, above, lengths = self.reader.read(texts, drop)
        forth, back = above[-1]
        numbers = np.full((len(forth), len(texts)), BOUNDARY, np.int64)
        for column, text in enumerate(texts):
            numbers[1 : len(text) + 1, column] = self.lexicon.encode(text)
        words = torch.from_numpy(numbers).to(forth.device)
        own = torch.arange(1, len(forth), device=forth.device)[:, None] < lengths
        return [forth[:-1][own], back[1:][own]], [words[1:][own], words[:-1][own]]


def learn(
    texts: Sequence[Text],
    shape: Shape,
    objective: Objective,
    rng: np.random.Generator,
    device: str,
    watch: Watch,
) -> tuple[Predictor, dict[str, Json]]:
    """Learn a network from texts; it comes with what the fit measured.

    Raises:
        EncoderError: if there are too few texts with words, or the fit diverges.
    """
    import torch

    corpus = Corpus.of(texts, objective, "elmo", rng)
    lexicon, frequencies = corpus.lexicon, corpus.lexicon.frequencies()
    drawn = _bilm.initial(shape, rng)
    drawn["word.table"] = rng.normal(0, 0.05, (lexicon.size, shape.projection)).astype(np.float32)
    # From the frequencies on, there is only context left to learn.
    drawn["word.bias"] = np.log(frequencies).astype(np.float32)
    weights = {name: torch.from_numpy(array).to(device) for name, array in drawn.items()}
    draws = Draws(frequencies, objective.noise)
    drop = dropping(objective.dropout, seeded(rng, device))
    predictor = Predictor(
        Reader(weights, shape, device), lexicon, weights["word.table"], weights["word.bias"]
    )
    stopping = descend(
        weights,
        lambda: _batches(corpus.train, rng),
        lambda batch: predictor.estimate(batch, drop, draws(rng, device)),
        lambda: sum(predictor.losses(corpus.held)) / 2,
        objective.descent,
        watch=watch,
    )
    final = {name: weight.detach() for name, weight in weights.items()}
    predictor = Predictor(
        replace(predictor.reader, weights=final), lexicon, final["word.table"], final["word.bias"]
    )
    return predictor, _figures(predictor, stopping, corpus)


def _batches(texts: Sequence[Text], rng: np.random.Generator) -> list[list[Text]]:
    """All texts in chance order, those of a batch of like length; equally many each time."""
    order: list[int] = rng.permutation(len(texts)).tolist()
    total = sum(len(text) + 2 for text in texts)
    size = max(1, round(min(_BATCH_TOKENS, total / _LEAST_STEPS) * len(texts) / total))
    batches: list[list[int]] = []
    for start in range(0, len(order), size * _LIKE_LENGTH):
        like = sorted(order[start : start + size * _LIKE_LENGTH], key=lambda row: len(texts[row]))
        batches += [like[at : at + size] for at in range(0, len(like), size)]
    places: list[int] = rng.permutation(len(batches)).tolist()
    return [[texts[row] for row in batches[at]] for at in places]


def _figures(predictor: Predictor, stopping: EarlyStopping, corpus: Corpus) -> dict[str, Json]:
    forward, backward = predictor.losses(corpus.held)
    return {
        **stopping.figures(),
        **corpus.figures(),
        "held_out_perplexity": math.exp((forward + backward) / 2),
        "forward_perplexity": math.exp(forward),
        "backward_perplexity": math.exp(backward),
        "unigram_perplexity": math.exp(unigram_loss(corpus.lexicon, corpus.held)),
    }


def unigram_loss(lexicon: Lexicon, texts: Sequence[Text]) -> float:
    """The loss a word of the plain frequencies, in nats: what knowing no context comes to."""
    log = np.log(lexicon.frequencies())
    numbers: list[NDArray[np.int64]] = [np.append(lexicon.encode(text), BOUNDARY) for text in texts]
    return float(-log[np.concatenate(numbers)].mean())
