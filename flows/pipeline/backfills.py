"""Backfills: the records of a stretch of event times, a window at a time.

Each window is a run of its own: small enough to be repeated, published when it is done. A window
adds and changes records and removes none, since a part of a source cannot tell what is gone from
all of it. A backfill that stopped is gone on with by asking for the same again: windows that are
done stay done.
"""

from __future__ import annotations

import calendar
import tempfile
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.config.stores import Stores
from flows.output.redact import redact
from flows.pipeline.comparing import compare, read
from flows.pipeline.costs import Costs
from flows.pipeline.dead import letters
from flows.pipeline.notes import in_no_window
from flows.pipeline.scope import Scope, refuse_naive
from flows.pipeline.versions import known_version, open_source, prepare
from storage import backfills
from storage.backfills import Backfill, WindowRow
from storage.locks import exclusive
from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from flows.config.settings import Feature, Settings
    from flows.output.progress import Reporter
    from flows.pipeline.scope import Every, Target
    from storage.catalog import Catalog
    from storage.model import Pace, Version

_MAX_WINDOWS = 10_000


@dataclass(frozen=True)
class Asked:
    """What a backfill is asked to do.

    Attributes:
        since: the first event time, with a zone.
        until: the first event time after it, with a zone; None is now, and when it is asked for
            again, where the one that did not end was to end.
        every: how long a window is; None makes one of it all.
        target: the version to fill.
        limit: how many contents to encode at most.
        allow_alarms: publish in spite of alarms that block it.
    """

    since: datetime
    until: datetime | None = None
    every: Every | None = None
    target: Target = "configured"
    limit: int | None = None
    allow_alarms: bool = False

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit must be at least 1, got {self.limit}")
        for name, at in (("since", self.since), ("until", self.until)):
            refuse_naive(name, at)
        until = self.until or datetime.now(UTC)
        if self.since >= until:
            raise UsageError(
                f"a backfill ends after it begins; got --since {self.since:%Y-%m-%d %H:%M} and "
                f"--until {until:%Y-%m-%d %H:%M}"
            )

    def ending(self, catalog: Catalog, feature: str, version: Version | None) -> Asked:
        """The same with an end: that of an equal one that did not end its work, or now."""
        if self.until is not None:
            return self
        known = version and backfills.open_until(
            catalog, feature, version.version, self.since, self.every
        )
        return replace(self, until=known or datetime.now(UTC))

    @property
    def bounds(self) -> list[datetime]:
        """Where windows begin, and at last where the last one ends; once there is an end.

        Raises:
            UsageError: if there are too many.
        """
        found = [self.since.astimezone(UTC)]
        until = (self.until or datetime.now(UTC)).astimezone(UTC)
        while found[-1] < until:
            found.append(_within_calendar(found[-1], self.every, until))
            if len(found) > _MAX_WINDOWS + 1:
                raise UsageError(
                    f"a backfill takes at most {_MAX_WINDOWS:,} windows, and a window every "
                    f"{self.every} from {self.since:%Y-%m-%d} to {until:%Y-%m-%d} makes more; "
                    "take longer windows, or a part of the time"
                )
        return found


