"""What a run would do, and what it did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

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
    """

    feature: str
    version: int
    creates: bool
    fingerprint: str | None
    lance_version: int | None
    counts: Counts
    seconds: float | None

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
        }


@dataclass(frozen=True)
class Outcome:
    """What a run did."""

    feature: str
    version: int
    standing: str
    run: str
    counts: Counts
    rows: int
    seconds: float
    lance_version: int
    fingerprint: str

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
        }
