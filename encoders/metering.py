"""What encoders have besides that are paid by use: a meter, a limit, and answers worth keeping.

What was paid for must not be thrown away because something beside it failed. So such an encoder
may raise `PartialError`, which hands over the vectors that are there, instead of an error for the
whole batch, which the caller would halve and send again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from encoders.base import Encoder, EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


class EncodingStoppedError(EncoderError):
    """An encoder cannot go on, and what it gave before is good: a limit is reached, a key gone."""


class PartialError(Exception):
    """Raised by `Encoder.encode` where some records of a batch have a vector and others none.

    Attributes:
        vectors: ``(n, dim)`` float32 for the whole batch; rows that are not in ``done`` mean
            nothing.
        done: the rows that have their vector.
        failed: row to reason, for records that can have none by their own fault.
        cause: why the other rows were not tried, an `EncoderError` or an error that may pass; None
            where there are no others.
    """

    def __init__(
        self,
        vectors: NDArray[np.float32],
        done: frozenset[int],
        failed: Mapping[int, str],
        cause: Exception | None,
    ) -> None:
        why = next(iter(failed.values()), "") if cause is None else cause
        records = "record was" if len(vectors) == 1 else "records were"
        super().__init__(f"{len(done)} of {len(vectors)} {records} encoded: {why}")
        self.vectors = vectors
        self.done = done
        self.failed = failed
        self.cause = cause


@dataclass(frozen=True)
class Usage:
    """What was used, and what that costs.

    Attributes:
        requests: that were answered or may have been.
        tokens: as the other side reported them, estimated where it did not.
        amount: in ``currency``; None where no price is known.
    """

    requests: int = 0
    tokens: int = 0
    amount: float | None = None
    currency: str | None = None

    def __add__(self, other: Usage) -> Usage:
        """Both together; of one currency, since they are of one encoder."""
        amounts = [a for a in (self.amount, other.amount) if a is not None]
        return Usage(
            self.requests + other.requests,
            self.tokens + other.tokens,
            sum(amounts) if amounts else None,
            self.currency or other.currency,
        )


class Meter(Encoder, Protocol):
    """An encoder that counts what goes through it."""

    def used(self) -> Usage:
        """What went through it so far."""
        ...


@runtime_checkable
class Metered(Protocol):
    """An encoder whose use is counted, and may be limited, by run."""

    def in_run(self, run: str) -> Meter:
        """This encoder with a meter of its own, at zero.

        All that are asked for with one run's name share the limit of that run.
        """
        ...