def _next(at: datetime, every: Every | None, until: datetime) -> datetime:
    """Where the window that begins at ``at`` ends: at midnight UTC, of a Monday, of a first."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if every == "day":
        return midnight + timedelta(days=1)
    if every == "week":
        return midnight + timedelta(days=7 - at.weekday())
    if every == "month":
        return midnight + timedelta(days=calendar.monthrange(at.year, at.month)[1] - at.day + 1)
    return until


def _within_calendar(at: datetime, every: Every | None, until: datetime) -> datetime:
    """As `_next`, but no later than ``until``, after which the calendar may end."""
    try:
        return min(_next(at, every, until), until)
    except OverflowError:
        return until


def plan(settings: Settings, name: str, asked: Asked, reporter: Reporter) -> list[WindowRow]:
    """What a backfill would do, window by window; reads the source once, and writes nothing."""
    feature = settings.feature(name)
    stores = Stores.of(settings, reporter)
    version = known_version(feature, stores, asked.target, settings.root)
    version = version and replace(version, history=feature.history)
    asked = asked.ending(stores.catalog, name, version)
    return _predict(settings, feature, stores, version, asked, reporter)


def backfill(
    settings: Settings,
    name: str,
    asked: Asked,
    carry_out: Callable[[Target, Scope], dict[str, Any]],
    reporter: Reporter,
) -> list[WindowRow]:
    """Carry out a backfill, or go on with one that did not end.

    A window that fails does not keep the others from being filled.

    Args:
        settings: the configuration.
        name: the feature.
        asked: what to fill.
        carry_out: one run over one window; gives `flows.pipeline.outcomes.Outcome.row`.
        reporter: told of progress.

    Returns:
        All windows, with what was predicted and what was done.

    Raises:
        UsageError: if the source has no event times, or there is no such version.
    """
    feature = settings.feature(name)
    stores = Stores.of(settings, reporter)
    lock = stores.locks / f"{name}.lock"
    with exclusive(lock, name, settings.engine.wait_seconds, reporter.note):
        version = prepare(settings, feature, stores, reporter, target=asked.target)
    asked = asked.ending(stores.catalog, name, version)
    bounds = asked.bounds
    predicted = _predict(settings, feature, stores, version, asked, reporter)
    begun = backfills.begin(
        stores.catalog,
        Backfill(*("", name, version.version, asked.since, bounds[-1], asked.every, asked.limit)),
        predicted,
    )
    if begun.resumed:
        reporter.note(
            f"{name}: going on with the backfill {begun.backfill_id}, up to "
            f"{bounds[-1]:%Y-%m-%d %H:%M}"
        )
    left = asked.limit
    for window in backfills.windows(stores.catalog, begun.backfill_id):
        if window.status == "done" or (left is not None and left <= 0):
            continue
        scope = Scope("backfill", window.since, window.until, left, allow_alarms=asked.allow_alarms)
        done = _fill(stores, begun, window, carry_out, scope)
        if done.error:
            reporter.note(f"{name}: {window.since:%Y-%m-%d %H:%M}: {done.error}")
        left = None if left is None else left - (done.encoded or 0)
    backfills.end(stores.catalog, begun.backfill_id)
    return backfills.windows(stores.catalog, begun.backfill_id)


def _fill(
    stores: Stores,
    begun: Backfill,
    window: WindowRow,
    carry_out: Callable[[Target, Scope], dict[str, Any]],
    scope: Scope,
) -> WindowRow:
    """Run one window, and put down how it went."""
    if not window.predicted_records:
        empty = replace(window, status="done", records=0, encoded=0, seconds=0.0)
        backfills.note(stores.catalog, begun.backfill_id, empty)
        return empty
    backfills.note(stores.catalog, begun.backfill_id, replace(window, status="running"))
    try:
        row = carry_out(begun.version, scope)
    except Exception as error:
        from flows.output.codes import code_of

        if code_of(error) is None:
            raise
        failed = replace(window, status="failed", error=redact(str(error)))
        backfills.note(stores.catalog, begun.backfill_id, failed)
        return failed
    done = replace(
        window,
        status="done" if row["complete"] else "part",
        error=None,
        run_id=row["run"],
        records=row["records"],
        encoded=row["encoded"],
        seconds=row["seconds"],
        cost=row["cost"],
        currency=row["currency"] or window.currency,
    )
    backfills.note(stores.catalog, begun.backfill_id, done)
    return done


def _predict(
    settings: Settings,
    feature: Feature,
    stores: Stores,
    version: Version | None,
    asked: Asked,
    reporter: Reporter,
) -> list[WindowRow]:
    """Read the source once over all windows, and tell what each will take."""
    source = open_source(settings, feature, version)
    bounds = asked.bounds
    scope = Scope("backfill", bounds[0], bounds[-1])
    reading = read(feature, stores, version, source, scope)
    encoder = feature.encoder
    costs = Costs(encoder.kind, encoder.params) if version is None else Costs.of(version)
    reporter.stage(feature.name, "plan", None)
    with tempfile.TemporaryDirectory(prefix="vecmill-plan-") as folder:
        pictured = feature.thumbnails > 0
        difference = compare(stores, version, reading, Path(folder), thumbnails=pictured)
        try:
            for chunk in reading.chunks():
                wanted = difference.add(chunk.records, letters(chunk.rejects))
                costs.add(wanted["content"])
                reporter.advance(len(chunk.records))
            counted = difference.by_window(bounds)
        finally:
            difference.close()
    if reading.outside and not any(records for records, _ in counted):
        raise UsageError(
            f"{feature.name}: no record of the source {feature.source.name!r} has an event time in "
            f"{bounds[0]:%Y-%m-%d} to {bounds[-1]:%Y-%m-%d}, and {reading.outside:,} have none at "
            f"all; {_remedy(feature)}"
        )
    if reading.outside:
        reporter.note(in_no_window(feature.name, reading.outside))
    number = version.version if version else 0
    pace = stores.catalog.pace(feature.name, number)
    return list(_rows(bounds, counted, pace, costs))


def _remedy(feature: Feature) -> str:
    if feature.over is not None:
        first = feature.over.parts[0].feature
        return f"event times are those of {first}, which over names first; name another first"
    return f"name the column of event times in [sources.{feature.source.name}]"


def _rows(
    bounds: Sequence[datetime],
    counted: Sequence[tuple[int, int]],
    pace: Pace | None,
    costs: Costs,
) -> Iterator[WindowRow]:
    total = sum(encoded for _, encoded in counted)
    for nth, (records, encoded) in enumerate(counted):
        share = encoded / total if total else 0.0
        yield WindowRow(
            bounds[nth],
            bounds[nth + 1],
            predicted_records=records,
            predicted_encoded=encoded,
            predicted_seconds=None if pace is None else pace.seconds(encoded, records),
            predicted_cost=None if costs.amount is None else costs.amount * share,
            currency=costs.currency,
        )


def plain(row: WindowRow) -> dict[str, Any]:
    """A window as plain values, for ``--json``."""
    return asdict(row)
