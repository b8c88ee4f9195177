"""What part of its source a run takes on, and of which version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from storage.model import UsageError

if TYPE_CHECKING:
    from datetime import datetime

Kind: TypeAlias = Literal["run", "backfill", "replay"]

Target: TypeAlias = "Literal['configured', 'live', 'candidate'] | int"
"""A version: that of the encoder as configured, the live one, the newest candidate, or a number."""

Every: TypeAlias = Literal["day", "week", "month"]
"""How long the windows of a backfill are."""


def refuse_naive(name: str, at: datetime | None) -> None:
    """Refuse a bound of a window that names no zone.

    Raises:
        UsageError: saying how to name one.
    """
    if at is not None and at.tzinfo is None:
        raise UsageError(f"{name} needs a time zone, got {at.isoformat()}; add one, as +00:00")


@dataclass(frozen=True)
class Scope:
    """A part of a source; without arguments all of it that may have changed.

    Attributes:
        kind: how the run is put down in the catalog.
        since: take records whose event time is at or after this, with a zone; None has no bound.
        until: take records whose event time is before this, with a zone; None has no bound.
        limit: encode at most so many contents, and leave the other records as they are.
        full: read the whole source even if it says that nothing, or only a part, has changed.
        retry_dead: try records again that the encoder has failed on.
        allow_deletes: remove however many records have vanished, whatever ``max_deleted`` says.
        allow_alarms: publish in spite of alarms that block it; they are kept.
    """

    kind: Kind = "run"
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None
    full: bool = False
    retry_dead: bool = False
    allow_deletes: bool = False
    allow_alarms: bool = False

    @property
    def window(self) -> tuple[datetime | None, datetime | None] | None:
        """The bounds of event times; None for records of any or no time."""
        bounded = self.since is not None or self.until is not None
        return (self.since, self.until) if bounded else None

    @property
    def partial(self) -> bool:
        """Whether records are left out on purpose, so that none can be missed."""
        return self.window is not None or self.limit is not None

    def plain(self) -> dict[str, Any]:
        """As plain values, for an orchestrator; `parse` reads them back."""
        times = {"since": self.since, "until": self.until}
        return {
            "kind": self.kind,
            **{name: None if at is None else at.isoformat() for name, at in times.items()},
            "limit": self.limit,
            "full": self.full,
            "retry_dead": self.retry_dead,
            "allow_deletes": self.allow_deletes,
            "allow_alarms": self.allow_alarms,
        }

    @classmethod
    def parse(cls, values: dict[str, Any] | None) -> Scope:
        """A scope from what `plain` gave."""
        from datetime import datetime

        given = dict(values or {})
        for name in ("since", "until"):
            if isinstance(given.get(name), str):
                given[name] = datetime.fromisoformat(given[name])
        return cls(**given)
