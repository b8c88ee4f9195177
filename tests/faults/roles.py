"""What each of many processes does to one store, again and again, until its time is up.

Every record carries a mark in its kept column, and whoever writes a source gives all records of a
day the same new one. So whoever reads can tell whether what he sees is of one run.
"""

from __future__ import annotations

import csv
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flows import export
from flows.config.configuration import load
from flows.config.settings import Gc
from flows.config.stores import Stores
from flows.engines.engine import Direct
from flows.lifecycle import promotion as lifecycle
from flows.lifecycle import status
from flows.monitoring import looking as monitoring
from flows.output.progress import Silent
from flows.pipeline import backfills
from flows.pipeline import stages as pipeline
from flows.upkeep import gc
from storage import query
from storage.model import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np

    from flows.pipeline.scope import Scope

DAYS = 3
GRACE = 20.0
"""Seconds for which `vecmill gc` leaves what a session may be reading."""

POLICY = Gc(keep_runs=2, keep_days=0, grace_hours=GRACE / 3600, compact_fragments=4)
GONE = "If `vecmill gc`"
"""What a session is told that reads a state for longer than that."""

_COUNTED = """
SELECT m.rows FROM manifests m JOIN versions v USING (feature, version)
WHERE m.feature = ? AND v.standing = 'live' AND forgotten_at IS NULL
ORDER BY lance_version DESC, published_at DESC, m.run_id DESC LIMIT 1
"""


