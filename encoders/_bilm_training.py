"""The objective of ELMo: at each token the next word forwards, and the one before it backwards."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from encoders import _bilm
from encoders._descent import Descent, descend, dropping, seeded
from encoders._lexicon import BOUNDARY, Lexicon, split
from encoders._reader import Reader
from encoders._softmax import Draws, exact_loss, sampled_loss
from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from encoders._bilm import Shape
    from encoders.base import Json
    from encoders.learning import EarlyStopping, Watch

    Text = Sequence[str]

_BATCH_TOKENS = 512
"""On news, three epochs of three times as many came to 156 where these came to 112."""
_LEAST_STEPS = 40
"""Of an epoch: few texts go in smaller batches."""
_MEASURED_TOKENS = 2048
_LIKE_LENGTH = 16
"""Batches whose texts are sorted by length together, so that little of them is padding."""
_LEAST_TEXTS = 10


@dataclass(frozen=True)
class Objective:
    """What to learn from, and how long.

    Attributes:
        min_count: how often a word must stand in the texts to be predicted as itself.
        vocabulary: how many words are, at most.
        noise: words drawn a batch, in place of the whole vocabulary.
        held_out: the share of the texts that is not learned from.
        dropout: share of each layer's input and output that is left out.
        descent: rate and epochs.
    """

    min_count: int
    vocabulary: int
    noise: int
    held_out: float
    dropout: float
    descent: Descent


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

    texts = [text for text in texts if text]
    if len(texts) < _LEAST_TEXTS:
        raise EncoderError(
            f"elmo needs {_LEAST_TEXTS} texts with words or more to learn from, got {len(texts)}"
        )
    rows, kept = split(len(texts), objective.held_out, rng)
    train, held = [texts[row] for row in rows], [texts[row] for row in kept]
    lexicon = Lexicon.of(train, min_count=objective.min_count, most=objective.vocabulary)
    if not lexicon.words:
        raise EncoderError(
            f"no word of the {len(train)} texts stands {objective.min_count} times or "
            "more in them: elmo has nothing to predict; lower min_count or give more texts"
        )
    frequencies = lexicon.frequencies()
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
        lambda: _batches(train, rng),
        lambda batch: predictor.estimate(batch, drop, draws(rng, device)),
        lambda: sum(predictor.losses(held)) / 2,
        objective.descent,
        watch=watch,
    )
    final = {name: weight.detach() for name, weight in weights.items()}
    predictor = Predictor(
        replace(predictor.reader, weights=final), lexicon, final["word.table"], final["word.bias"]
    )
    return predictor, _figures(predictor, stopping, train, held)


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


def _figures(
    predictor: Predictor, stopping: EarlyStopping, train: Sequence[Text], held: Sequence[Text]
) -> dict[str, Json]:
    forward, backward = predictor.losses(held)
    return {
        **stopping.figures(),
        "texts": len(train),
        "held_out_texts": len(held),
        "tokens": sum(map(len, train)),
        "vocabulary": len(predictor.lexicon.words),
        "held_out_perplexity": math.exp((forward + backward) / 2),
        "forward_perplexity": math.exp(forward),
        "backward_perplexity": math.exp(backward),
        "unigram_perplexity": math.exp(unigram_loss(predictor.lexicon, held)),
    }


def unigram_loss(lexicon: Lexicon, texts: Sequence[Text]) -> float:
    """The loss a word of the plain frequencies, in nats: what knowing no context comes to."""
    log = np.log(lexicon.frequencies())
    numbers: list[NDArray[np.int64]] = [np.append(lexicon.encode(text), BOUNDARY) for text in texts]
    return float(-log[np.concatenate(numbers)].mean())
