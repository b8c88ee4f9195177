"""The SQL of the page on reports, run over what monitors found."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.monitoring.looking import monitor
from flows.output.progress import Silent
from storage import query

if TYPE_CHECKING:
    from tests.flows.project import Project

PAGE = Path(__file__).parents[3] / "docs" / "report.md"
BLOCKS = re.findall(r"^```sql\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def found(project: Project) -> list[list[dict[str, Any]]]:
    """What each block gives, of three runs: the second as the first, the third of one label.

    The second is large enough to be a reference of what the encoder has not learned from.
    """
    project.source = {"content": ["size", "weight"], "keep": ["label"]}
    project.encoder = {"kind": "tabular"}
    project.feature = {"monitors": ["drift", "slices"]}
    rng = np.random.default_rng(0)
    every: list[tuple[object, ...]] = []
    for labels, middle, rows in (("ab", 5, 120), ("ab", 5, 200), ("aa", 8, 120)):
        for n in range(rows):
            at = len(every)
            every.append((f"r{at}", *rng.normal(middle, 1, 2), labels[n % 2]))
        project.write(every, ("id", "size", "weight", "label"))
        project.run()
        monitor(project.settings(), "notes", Silent())
    stores = project.stores()
    with query.connect(stores.catalog, stores.vectors) as con:
        con.execute("CREATE TEMP VIEW articles AS FROM notes")
        told = [sql.replace("feature = 'articles'", "feature = 'notes'") for sql in BLOCKS]
        assert all(sql != given for sql, given in zip(told, BLOCKS, strict=True))
        return [query.run(con, sql).to_arrow_table().to_pylist() for sql in told]


def test_each_block_gives_what_it_is_said_to(found: list[list[dict[str, Any]]]) -> None:
    moved, series, named, shifts = found
    assert {"label = a", "label = b"} <= {row["name"] for row in moved}
    changed = next(row for row in moved if row["name"] == "label = a" and row["monitor"] == "drift")
    assert (changed["before"], changed["now"]) == (pytest.approx(0.5, abs=0.01), 1.0)
    sizes = [abs(row["now"] - row["before"]) for row in moved]
    assert sizes == sorted(sizes, reverse=True), "one run has moved"
    assert [row["monitor"] for row in series] == ["drift", "slices"]
    assert all(row["looks"] >= 1 and 0 < row["level"] < row["spent"] < 1 for row in series)
    assert {row["verdict"] for row in series} == {"alarm"}
    assert named
    assert {row["label"] for row in named} == {"a"}
    assert {row["run_id"] for row in named} == {moved[0]["run_id"]}
    assert len(shifts) == 2
    assert shifts[1]["moved"] > shifts[1]["visible"] > 0
    assert all(row["reference"] and row["reference_run"] for row in shifts)
    json.dumps(found)
