"""erase: no file of the store holds the records any more, and all others stay as they were."""

from __future__ import annotations

import csv
import json
import os
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from PIL import Image

from flows.cli import run_command
from flows.output.progress import Silent
from flows.upkeep.erase import Eraser
from storage import cleaning
from storage.findings import findings
from storage.model import FindingRow
from tests.flows.upkeep.erasing import (
    ID,
    IDS,
    LABEL,
    OTHERS,
    TEXT,
    erase,
    everything,
    published,
    spread,
)

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.project import Project


@pytest.mark.slow
def test_no_file_holds_the_records_any_more_and_all_others_stay(project: Project) -> None:
    spread(project)
    assert {p.relative_to(project.root / "data").parts[0] for p in everything(project)} == {
        "canaries", "catalog.duckdb", "exports", "logs", "staging", "vectors",
    }  # fmt: skip
    before = published(project)
    dead_before = {p for p in project.dead() if p}
    receipt = erase(project, *IDS)
    assert everything(project) == []
    assert published(project) == before
    assert receipt["proved"], receipt["proof"]
    assert receipt["still_in_source"] == {"records": 0, "why": ""}
    assert "MARK" not in json.dumps(receipt)
    salt = bytes.fromhex(receipt["salt"])
    assert {blake2b(i.encode(), salt=salt, digest_size=32).hexdigest() for i in IDS} == {
        *receipt["ids_blake2b"]
    }
    assert any("v1.txt" in what for what in receipt["not_covered"])
    assert dead_before
    assert project.dead() == {}
    exported = project.root / "data" / "exports"
    lines = (exported / "v1.csv").read_text("utf-8").splitlines()
    ids = {row[0] for row in csv.reader(lines)}
    assert ids == {"record_id", *before["notes_v1"]}
    kept_rows = len(before["notes_v1"])
    assert pq.read_table(exported / "v1.parquet").num_rows == kept_rows
    assert pa.ipc.open_file(exported / "v1.arrow").read_all().num_rows == kept_rows
    of_npy = pq.read_table(exported / "v1.npy" / "rows.parquet").column("record_id").to_pylist()
    matrix = np.load(exported / "v1.npy" / "vectors.npy")
    assert {k: v.tobytes() for k, v in zip(of_npy, matrix, strict=True)} == {
        k: v for k, (_, v) in before["notes_v1"].items()
    }
    vectors = project.stores().vectors
    for version in project.versions():
        found = cleaning.physical(vectors, version.table)
        assert len(found.versions) == 1
        manifest = project.stores().catalog.published(version)
        assert manifest is not None
        assert (manifest.kind, manifest.lance_version) == ("erase", found.head)
        assert manifest.rows == len(before[version.table])
    kept = project.stores().catalog.query("SELECT * FROM erasures").to_pylist()
    assert [(row["feature"], row["records"]) for row in kept] == [("notes", 3)]
    outcome = project.run()
    assert (outcome.counts.new, outcome.counts.deleted, outcome.counts.unchanged) == (0, 0, 19)


def test_a_dry_run_writes_nothing_and_tells_where_they_are(project: Project) -> None:
    project.write([*OTHERS, (ID, TEXT, LABEL)])
    project.run()
    data = project.root / "data"
    before = {f: f.stat().st_mtime_ns for f in cleaning.files_under(data)}
    found = Eraser(project.settings(), "notes", [ID]).look(Silent())
    assert before == {f: f.stat().st_mtime_ns for f in cleaning.files_under(data)}
    assert found["rows of notes_v1 (live)"] == 1
    assert found["records still in the source"] == 1


def test_what_still_stands_in_the_source_comes_back_and_is_told(project: Project) -> None:
    project.write([*OTHERS, (ID, TEXT, LABEL)])
    project.run()
    receipt = erase(project, ID)
    assert receipt["still_in_source"]["records"] == 1
    assert receipt["proved"]
    assert ID not in project.rows()
    assert project.run().counts.new == 1


def test_a_record_that_had_vanished_is_erased_from_what_is_left_of_it(project: Project) -> None:
    project.write([*OTHERS, (ID, TEXT, LABEL)])
    project.run()
    project.write(OTHERS)
    project.run()
    assert ID not in project.rows()
    assert everything(project)
    assert erase(project, ID)["proved"]
    assert everything(project) == []
    assert len(project.rows()) == 20


def test_values_and_ids_that_others_hold_too_are_no_trace(project: Project) -> None:
    project.write([*OTHERS, (ID, TEXT, LABEL), (f"{ID}-other", "another", LABEL)])
    project.run()
    receipt = erase(project, ID)
    assert receipt["proved"], receipt["proof"]
    assert project.rows()[f"{ID}-other"]["label"] == LABEL


def test_what_other_sources_remember_of_the_same_files_goes_too(project: Project) -> None:
    (project.root / "pictures").mkdir()
    for number in range(4):
        path = project.root / "pictures" / f"{ID}-{number}.png"
        Image.new("RGB", (8, 8), (40 * number, 9, 9)).save(path)
        os.utime(path, (1_700_000_000, 1_700_000_000))  # long ago, so that its hash is kept
    project.source = {"kind": "files", "path": "pictures/*.png"}
    project.encoder = {"kind": "vision", "centroids": 2}
    project.more = (
        '[sources.same]\nkind = "files"\npath = "pictures/*.png"\n'
        '[features.again]\nsource = "same"\nencoder = "mill"\n'
    )
    project.run()
    project.run(name="again")
    (project.root / "pictures" / f"{ID}-1.png").unlink()
    receipt = erase(project, f"{ID}-1.png")
    assert receipt["proved"], receipt["proof"]
    remembered = cleaning.files_under(project.stores().memory)
    assert [path for path in remembered if f"{ID}-1.png".encode() in path.read_bytes()] == []
    assert project.run(name="again").counts.deleted == 1


