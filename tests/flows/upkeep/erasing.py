"""Records to erase, put wherever a store can hold them."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import pytest

from flows.cli import run_command
from flows.output.progress import Silent
from flows.upkeep.erase import Eraser
from tests.flows.interruptions import Interruption, Stopping, stop
from tests.flows.project import Project, vector

if TYPE_CHECKING:
    from pathlib import Path

ID, DEAD_ID, STAGED_ID = "MARK-ID-01", "MARK-ID-02", "MARK-ID-03"
LABEL, TEXT = "MARK-LABEL-kept-value", "MARK-TEXT the content of the record"
IDS = (ID, DEAD_ID, STAGED_ID)
OTHERS = [(f"record-{k}", f"text {k}", f"label {k % 3}") for k in range(20)]


def everything(project: Project) -> list[Path]:
    """All files of the store that hold a marker, found without Vecmill's help."""
    return [
        path
        for path in (project.root / "data").rglob("*")
        if path.is_file() and b"MARK-" in path.read_bytes()
    ]


def others(project: Project, view: str) -> dict[str, Any]:
    rows = project.rows(view)
    return {k: ({**r, "vector": 0}, vector(r).tobytes()) for k, r in rows.items() if k not in IDS}


def spread(project: Project) -> None:
    """Put the markers wherever a store can hold them: three versions, letters, staging, exports."""
    marked = [(ID, TEXT, LABEL), (DEAD_ID, f"FAIL {TEXT}", LABEL)]
    project.write([*OTHERS, *marked])
    project.run()
    project.write([*OTHERS[1:], *marked])
    project.run()
    project.encoder = {"revision": 2}
    project.run()
    project.promote(2)  # v1 is retired
    project.encoder = {"revision": 3}
    project.run()  # a candidate
    project.write([*OTHERS[1:], *marked, (STAGED_ID, f"{TEXT} staged", LABEL)])
    with pytest.raises(Interruption, match="stopped here"):
        project.run(Stopping(point="encode", how=stop))
    project.feature = {"max_dead": 0.0}
    with pytest.raises(Exception, match="cannot be read or encoded"):
        project.run()
    project.feature = {}
    catalog = project.stores().catalog
    with catalog.transaction() as con:
        con.execute(
            "INSERT INTO findings (feature, version, run_id, monitor, verdict, summary, record_ids)"
            " VALUES ('notes', 2, 'r', 'drift', 'alarm', ?, ?)",
            [f"{ID} is far out", [ID, "record-3"]],
        )
    export(project)
    project.write(OTHERS[1:])  # and gone from the source


def export(project: Project) -> None:
    """Export a version in each form, into the folder that the test searches."""
    folder = project.root / "data" / "exports"
    folder.mkdir()
    conf = ["--conf", str(project.settings().conf)]
    for form in ("parquet", "arrow", "npy"):
        out = str(folder / f"v1.{form}")
        command = ["export", "notes", "--version", "1", "--format", form, "--output", out]
        assert run_command([*command, *conf]) == 0
    with project.connect() as con:
        table = con.sql("SELECT record_id, label FROM notes_v1 ORDER BY record_id").to_arrow_table()
    with (folder / "v1.csv").open("w", newline="", encoding="utf-8") as file:
        rows = zip(*table.to_pydict().values(), strict=True)
        csv.writer(file).writerows([table.column_names, *rows])
    (folder / "v1.json").write_text("".join(json.dumps(r) + "\n" for r in table.to_pylist()))
    (folder / "v1.txt").write_text("no ids in here")
    with project.stores().catalog.transaction() as con:
        for form in ("csv", "json", "txt"):
            row = ["notes", 1, "r", str(folder / f"v1.{form}"), form, len(table)]
            con.execute("INSERT INTO exports VALUES (?, ?, ?, ?, ?, ?, now())", row)


def erase(project: Project, *ids: str) -> dict[str, Any]:
    return Eraser(project.settings(), "notes", ids).erase(Silent())


def published(project: Project) -> dict[str, Any]:
    return {v.table: others(project, v.table) for v in project.versions()}
