"""Upkeep beside runs, other upkeep and readers, each a process of its own: all end right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from flows.config.settings import Gc
from flows.engines.engine import Direct
from flows.output.progress import Silent
from flows.searching.asked import Asked, answer
from flows.searching.search import live
from flows.upkeep.gc import Collector
from storage.indexes import indexes
from tests.processes import python

if TYPE_CHECKING:
    from tests.flows.project import Project

TURNS = 4
RUN = """
import csv, json, sys
from pathlib import Path
from flows.config.configuration import load
from flows.engines.engine import Direct
from flows.output.progress import Silent
from flows.pipeline import stages
from tests.flows.plugins import installed
root = Path(sys.argv[1])
with installed():
    print("ready", flush=True)
    sys.stdin.readline()
    for rows in json.loads(sys.argv[2]):
        with (root / "notes.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("id", "text", "label"), *rows])
        stages.embed(load(root / "vecmill.toml"), "notes", Direct(), Silent())
    print(chr(10), json.dumps("ran"))
"""
MAINTAIN = """
import json, sys
from pathlib import Path
from flows.config.configuration import load
from flows.config.settings import Gc
from flows.output.progress import Silent
from flows.upkeep.gc import Collector
from tests.flows.plugins import installed
with installed():
    settings = load(Path(sys.argv[1]) / "vecmill.toml")
    print("ready", flush=True)
    sys.stdin.readline()
    done = []
    for turn in range(int(sys.argv[2])):
        collector = Collector(settings, Gc(compact_fragments=2), indexes=True)
        done += [i.action for i in collector.collect(["notes"], Silent()) if i.goes]
    print(chr(10), json.dumps(done))
"""
READ = """
import json, sys
from pathlib import Path
from flows import connect
from tests.flows.plugins import installed
with installed():
    print("ready", flush=True)
    sys.stdin.readline()
    seen = []
    for turn in range(int(sys.argv[2])):
        with connect(Path(sys.argv[1]) / "vecmill.toml") as session:
            rows = session.sql("SELECT count(*) AS n, count(DISTINCT text[-1]) AS t FROM notes")
            near = session.search("notes", "text 7", 3, filter="record_id = '7'")
            word = session.search("notes", words="seven", field="text")
            seen.append([*rows.to_pylist()[0].values(), len(near), word["record_id"].to_pylist()])
    print(chr(10), json.dumps(seen))
"""


def rows(turn: int) -> list[tuple[int, str, str]]:
    """All of one turn end with its number, so that half a run shows."""
    words = {7: "seven"}
    return [(n, f"text {words.get(n, n)} {turn}", "x") for n in range(280 + 10 * turn)]


@pytest.mark.slow
def test_maintain_beside_runs_readers_and_another_maintain(project: Project) -> None:
    project.source = {"keep": ["label", "text"]}
    project.more = '[features.notes.index]\nrows = 256\nwords = ["text"]\n'
    project.write(rows(0))
    project.run()
    turns = [rows(turn) for turn in range(1, TURNS + 1)]
    children = [
        python(RUN, project.root, json.dumps(turns)),
        python(MAINTAIN, project.root, TURNS),
        python(MAINTAIN, project.root, TURNS),
        python(READ, project.root, TURNS),
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    told = [child.communicate() for child in children]
    assert [child.returncode for child in children] == [0] * 4, told
    _, *maintained, seen = [json.loads(out.splitlines()[-1]) for out, _ in told]
    assert maintained[0] + maintained[1], "neither found anything to do"
    for count, ends, near, words in seen:
        assert (ends, near, words) == (1, 1, ["7"])
        assert count in {280 + 10 * turn for turn in range(TURNS + 1)}
    held = {name: row["text"] for name, row in project.rows().items()}
    assert held == {str(name): text for name, text, _ in rows(TURNS)}
    assert {run["status"] for run in project.runs()} == {"done"}
    settings, stores = project.settings(), project.stores()
    Collector(settings, Gc(compact_fragments=2), indexes=True, engine=Direct()).collect(
        ["notes"], Silent()
    )
    version, manifest = live(settings, stores, "notes")
    there = indexes(stores.vectors, version.table, manifest.lance_version)
    assert {one.column: one.unindexed for one in there} == {"record_id": 0, "text": 0, "vector": 0}
    found = answer(settings, "notes", Asked({"text": f"text 9 {TURNS}"}, 1))
    assert found["record_id"].to_pylist() == ["9"]