def test_a_tag_on_an_earlier_state_does_not_keep_it(project: Project) -> None:
    project.write([*OTHERS, (ID, TEXT, LABEL)])
    project.run()
    vectors = project.stores().vectors
    vectors.head("notes_v1").tags.create("mine", cleaning.physical(vectors, "notes_v1").head)
    assert erase(project, ID)["proved"]
    assert everything(project) == []


def test_texts_are_blotted_and_short_ids_only_where_they_are_quoted(project: Project) -> None:
    project.write([*OTHERS, ("7", TEXT, "x")])
    project.run()
    catalog = project.stores().catalog
    with catalog.transaction() as con:
        con.execute(
            "INSERT INTO runs (run_id, feature, status, error) VALUES ('r', 'notes', 'failed', ?)",
            [f"7 of 9 cannot be read: '7' says {TEXT!r}"],
        )
    erase(project, "7")
    (row,) = catalog.query("SELECT error FROM runs WHERE run_id = 'r'").to_pylist()
    assert row["error"] == "7 of 9 cannot be read: '[erased]' says '[erased]'"


def test_an_id_that_is_a_part_of_others_goes_alone(project: Project) -> None:
    ids = ["record-10", "record-100", "record-10/b", "my-record-10"]
    project.write([*OTHERS[:9], *((i, f"the text of number {n}", "x") for n, i in enumerate(ids))])
    run = project.run().run
    parts = [{"kind": "check", "name": f"'{i}'", "summary": f"{i}: odd", "record_ids": [i]}
             for i in ids]  # fmt: skip
    told = "'record-10', 'record-100', record-10/b and my-record-10; record-1000 is not here"
    row = FindingRow(
        *("drift", "alarm", told, 1.0, 1.0, 0.1, 1.0, 9, 9, None, tuple(ids), {}, tuple(parts)),
    )
    catalog = project.stores().catalog
    catalog.add_findings("notes", 1, run, [row])
    receipt = erase(project, "record-10")
    assert receipt["proved"], receipt["proof"]
    (kept,) = findings(catalog, project.versions()[0], run, ["drift"])
    assert kept.record_ids == tuple(ids[1:])
    assert kept.summary == told.replace("'record-10'", "'[erased]'")
    assert [part["record_ids"] for part in kept.parts] == [[], *([i] for i in ids[1:])]
    assert [part["name"] for part in kept.parts] == ["'[erased]'", *(f"'{i}'" for i in ids[1:])]
    assert [part["summary"] for part in kept.parts[1:]] == [f"{i}: odd" for i in ids[1:]]
    project.write(OTHERS[:9])
    project.run()
    assert erase(project, "record-100")["proved"]
    (kept,) = findings(catalog, project.versions()[0], run, ["drift"])
    assert kept.record_ids == ("record-10/b", "my-record-10")
    assert "record-1000 is not here" in kept.summary


def test_the_command_names_records_in_three_ways(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write([*OTHERS, (ID, TEXT, LABEL)])
    project.run()
    project.write(OTHERS[2:])
    conf = ["--conf", str(project.settings().conf)]
    assert run_command(["erase", "notes", "--where", f"label = '{LABEL}'", *conf]) == 0
    assert "rows of notes_v1" in capsys.readouterr().out
    assert ID in project.rows()
    file, receipt = project.root / "ids.txt", project.root / "receipt.json"
    file.write_bytes(b"\xef\xbb\xbfrecord-0\r\n\r\nrecord-1\r\n")  # as sheets write them
    command = ["erase", "--all-features", "--ids-from", str(file), "--id", ID, "--yes", "--json"]
    assert run_command([*command, "--receipt", str(receipt), *conf]) == 0
    (told,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert told["proved"]
    assert json.loads(receipt.read_text("utf-8")) == told
    assert project.rows().keys() == {record_id for record_id, _, _ in OTHERS[2:]}
    assert run_command(["erase", "notes", "--id", "nobody", "--yes", *conf]) == 0
    assert "no trace" in capsys.readouterr().err
    assert run_command(["erase", "notes", *conf]) == 2
    assert run_command(["erase", "--id", ID, *conf]) == 2
    assert run_command(["erase", "nots", "--id", ID, *conf]) == 2


def test_logs_of_other_features_that_quote_a_record_go(project: Project) -> None:
    project.write([*OTHERS, (ID, f'{TEXT} "quoted"', LABEL)])
    project.run()
    logs, locks = project.stores().logs, project.stores().locks

    def say(feature: str, run: str, message: str) -> Path:
        logs.open(feature, run).write("note", {"message": message})
        return logs.path(feature, run)

    quoting = [say("b", "20260101", f"cannot read {ID}"), say("c", "20260101", TEXT + ' "quoted"')]
    plain = [say("b", "20260102", "all went well"), say("c", "20260102", "record-3 is odd")]
    busy = say("d", "20260101", f"cannot read {ID}")
    with FileLock(locks / "d.lock"):
        receipt = erase(project, ID)
    assert [path.exists() for path in [*quoting, *plain, busy]] == [False, False, True, True, True]
    assert receipt["removed"]["logs of runs of other features"] == 2
    assert receipt["proved"], receipt["proof"]
    assert f"the log {busy}: a run is writing on it" in "".join(receipt["not_covered"])
    again = erase(project, ID)
    assert not busy.exists()
    assert again["proved"]
