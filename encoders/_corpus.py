"""What language models of words learn from: texts, of which some are held out, and their words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders._lexicon import Lexicon, split
from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from encoders._descent import Descent

    Text = Sequence[str]

_LEAST_TEXTS = 10


@dataclass(frozen=True)
class Objective:
    """What to learn from, and how long.

    Attributes:
        min_count: how often a word must stand in the texts to be predicted as itself.
        vocabulary: how many words are, at most.
        noise: words drawn a batch, in place of the whole vocabulary.
        held_out: the share of the texts that is not learned from.
        dropout: share of what layers hand on that is left out.
        descent: rate and epochs.
    """

    min_count: int
    vocabulary: int
    noise: int
    held_out: float
    dropout: float
    descent: Descent


@dataclass(frozen=True)
class Corpus:
    """Texts to learn from.

    Attributes:
        train: what is learned from; none is empty.
        held: what is not, to know when to stop.
        lexicon: the words of ``train``.
    """

    train: list[Text]
    held: list[Text]
    lexicon: Lexicon

    @classmethod
    def of(
        cls, texts: Sequence[Text], objective: Objective, kind: str, rng: np.random.Generator
    ) -> Corpus:
        """Divide texts, and find their words.

        Args:
            texts: each a list of words; empty ones are left out.
            objective: how many are held out, and which words count.
            kind: of the encoder, for errors.
            rng: all chance.

        Raises:
            EncoderError: if there are too few texts with words, or no word is frequent enough.
        """
        texts = [text for text in texts if text]
        if len(texts) < _LEAST_TEXTS:
            raise EncoderError(
                f"{kind} needs {_LEAST_TEXTS} texts with words or more to learn from, got "
                f"{len(texts)}"
            )
        rows, kept = split(len(texts), objective.held_out, rng)
        train, held = [texts[row] for row in rows], [texts[row] for row in kept]
        lexicon = Lexicon.of(train, min_count=objective.min_count, most=objective.vocabulary)
        if not lexicon.words:
            raise EncoderError(
                f"no word of the {len(train)} texts stands {objective.min_count} times or "
                f"more in them: {kind} has nothing to predict; lower min_count or give more texts"
            )
        return cls(train, held, lexicon)

    def figures(self) -> dict[str, int]:
        """How much there is of it, for the ``figures`` of a state."""
        return {
            "texts": len(self.train),
            "held_out_texts": len(self.held),
            "tokens": sum(map(len, self.train)),
            "vocabulary": len(self.lexicon.words),
        }
