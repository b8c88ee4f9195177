"""The verdict of a report: what monitors said of a version, in one sentence to act on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.monitoring.about import moved, together
from flows.monitoring.findings import waits
from flows.output import units
from flows.reports.model import Conclusion, severity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from flows.reports.model import Ran, Report, State, Watched
    from storage.model import Manifest, Version

_NAMED = 3


@dataclass(frozen=True)
class Standing:
    """What a verdict goes by.

    Attributes:
        version: the version.
        live: the number of the live version, None where there is none.
        published: what readers of the version see, None where nothing is.
        heeded: whether a promotion asks whether monitors raise alarms.
        missing: monitors that have not looked yet.
        runs: the version's runs, newest first.
        wrote: the runs that wrote vectors, oldest first.
    """

    version: Version
    live: int | None
    published: Manifest | None
    heeded: bool
    missing: Sequence[str]
    runs: Sequence[Ran]
    wrote: Sequence[str]


def unpublished(feature: str, runs: Sequence[Ran]) -> Conclusion:
    """The verdict on a feature of which nothing is published."""
    notes = tuple(failed(runs))
    return Conclusion(
        "empty",
        f"{feature} has no vectors yet: no run of it is published.",
        notes,
        f"vecmill run {feature}",
    )


def conclude(standing: Standing, findings: Sequence[Watched]) -> Conclusion:
    """The verdict on a version.

    Args:
        standing: what there is to know of it beside the findings.
        findings: the most serious first.
    """
    version = standing.version
    name, look = f"{version.feature} v{version.version}", f"vecmill monitor {version.feature}"
    look += "" if version.standing == "live" else f" --version {version.version}"
    if not findings and version.dropped_at is not None:
        told = f"{name} was dropped on {day(version.dropped_at)}, and had never been monitored."
        return Conclusion("empty", told)
    if not findings:
        told = f"{name} has not been monitored yet, so nothing can be said of its data."
        return Conclusion("unwatched", told, tuple(_notes(standing, findings)), look)
    state: State = findings[0].verdict  # type: ignore[assignment] # the catalog holds verdicts
    told = {
        "alarm": _alarm, "watch": _watch, "cannot tell": _cannot_tell, "quiet": _quiet,
    }[state](name, standing, findings)  # fmt: skip
    stale = _behind(standing, findings) or standing.missing
    return Conclusion(state, told, tuple(_notes(standing, findings)), look if stale else None)


def _alarm(name: str, standing: Standing, findings: Sequence[Watched]) -> str:
    """What moved comes first, then who says so and what follows."""
    alarms = [w for w in findings if w.verdict == "alarm"]
    told = [f"{name}, alarm: {listed(_moved(alarms), ', ')}"]
    if len(findings) > 1:
        verb = "raises" if len(alarms) == 1 else "raise"
        told.append(f"{len(alarms)} of {len(findings)} monitors {verb} it")
    told += [_readers(standing), _held_up(standing, findings)]
    return f"{'; '.join(filter(None, told))}."


def _moved(alarms: Sequence[Watched]) -> list[str]:
    """What alarms are about, and which monitors say so."""
    return together(
        (moved([vars(part) for part in w.parts], w.record_ids), w.monitor) for w in alarms
    )


def _watch(name: str, standing: Standing, findings: Sequence[Watched]) -> str:
    watched = _of(findings, "watch")
    it = "it" if len(watched) == 1 else "they"
    return (
        f"{name} bears watching: {listed(watched)} would raise an alarm by the last look alone, "
        f"which {it} may do now and then by chance; {_readers(standing)}."
    )


def _cannot_tell(name: str, standing: Standing, findings: Sequence[Watched]) -> str:
    sure = _of(findings, "quiet")
    if not sure:
        return _none_can_tell(name, standing, findings)
    see = "sees" if len(sure) == 1 else "see"
    return (
        f"{name} looks fine as far as can be told: {len(sure)} of {len(findings)} monitors {see} "
        f"nothing unusual, and {_too_little(findings)}; {_readers(standing)}."
    )


def _none_can_tell(name: str, standing: Standing, findings: Sequence[Watched]) -> str:
    """No trouble, but too little to go by; what was seen when there was more is said too."""
    readers = _readers(standing)
    if all(waits(w.verdict, w.summary) for w in findings):
        return f"{name} has nothing to be compared with yet: {_too_little(findings)}; {readers}."
    before = {w.monitor: seen for w in findings if (seen := _seen_before(w)) is not None}
    unusual = [monitor for monitor, seen in before.items() if seen != "quiet"]
    if unusual:
        verb = "was" if len(unusual) == 1 else "were"
        last = f"when there was more, {listed(unusual)} {verb} not quiet"
        return (
            f"{name} cannot be judged by the last run: {_too_little(findings)}; {last}; {readers}."
        )
    last = "; when there was more, nothing unusual was seen" if before else ""
    return (
        f"Nothing unusual is known of {name}, and too little to judge it by: "
        f"{_too_little(findings)}{last}; {readers}."
    )


def _seen_before(watched: Watched) -> str | None:
    """What a monitor said the last time that it could tell; None if it never could."""
    told = [look.verdict for look in watched.looks if look.run_id != watched.now.run_id]
    return next((verdict for verdict in reversed(told) if verdict != "cannot tell"), None)


def _too_little(findings: Sequence[Watched]) -> str:
    unsure = [w for w in findings if w.verdict == "cannot tell"]
    waiting = [w.monitor for w in unsure if waits(w.verdict, w.summary)]
    others = [w.monitor for w in unsure if w.monitor not in waiting]
    have = "has" if len(others) == 1 else "have"
    told = [f"{listed(others)} {have} too few new records to judge by"] if others else []
    if waiting:
        verb = "begins" if len(waiting) == 1 else "begin"
        told.append(f"{listed(waiting)} {verb} with the second run, which can be compared with it")
    return ", and ".join(told)


def _quiet(name: str, standing: Standing, findings: Sequence[Watched]) -> str:
    n = len(findings)
    who = "the one monitor sees" if n == 1 else f"all {n} monitors see"
    return f"{name} is fine: {who} nothing unusual; {_readers(standing)}."


def _readers(standing: Standing) -> str:
    version, published = standing.version, standing.published
    if version.dropped_at is not None:
        return f"its table was dropped on {day(version.dropped_at)}"
    if version.standing != "live":
        live = "nothing is live" if standing.live is None else f"v{standing.live} is live"
        return f"readers do not see it, {live}"
    if published is None:
        return "no state of it can be read any more"
    rows = units.several(published.rows, "row")
    return f"readers see its {rows} as of {day(published.published_at)}"


def _held_up(standing: Standing, findings: Sequence[Watched]) -> str:
    """What the alarms keep from happening; nothing can be kept from a version that is live."""
    alarms = [w for w in findings if w.verdict == "alarm"]
    if any(w.blocks == "publishing" and w.now.run_id not in standing.wrote for w in alarms):
        return "the run that it is about was not published"
    if standing.version.standing == "live" or standing.version.dropped_at is not None:
        return ""
    if all(w.blocks == "nothing" for w in alarms):
        return "it holds nothing up"
    if not standing.heeded:
        return "it holds nothing up, as the feature's gates do not ask for alarms"
    return "its promotion is held up"


def _notes(standing: Standing, findings: Sequence[Watched]) -> list[str]:
    notes = failed(standing.runs)
    behind = _behind(standing, findings)
    if behind:
        runs = "1 run has" if behind == 1 else f"{behind} runs have"
        notes.append(f"{runs} written to it since the monitors last looked.")
    if standing.missing and findings:
        notes.append(f"Monitors that have not run yet: {listed(standing.missing)}.")
    return notes


def failed(runs: Sequence[Ran]) -> list[str]:
    """That the last run did not end well, and why; nothing where it did."""
    if not runs or runs[0].status not in {"failed", "crashed"}:
        return []
    why = f": {runs[0].error}" if runs[0].error else ""
    return [f"The last run {runs[0].status}, on {day(runs[0].started_at)}{why}"]


def standalone(report: Report) -> str:
    """The verdict for where no notes stand beside it; that the last run failed comes first."""
    notes = [note if note.endswith(".") else f"{note}." for note in failed(report.runs)]
    return " ".join([*notes, report.conclusion.sentence])


def _behind(standing: Standing, findings: Sequence[Watched]) -> int:
    """How many runs wrote since the monitors looked."""
    places = {run: place for place, run in enumerate(standing.wrote)}
    looked = max((places.get(w.now.run_id, len(places)) for w in findings), default=len(places))
    return max(0, len(places) - 1 - looked)


def _of(findings: Sequence[Watched], verdict: str) -> list[str]:
    return [w.monitor for w in findings if w.verdict == verdict]


def listed(names: Sequence[str], last: str = " and ") -> str:
    """Names in a row; how many more there are where they are many.

    Args:
        names: one or more.
        last: what stands before the last one, where the names have an "and" of their own.
    """
    shown, more = list(names), len(names) - _NAMED
    if more > 1:
        shown = [*names[:_NAMED], f"{more} more"]
    if len(names) > _NAMED + 1:
        last = " and "
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])}{last}{shown[-1]}"


def day(moment: datetime) -> str:
    """A day as people write it."""
    return f"{moment.day} {moment:%B %Y}"


def by_severity(findings: Sequence[Watched]) -> list[Watched]:
    """Findings, the most serious first, then by name."""
    return sorted(findings, key=lambda w: (severity(w.verdict), w.monitor))
