"""What a report says of a feature, as plain values, which `flows.reports.gather` puts together."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from flows.monitors.base import Part

State: TypeAlias = Literal["alarm", "watch", "cannot tell", "quiet", "unwatched", "empty"]

ORDER = ("alarm", "watch", "cannot tell", "quiet")
"""Verdicts of monitors, the most serious first."""


@dataclass(frozen=True)
class Conclusion:
    """What somebody who reads no further should know.

    Attributes:
        state: the most serious verdict; ``unwatched`` where no monitor has looked yet, ``empty``
            where nothing is published.
        sentence: all of it in one sentence.
        notes: what else bears on it, a sentence each.
        advice: what to do next, a command; None where there is nothing to do.
    """

    state: State
    sentence: str
    notes: tuple[str, ...] = ()
    advice: str | None = None


@dataclass(frozen=True)
class Look:
    """One look of a monitor at one run.

    Attributes:
        at: when the run was published; when the monitor looked, where it never was.
        alone: what this look says by itself.
        series: what is known of the looks up to it, named figures.
    """

    run_id: str
    at: datetime
    verdict: str
    alone: str
    statistic: float | None
    threshold: float | None
    p_value: float | None
    effect_size: float | None
    n_reference: int
    n_current: int
    series: Mapping[str, float | str] = field(default_factory=dict)

    def figure(self, name: str) -> float | None:
        """A figure of its series; None where it has none of that name."""
        found = self.series.get(name)
        return float(found) if isinstance(found, int | float) else None

    @property
    def begins(self) -> bool:
        """Whether it is the first of its series."""
        return self.series.get("since") == self.run_id


@dataclass(frozen=True)
class Watched:
    """What a monitor said when it last looked, and all its looks.

    Attributes:
        blocks: what an alarm of it keeps from happening.
        reference: what the run was held against, in words.
        reference_run: the run whose published state that was read at.
        looks: oldest first; the last of them by time is not always the one that is told of.
        counts: of what the statistic is a number, such as ``records``; None where it is none.
    """

    monitor: str
    verdict: str
    summary: str
    blocks: str
    reference: str | None
    reference_run: str | None
    now: Look
    detail: Mapping[str, float]
    parts: tuple[Part, ...]
    record_ids: tuple[str, ...]
    looks: tuple[Look, ...]
    counts: str | None = None

    @property
    def is_check(self) -> bool:
        """Whether it tells right from wrong rather than likely from unlikely: it has no p-value."""
        return all(look.p_value is None for look in self.looks)


@dataclass(frozen=True)
class Points:
    """Records on a map.

    Attributes:
        ids: n record ids.
        x, y: n numbers from 0 to 1, y upwards.
        labels: n short texts of what each record is.
    """

    ids: tuple[str, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Places:
    """Reference and current records in two dimensions, both by the same axes.

    Attributes:
        method: by which they were laid out.
        told: what the places mean, in words.
        reference, current: the records; of the reference none where there is nothing before.
    """

    method: str
    told: str
    reference: Points
    current: Points


@dataclass(frozen=True)
class Card:
    """A record behind a finding.

    Attributes:
        because: what names it, such as ``drift`` or ``slices: label = Sports``.
        columns: kept columns as text, cut where they are long.
        thumbnail: WebP.
        sound: an address to play it from, ``data:`` or ``file:``.
        here: whether readers see the record now.
    """

    record_id: str
    because: tuple[str, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    thumbnail: bytes | None = None
    sound: str | None = None
    here: bool = True


@dataclass(frozen=True)
class Ran:
    """A run of the version, as the catalog has it; one that published nothing has no counts."""

    run_id: str
    kind: str
    status: str
    started_at: datetime
    seconds: float | None
    records: int | None
    new: int | None
    changed: int | None
    deleted: int | None
    encoded: int | None
    dead: int | None
    rows: int | None
    error: str | None


@dataclass(frozen=True)
class Report:
    """What there is to say of a version of a feature.

    Attributes:
        version: its number; None where there is none yet, and then nothing else is known.
        facts: what the version is, by name.
        missing: monitors that are configured and have not looked yet.
        runs: the newest first.
        changes: what sets the version apart from the one before, a sentence each.
        commands: what shows the same again, each with what it does.
        states: what to read for that: run ids, Lance versions, seeds, by name.
        left_out: what is not in the report though it was asked for, a sentence each.
        vecmill: the Vecmill that made the report.
    """

    feature: str
    version: int | None
    standing: str | None
    made_at: datetime
    vecmill: str | None
    conclusion: Conclusion
    facts: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Watched, ...] = ()
    missing: tuple[str, ...] = ()
    places: Places | None = None
    gallery: tuple[Card, ...] = ()
    runs: tuple[Ran, ...] = ()
    changes: tuple[str, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
    states: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The feature and its version, for people."""
        return self.feature if self.version is None else f"{self.feature} v{self.version}"

    def parts(self, *kinds: str) -> Iterator[tuple[Watched, Part]]:
        """The parts of some kinds with the finding each is of, the most serious first."""
        found = [(w, part) for w in self.findings for part in w.parts if part.kind in kinds]
        yield from sorted(found, key=lambda pair: _rank(pair[1]))

    def row(self) -> dict[str, Any]:
        """As one nested row of plain values, with how the last run ended under ``last_run``."""
        return asdict(self) | {"last_run": self.runs[0].status if self.runs else "never run"}


def _rank(part: Part) -> tuple[int, float]:
    """By verdict, then by p-value; parts without one keep the order in which they are told."""
    p = next((v for k, v in part.figures.items() if k in {"q_value", "p_adjusted", "p_value"}), 1.0)
    return severity(part.verdict), p


def severity(verdict: str) -> int:
    """The place of a verdict in `ORDER`; unknown ones come last."""
    return ORDER.index(verdict) if verdict in ORDER else len(ORDER)
