"""What gensim's two ways of learning word vectors share: how it is fed, seeded and watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np

    from encoders.base import Json
    from encoders.learning import Watch

_LONGEST = 10_000
"""Words of a text beyond which gensim leaves out the rest without a word."""


def trained(
    model: Any,  # noqa: ANN401 - gensim ships no types
    texts: Sequence[Sequence[str]],
    epochs: int,
    watch: Watch,
) -> dict[str, Json]:
    """Let a model of gensim learn from texts; gives the figures of the fit.

    Raises:
        EncoderError: if no word is frequent enough.
    """
    pieces = [list(text[at : at + _LONGEST]) for text in texts
              for at in range(0, len(text), _LONGEST)]  # fmt: skip
    watch.stage("count words", None)
    model.build_vocab(pieces)
    if not len(model.wv):
        raise too_few(model.min_count, texts)
    watch.stage("learn word vectors", epochs)
    model.train(
        pieces,
        total_examples=model.corpus_count,
        epochs=epochs,
        callbacks=[_Progress(watch)],
    )
    tokens = sum(len(piece) for piece in pieces)
    kept = int(sum(model.wv.get_vecattr(row, "count") for row in range(len(model.wv))))
    return {"vocabulary": len(model.wv), "tokens": tokens, "known_tokens": kept, "epochs": epochs}


def seed_of(rng: np.random.Generator) -> int:
    """A seed for gensim, which takes 32 bits."""
    return int(rng.integers(1, 2**31))


def too_few(min_count: int, texts: Sequence[Sequence[str]]) -> EncoderError:
    """For a sample none of whose words is frequent enough."""
    return EncoderError(
        f"no word stands {min_count} times or more in the {len(texts)} texts of the sample, which "
        f"have {sum(map(len, texts))} words; give more texts, or a lower min_count"
    )


class _Progress:
    """Tells a watch of each epoch; gensim calls all four."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def on_train_begin(self, model: object) -> None:
        """Nothing to tell."""

    def on_epoch_begin(self, model: object) -> None:
        """Nothing to tell."""

    def on_epoch_end(self, model: object) -> None:
        """An epoch is done."""
        del model
        self._watch.advance(1)

    def on_train_end(self, model: object) -> None:
        """Nothing to tell."""
