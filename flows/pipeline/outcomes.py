"""What a run would do, and what it did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from flows.pipeline.forecast import Forecast
from storage.model import Cut

if TYPE_CHECKING:
    from storage.model import Counts


@dataclass(frozen=True)
class Planned:
    """What a run would do, or is about to do.

    Attributes:
        version: the number of the version it works on; a new one if the encoder is new.
        creates: whether that version has no published rows yet.
        fingerprint: of the version; None where the encoder has to learn first.
        lance_version: the published state it was compared with, None without one.
        seconds: how long encoding will take by the rate of earlier runs, None without any.
        problem: why the run would publish nothing, None if nothing speaks against it.
        cost: what encoding is expected to cost, in ``currency``; None for encoders that cost
            nothing, or whose price is not known.
        forecast: what else is to be expected of it.
    """

    feature: str
    version: int
    creates: bool
    fingerprint: str | None
    lance_version: int | None
    counts: Counts
    seconds: float | None
    problem: str | None = None
    cost: float | None = None
    currency: str | None = None
    forecast: Forecast = Forecast()  # noqa: RUF009 - frozen, so that all may share it

    def row(self) -> dict[str, Any]:
        """The plan as one flat row of plain values."""
        return {
            "feature": self.feature,
            "version": self.version,
            "creates": self.creates,
            "run": None,
            **asdict(self.counts),
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "lance_version": self.lance_version,
            "fingerprint": self.fingerprint,
            "problem": self.problem,
            "cost": self.cost,
            "currency": self.currency,
            "seconds_from": self.forecast.rate_from,
            "bytes": self.forecast.bytes,
            "against": self.forecast.against,
            "changes": [asdict(change) for change in self.forecast.changes],
            "learns": self.forecast.learns,
            "policy": list(self.forecast.policy),
        }


@dataclass(frozen=True)
class Outcome:
    """What a run did.

    Attributes:
        complete: whether all that was asked for is done; not where a limit was reached.
        cost: of what was encoded, in ``currency``; None for encoders that cost nothing. It is what
            the encoder counted, failed attempts included, where it does count.
        predicted_cost: what the plan expected.
        tokens: that were used, None for encoders that do not count.
        cut: what the encoder did not read of the texts it was given.
    """

    feature: str
    version: int
    standing: str
    run: str
    counts: Counts
    rows: int
    seconds: float
    lance_version: int
    fingerprint: str
    kind: str = "run"
    complete: bool = True
    cost: float | None = None
    currency: str | None = None
    predicted_cost: float | None = None
    tokens: int | None = None
    cut: Cut = Cut()  # noqa: RUF009 - frozen, so that all may share it

    def row(self) -> dict[str, Any]:
        """The outcome as one flat row of plain values, as ``--json`` prints it."""
        return {
            "feature": self.feature,
            "version": self.version,
            "standing": self.standing,
            "run": self.run,
            **asdict(self.counts),
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
            "lance_version": self.lance_version,
            "fingerprint": self.fingerprint,
            "kind": self.kind,
            "complete": self.complete,
            "cost": self.cost,
            "currency": self.currency,
            "predicted_cost": self.predicted_cost,
            "tokens": self.tokens,
            **asdict(self.cut),
        }
