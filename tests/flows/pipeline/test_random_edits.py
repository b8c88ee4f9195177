"""Whatever happens to a source, the published table equals one worked out by plain Python."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.ids import hash_text
from tests.flows.interruptions import Interruption, Stopping
from tests.flows.plugins import installed
from tests.flows.plugins.letters import vector_of
from tests.flows.project import HEADER, Project, vector


@dataclass(frozen=True)
class Line:
    """One line of the source."""

    record_id: str
    text: str
    label: str
    broken: bool

    @property
    def cells(self) -> list[str]:
        return [self.record_id, self.text, self.label, *(["one too many"] if self.broken else [])]


@dataclass
class Oracle:
    """What a run should do, worked out record by record.

    Attributes:
        published: text and label by record id.
    """

    keeps_vanished: bool
    published: dict[str, tuple[str, str]] = field(default_factory=dict)

    def run(self, lines: list[Line]) -> tuple[dict[str, int], set[str]]:
        """Take in a source.

        Returns:
            The counts, and the places of the dead.
        """
        counts = dict.fromkeys(("new", "changed", "updated", "unchanged", "deleted"), 0)
        before, seen, refused, dead = dict(self.published), set[str](), set[str](), set[str]()
        for number, line in enumerate(lines, start=2):
            if line.broken or not line.text or line.record_id in seen:
                dead.add(f"notes.csv:{number}")
                refused.add(line.record_id)
                continue
            seen.add(line.record_id)
            if "FAIL" in line.text or "NAN" in line.text:
                dead.add(f"notes.csv:{number}")
                continue
            now, old = (line.text, line.label), before.get(line.record_id)
            self.published[line.record_id] = now
            if old is None:
                counts["new"] += 1
            elif old[0] != now[0]:
                counts["changed"] += 1
            else:
                counts["updated" if old != now else "unchanged"] += 1
        if not self.keeps_vanished:
            gone = before.keys() - seen - refused
            counts["deleted"] = len(gone)
            self.published = {k: v for k, v in self.published.items() if k not in gone}
        return counts | {"records": len(lines), "dead": len(dead)}, dead


LINES = st.builds(
    Line,
    st.sampled_from(["a", "b", "c", "d", "it's", 'q"', "ü; 2"]),
    st.sampled_from(["wheel", "grain", "flour", "mill", "stone", "FAIL", "NAN", ""]),
    st.sampled_from(["x", "y"]),
    st.sampled_from([False] * 7 + [True]),
)
STEPS = st.tuples(
    st.lists(LINES, max_size=9),
    st.sampled_from(["", "", "plan", "shard", "encode", "commit"]),
)


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, min_size=2, max_size=4), keeps_vanished=st.booleans())
def check(steps: list[tuple[list[Line], str]], *, keeps_vanished: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), engine={"shard_size": 3})
        project.feature = {"vanished": "keep" if keeps_vanished else "remove"}
        oracle = Oracle(keeps_vanished)
        for lines, interrupted_at in steps:
            one_run(project, oracle, lines, interrupted_at)


def one_run(project: Project, oracle: Oracle, lines: list[Line], interrupted_at: str) -> None:
    project.write([line.cells for line in lines], HEADER)
    before = project.rows_or_none()
    had = {row["content_hash"] for row in (before or {}).values()}
    planned = project.plan()
    try:
        outcome = project.run(Stopping(point=interrupted_at))
    except Interruption:
        assert project.rows_or_none() == before
        outcome = project.run()
    counts, dead = oracle.run(lines)
    assert {name: getattr(outcome.counts, name) for name in counts} == counts
    assert (planned.counts.records, planned.counts.deleted) == (len(lines), counts["deleted"])
    assert project.dead().keys() == dead
    rows = project.rows()
    assert {k: (row["content_hash"], row["label"]) for k, row in rows.items()} == {
        k: (hash_text(text), label) for k, (text, label) in oracle.published.items()
    }
    for record_id, (text, _) in oracle.published.items():
        np.testing.assert_array_equal(vector(rows[record_id]), vector_of(text))
    encoded = [text for text in project.encoded() if "NAN" not in text]
    assert len(encoded) == len(set(encoded)), "a content was encoded twice"
    assert not {hash_text(text) for text in encoded} & had, "a published content was encoded"


@pytest.mark.slow
def test_the_published_table_equals_the_oracle_after_every_run() -> None:
    with installed():
        check()
