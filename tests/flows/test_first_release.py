"""The store that the first release wrote opens, and goes on where that release left it.

``tests/releases/release-0.1.tar.gz`` is a project as release 0.1 left it, catalog schema 1: fifty
wines of scikit-learn as rows, and two dozen made-up sentences; a first run, one after records had
changed, gone and broken, one with nothing to do, and another version of the wines as a candidate.
It is never made anew: releases to come must open it.
"""

from __future__ import annotations

import csv
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pytest

from flows import connect
from flows.cli import run_command
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable

ARCHIVE = REPOSITORY / "tests" / "releases" / "release-0.1.tar.gz"
COPY = "data/catalog.duckdb.schema-1"


@pytest.fixture
def rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[dict[str, Any]]]:
    """The project of the first release, and what a command says there as JSON."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)

    def call(*argv: str, code: int = 0) -> list[dict[str, Any]]:
        found = run_command(argv)
        out, err = capsys.readouterr()
        assert found == code, err
        return [json.loads(line) for line in out.splitlines()] if "--json" in argv else []

    return call


def test_readers_see_what_it_published(rows: Callable[..., list[dict[str, Any]]]) -> None:
    status = {(row["feature"], row["version"]): row for row in rows("status", "--json")}
    assert {key: row["rows"] for key, row in status.items()} == {
        ("notes", 1): 28, ("wines", 1): 59, ("wines", 2): 59,
    }  # fmt: skip
    assert {row["standing"] for row in status.values()} == {"live", "candidate"}
    with connect() as session:
        runs = session.polars("SELECT run_id, feature, records FROM runs ORDER BY started_at")
        dead = session.polars("SELECT record_id FROM dead_letters")
        wine = session.polars("SELECT vector, label FROM wines WHERE record_id = 'w030'")
    assert runs["records"].to_list() == [50, 24, 59, 28, 59, 28, 59]
    assert dead["record_id"].to_list() == ["n07"]
    assert wine["label"].to_list() == ["class_0"]
    with connect(as_of=runs["run_id"][0]) as session:
        assert session.polars("SELECT count(*) AS n FROM wines")["n"].to_list() == [50]
        before = session.polars("SELECT vector FROM wines WHERE record_id = 'w030'")
    assert not before["vector"].equals(wine["vector"])  # its record had changed in between
    assert [row["record_id"] for row in rows("search", "wines", "--id", "w000", "-k", "1",
                                             "--json")] == ["w003"]  # fmt: skip


def test_its_catalog_is_kept_as_it_was(rows: Callable[..., list[dict[str, Any]]]) -> None:
    rows("status")
    with duckdb.connect(COPY, read_only=True) as con:
        assert con.sql("SELECT version FROM schema").fetchall() == [(1,)]
        assert con.sql("SELECT count(*) FROM runs").fetchall() == [(7,)]
    found = {row["what"]: row for row in rows("gc", "--json")}
    assert not next(row for what, row in found.items() if what.endswith(COPY))["goes"]
    rows("gc", "--keep-days", "0", "--yes")
    assert not Path(COPY).exists()


def test_runs_go_on_from_there(rows: Callable[..., list[dict[str, Any]]]) -> None:
    again = {row["feature"]: row for row in rows("run", "--direct", "--json")}
    assert [(row["encoded"], row["records"]) for row in again.values()] == [(0, 59), (0, 28)]
    with Path("notes.csv").open(newline="", encoding="utf-8") as file:
        kept = [row for row in csv.reader(file) if row[0] != "n00"]
    with Path("notes.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([*kept, ["n99", "A baker sails to the harbour", "sea"]])
    (after,) = rows("run", "notes", "--direct", "--json")
    assert (after["new"], after["deleted"], after["unchanged"], after["encoded"]) == (1, 1, 26, 1)
    rows("promote", "wines", "2", "--force", "--reason", "the gates of a later release")
    with connect() as session:
        assert session.polars("FROM wines LIMIT 1").schema["vector"] == pl.Array(pl.Float32, 3)
    rows("rollback", "wines")
    with connect() as session:
        assert session.polars("FROM wines LIMIT 1").schema["vector"] == pl.Array(pl.Float32, 4)


def test_an_erasure_reaches_the_copy_too(rows: Callable[..., list[dict[str, Any]]]) -> None:
    rows("status")
    assert b"n07" in Path(COPY).read_bytes()
    rows("erase", "notes", "--id", "n07", "--yes")
    assert not Path(COPY).exists()
    with connect() as session:
        assert session.polars("SELECT count(*) AS n FROM dead_letters")["n"].to_list() == [0]
