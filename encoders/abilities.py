"""What an encoder may be able to do besides encoding; whoever asks looks by ``isinstance``.

A plug-in has one of these abilities by having its methods: it need not inherit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from encoders.base import Modality


@dataclass(frozen=True)
class Truncated:
    """How much of some texts an encoder does not read; add them up with ``+``.

    Attributes:
        texts: how many of them are longer than it reads.
        cut: tokens beyond its limit.
        tokens: tokens of all the texts, short ones too.
        limit: tokens that it reads of a text at most; None where it has no limit.
    """

    texts: int = 0
    cut: int = 0
    tokens: int = 0
    limit: int | None = None

    @classmethod
    def of(cls, lengths: Sequence[int], limit: int) -> Truncated:
        """For texts of so many tokens each, of which `limit` are read."""
        over = [n - limit for n in lengths if n > limit]
        return cls(len(over), sum(over), sum(lengths), limit)

    def __add__(self, other: Truncated) -> Truncated:
        return Truncated(
            self.texts + other.texts,
            self.cut + other.cut,
            self.tokens + other.tokens,
            other.limit if self.limit is None else self.limit,
        )


@runtime_checkable
class Labelled(Protocol):
    """A learner that may learn from labels, such as the class of an image.

    Attributes:
        label: the kept column of the source that holds them, a parameter of this name too; None
            where it learns without.
    """

    label: str | None

    def fit_labelled(
        self,
        sample: Any,  # noqa: ANN401 - as in encode
        labels: Sequence[str | None],
        rng: np.random.Generator,
        watch: Watch = QUIET,
    ) -> None:
        """Learn as `Learner.fit` does, from a sample and the label of each of its records.

        Args:
            sample: as there.
            labels: values of the column as text, None where a record has none.
            rng: as there.
            watch: as there.
        """


@runtime_checkable
class Cutting(Protocol):
    """An encoder that reads a record only up to a limit, and can tell what lies beyond."""

    def truncated(self, batch: Any) -> Truncated:  # noqa: ANN401 - as in encode
        """How much of a batch the encoder does not read."""
        ...


@runtime_checkable
class Grouping(Protocol):
    """An encoder that divides what it is handed into batches by itself, and tells how."""

    def together(self, batch: Any) -> list[list[int]]:  # noqa: ANN401 - as in encode
        """The records that run through the model together, by their places in the batch."""
        ...


@runtime_checkable
class Asked(Protocol):
    """An encoder that encodes what is searched for otherwise than what is found."""

    def encode_query(self, batch: Any) -> NDArray[np.float32]:  # noqa: ANN401 - as in encode
        """Encode queries, as `Encoder.encode` does records, into the same space."""
        ...


@runtime_checkable
class Bridging(Protocol):
    """An encoder that puts other things than its records into the same space, to be held together.

    Its recipe has an entry ``space``: a digest of all that must be equal for the vectors of two
    encoders to be comparable. Vectors of one modality lie in a part of the space of their own
    (Liang et al. 2022, "Mind the Gap"), so distances across are larger than those within, and
    only their order means something.

    Attributes:
        others: the modalities besides its own that it takes.
        scale: what the model has learned to multiply cosines by before a softmax over them.
    """

    @property
    def others(self) -> tuple[Modality, ...]:
        """The modalities besides its own that `encode_other` takes."""
        ...

    @property
    def scale(self) -> float:
        """The inverse of the temperature that the model was trained with; above 0."""
        ...

    def encode_other(self, modality: Modality, batch: Any) -> NDArray[np.float32]:  # noqa: ANN401 - as in encode
        """Encode a batch of one of the others, as `Encoder.encode` does records."""
        ...


@runtime_checkable
class Worded(Protocol):
    """An encoder of texts with a table of words, which can be asked for by themselves."""

    def vocabulary(self) -> tuple[Sequence[str], NDArray[np.float32]]:
        """The words, most frequent first where that is known, and their vectors ``(v, d)``."""
        ...

    def word(self, word: str) -> NDArray[np.float32] | None:
        """The vector ``(d,)`` of one word, be it in the table or not; None where it has none."""
        ...
