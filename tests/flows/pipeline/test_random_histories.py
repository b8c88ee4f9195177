"""Whatever happens to a source, its history equals one worked out by plain Python."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.ids import hash_text
from tests.flows.interruptions import Interruption, Stopping
from tests.flows.plugins import installed
from tests.flows.plugins.letters import vector_of
from tests.flows.project import Project, vector

HEADER = ("id", "text", "label", "at")
Key = tuple[str, int, str]
"""Id, day of January, text."""


@dataclass(frozen=True)
class Line:
    """One line of the source; day 0 is none."""

    record_id: str
    text: str
    label: str
    day: int

    @property
    def cells(self) -> list[str]:
        return [self.record_id, self.text, self.label, f"2026-01-{self.day:02}" if self.day else ""]


@dataclass
class Oracle:
    """A history worked out line by line.

    Attributes:
        rows: label, and the number of the run that last wrote it, by key.
    """

    keeps_vanished: bool
    rows: dict[Key, tuple[str, int]] = field(default_factory=dict)
    runs: int = 0

    def run(self, lines: list[Line]) -> dict[str, int]:
        """Take in a source, and count."""
        self.runs += 1
        counts = dict.fromkeys(("new", "changed", "updated", "unchanged", "dead", "deleted"), 0)
        before, seen, met = dict(self.rows), set[tuple[str, int]](), set[str]()
        had = {record_id for record_id, _, _ in before}
        for line in lines:
            met.add(line.record_id)
            if not line.day or not line.text or (line.record_id, line.day) in seen:
                counts["dead"] += 1
                continue
            seen.add((line.record_id, line.day))
            counts["dead" if "FAIL" in line.text else self._take(line, before, had)] += 1
        if not self.keeps_vanished:
            counts["deleted"] = len(had - met)
            self.rows = {key: row for key, row in self.rows.items() if key[0] in met}
        return counts | {"records": len(lines)}

    def _take(self, line: Line, before: dict[Key, tuple[str, int]], had: set[str]) -> str:
        key = (line.record_id, line.day, line.text)
        old = before.get(key)
        of_that_day = [run for (i, day, _), (_, run) in before.items() if (i, day) == key[:2]]
        if old is None or old[1] < max(of_that_day):
            self.rows[key] = (line.label, self.runs)
            return "changed" if line.record_id in had else "new"
        self.rows[key] = (line.label, old[1])
        return "unchanged" if old[0] == line.label else "updated"

    def history(self) -> list[tuple[str, str, str, datetime, datetime | None]]:
        """Id, content hash, label, and the stretch of time of each row that was ever valid."""
        last: dict[tuple[str, int], tuple[int, str, str]] = {}
        for (record_id, day, text), (label, run) in self.rows.items():
            last[record_id, day] = max(last.get((record_id, day), (0, "", "")), (run, text, label))
        found = []
        for record_id, day in sorted(last):
            _, text, label = last[record_id, day]
            later = [d for i, d in last if i == record_id and d > day]
            until = datetime(2026, 1, min(later), tzinfo=UTC) if later else None
            begins = datetime(2026, 1, day, tzinfo=UTC)
            found.append((record_id, hash_text(text), label, begins, until))
        return found


LINES = st.builds(
    Line,
    st.sampled_from(["a", "b", "it's"]),
    st.sampled_from(["wheel", "grain", "flour", "FAIL", ""]),
    st.sampled_from(["x", "y"]),
    st.integers(0, 3),
)
STEPS = st.tuples(
    st.lists(LINES, max_size=9), st.sampled_from(["", "", "plan", "shard", "encode", "commit"])
)


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, min_size=3, max_size=5), keeps_vanished=st.booleans())
def check(steps: list[tuple[list[Line], str]], *, keeps_vanished: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), engine={"shard_size": 2}, source={"event_time": "at"})
        vanished = "keep" if keeps_vanished else "remove"
        project.feature = {"history": True, "vanished": vanished}
        oracle = Oracle(keeps_vanished)
        for lines, interrupted_at in steps:
            one_run(project, oracle, lines, interrupted_at)


def one_run(project: Project, oracle: Oracle, lines: list[Line], interrupted_at: str) -> None:
    project.write([line.cells for line in lines], HEADER)
    try:
        outcome = project.run(Stopping(point=interrupted_at))
    except Interruption:
        outcome = project.run()
    counts = oracle.run(lines)
    assert {name: getattr(outcome.counts, name) for name in counts} == counts
    assert outcome.rows == len(oracle.rows)
    with project.connect() as con:
        sql = "FROM notes_history ORDER BY record_id, valid_from"
        rows = con.sql(sql).to_arrow_table().to_pylist()
    columns = ("record_id", "content_hash", "label", "valid_from", "valid_until")
    assert [tuple(row[name] for name in columns) for row in rows] == oracle.history()
    texts = {hash_text(text): text for text in ("wheel", "grain", "flour")}
    for row in rows:
        np.testing.assert_array_equal(vector(row), vector_of(texts[row["content_hash"]]))
    now = {row["record_id"]: row["content_hash"] for row in rows if row["valid_until"] is None}
    assert {k: row["content_hash"] for k, row in project.rows().items()} == now
    encoded = project.encoded()
    assert len(encoded) == len(set(encoded)), "a content was encoded twice"


@pytest.mark.slow
def test_a_history_equals_the_oracle_after_every_run() -> None:
    with installed():
        check()