class Notes(Silent):
    """Keeps what a command says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        """Take a note down."""
        self.said.append(text)


@dataclass
class Worker:
    """One of many.

    Attributes:
        root: the folder of the project.
        rng: draws what is done next.
        until: when to stop, by `time.monotonic`.
        done: how often it did something.
        late: how often a session outlasted the grace of `vecmill gc`, and was told so.
        slowest: seconds that the slowest took.
    """

    root: Path
    rng: np.random.Generator
    until: float
    done: int = 0
    late: int = 0
    slowest: float = 0.0
    reporter: Notes = field(default_factory=Notes)

    def __post_init__(self) -> None:
        self.settings = load(self.root / "vecmill.toml")
        self.stores = Stores.of(self.settings, self.reporter)

    def work(self, role: str) -> None:
        """Do as the role says until the time is up."""
        act: Callable[[], None] = getattr(self, role)
        while time.monotonic() < self.until:
            begun = time.monotonic()
            act()
            self.done += 1
            self.slowest = max(self.slowest, time.monotonic() - begun)

    # --- writers --------------------------------------------------------------------------------

    def runs_notes(self) -> None:
        """Change the source, and bring either version up to date; now and then look at it."""
        write(self.root, "notes", self.rng)
        target = int(self.rng.integers(1, 3))
        pipeline.embed(self.settings, "notes", Direct(3), self.reporter, target=target)
        if self.rng.random() < 0.3:
            self._read_late(lambda: monitoring.monitor(self.settings, "notes", Silent(), target))

    def runs_others(self) -> None:
        """Change the source, and bring the feature up to date."""
        write(self.root, "others", self.rng)
        pipeline.embed(self.settings, "others", Direct(3), self.reporter)

    def backfills(self) -> None:
        """Change the source, and take it on day by day."""
        write(self.root, "days", self.rng)
        asked = backfills.Asked(day(0), day(DAYS), "day", "configured", None)

        def carry_out(target: Any, scope: Scope) -> dict[str, Any]:  # noqa: ANN401 - a Literal
            engine = Direct(3)
            return pipeline.embed(
                *(self.settings, "days", engine, self.reporter), target=target, scope=scope
            ).row()

        rows = backfills.backfill(self.settings, "days", asked, carry_out, self.reporter)
        assert {row.status for row in rows} == {"done"}, [row.error for row in rows]

    def promotes(self) -> None:
        """Make the one or the other version live."""
        if self.rng.random() < 0.3:
            try:
                lifecycle.rollback(self.settings, "notes", "a try")
            except UsageError as error:
                assert "was live before" in str(error)  # noqa: PT017 - some other error is raised
        else:
            number = int(self.rng.integers(1, 3))
            lifecycle.promote(self.settings, "notes", number, force=True, reason="a try")
        time.sleep(0.2)

    def cleans(self) -> None:
        """Remove all that may go."""
        gc.Collector(self.settings, POLICY).collect([], self.reporter)
        time.sleep(0.5)

    # --- readers --------------------------------------------------------------------------------

    def reads(self) -> None:
        """A session over every feature."""
        self._read_late(lambda: self._read(0.0))

    def dawdles(self) -> None:
        """A session that sleeps between its reads, and sees the same each time."""
        self._read_late(lambda: self._read(float(self.rng.uniform(0.5, 3.0))))

    def exports(self) -> None:
        """Write a feature to a file, and read that; and ask how everything stands."""
        import polars as pl

        target = self.root / "out.parquet"
        asked = export.Asked(target, "parquet")
        if self._read_late(lambda: export.export(self.settings, "notes", asked)):
            rows = pl.read_parquet(target)
            assert rows["label"].n_unique() == 1, "an export of two runs"
            assert rows["record_id"].n_unique() == len(rows)
        assert status.status(self.settings)

    def _read_late(self, function: Callable[[], object]) -> bool:
        """Whether it could be read: a session longer than the grace may find its state gone."""
        begun = time.monotonic()
        try:
            function()
        except StorageError as error:
            lasted = time.monotonic() - begun
            if GONE not in str(error) and "has no Lance version" not in str(error):
                raise
            if lasted < GRACE:
                raise AssertionError(f"a state was gone after {lasted:.1f} s: {error}") from error
            self.late += 1
            return False
        return True

    def _read(self, pause: float) -> None:
        with query.connect(self.stores.catalog, self.stores.vectors) as con:
            first = {name: self._seen(con, name) for name in ("notes", "others", "days")}
            if pause:
                time.sleep(pause)
                again = {name: self._seen(con, name) for name in ("notes", "others", "days")}
                assert again == first, "a session saw two states"

    def _seen(self, con: Any, name: str) -> list[tuple[Any, ...]]:  # noqa: ANN401 - DuckDB's, of storage
        """What a session sees of a feature, checked against the manifests that it sees."""
        marks = (
            con.table(name)
            .aggregate(
                "event_time, count(*), count(DISTINCT record_id), count(DISTINCT label), "
                "any_value(label)"
            )
            .order("event_time")
            .fetchall()
        )
        for when, rows, ids, labels, _ in marks:
            assert rows == ids, f"{name}: a record stands twice"
            assert labels == 1, f"{name}: two runs in one on {when}"
        unknown = "run_id NOT IN (SELECT run_id FROM manifests)"
        strangers = con.table(name).filter(unknown).fetchall()
        assert not strangers, f"{name}: rows of a run that is not published: {strangers}"
        counted = con.sql(_COUNTED, params=[name]).fetchall()
        assert counted == [(sum(mark[1] for mark in marks),)], f"{name}: {counted}, {marks}"
        return [tuple(mark) for mark in marks]


def day(number: int) -> Any:  # noqa: ANN401 - a datetime, imported where it is needed
    """The number-th day of the records."""
    from datetime import UTC, datetime, timedelta

    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)


def write(root: Path, name: str, rng: np.random.Generator) -> None:
    """Write a source anew, in one go: some contents are others, and all marks of a day."""
    mark = int(rng.integers(1 << 40))
    rows = [
        (n, f"{name} {n % 40} {rng.integers(3)}", f"{mark + number}", day(number).isoformat())
        for number in range(DAYS if name == "days" else 1)
        for n in sorted(rng.choice(200, 80, replace=False) + 1000 * number)
    ]
    fresh = root / f"{name}.{mark}.tmp"
    with fresh.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "text", "label", "at"), *rows])
    fresh.replace(root / f"{name}.csv")
