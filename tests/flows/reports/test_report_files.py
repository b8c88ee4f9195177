"""Reports: where the files lie, and when they end."""

from __future__ import annotations

import json
import webbrowser
from typing import TYPE_CHECKING

from flows.cli import run_command
from flows.output.progress import Silent
from flows.reports import kept as kept_reports
from flows.upkeep.erase import Eraser
from flows.upkeep.gc import Collector
from tests.flows.reports.reporting import NOW, finding, ran, records

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.flows.project import Project


def pages(project: Project) -> list[str]:
    return sorted(file.name for file in (project.root / "data" / "reports").glob("*"))


def command(project: Project, *arguments: str) -> int:
    return run_command(["report", *arguments, "--conf", str(project.settings().conf)])


def test_the_command_writes_into_the_store_or_where_it_is_told(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(project, *records(0, 30))
    assert command(project, "notes") == 0
    assert command(project, "notes", "--version", "v1") == 0
    assert pages(project) == ["notes.html", "notes_v1.html"]
    assert command(project) == 0
    assert pages(project) == ["all-features.html", "notes.html", "notes_v1.html"]
    over = (project.root / "data" / "reports" / "all-features.html").read_text("utf-8")
    assert 'href="notes.html"' in over
    capsys.readouterr()
    target = tmp_path / "elsewhere.html"
    assert command(project, "notes", "-o", str(target)) == 0
    assert "`vecmill erase` does not reach it" in capsys.readouterr().err
    assert target.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert command(project, "-o", str(target)) == 0
    assert "href=" not in target.read_text("utf-8").split("<main")[1], "leads to no other page"
    assert command(project, "notes", "-o", str(tmp_path / "no" / "such.html")) != 0
    assert command(project, "--version", "1") != 0


def test_json_is_the_same_and_writes_no_page(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(project, *records(0, 30))
    capsys.readouterr()
    assert command(project, "notes", "--json") == 0
    [row] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["feature"], row["version"], row["conclusion"]["state"]) == (
        "notes", 1, "unwatched",
    )  # fmt: skip
    assert len(row["places"]["current"]["ids"]) == 30
    assert not (project.root / "data" / "reports").exists()


def test_it_is_opened_where_that_is_asked_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    ran(project, *records(0, 30))
    assert command(project, "notes", "--open", "--json") == 0
    assert opened == [(project.root / "data" / "reports" / "notes.html").as_uri()]


def test_an_erasure_reaches_kept_reports(project: Project) -> None:
    evil = "<MARK-ID & more>"
    ran(project, (evil, "MARK-TEXT", "MARK-LABEL"), *records(0, 30))
    row = finding("drift", "alarm", record_ids=(evil,))
    project.stores().catalog.add_findings("notes", 1, project.runs()[0]["run_id"], [row])
    assert command(project) == 0
    folder = project.root / "data" / "reports"
    (folder / ".notes.html.1.tmp").write_text("MARK-TEXT", encoding="utf-8")
    assert "MARK-LABEL" in (folder / "notes.html").read_text("utf-8")
    project.write(records(0, 30))
    eraser = Eraser(project.settings(), "notes", [evil])
    assert eraser.look(Silent())["kept reports"] == 1
    receipt = eraser.erase(Silent())
    assert receipt["proved"], receipt["proof"]
    assert receipt["removed"]["kept reports"] == 3
    assert pages(project) == []
    assert command(project, "notes") == 0
    assert "MARK" not in (folder / "notes.html").read_text("utf-8")
    assert kept_reports.naming(project.settings(), "notes", [evil]) == 0


def test_gc_removes_reports_of_what_is_gone(project: Project) -> None:
    ran(project, *records(0, 30))
    project.encoder = {"revision": 2}
    project.run()
    project.promote(2)
    for arguments in ((), ("notes", "--version", "1"), ("notes", "--version", "2")):
        assert command(project, *arguments) == 0
    folder = project.root / "data" / "reports"
    (folder / "nobody.html").write_text("of a feature that is gone", encoding="utf-8")
    (folder / ".notes.html.1.tmp").write_text("half a page", encoding="utf-8")
    gone = Collector(project.settings(), NOW).collect([], Silent())
    kinds = [item.what for item in gone if item.kind == "report"]
    assert len(kinds) == 3
    assert pages(project) == ["all-features.html", "notes.html", "notes_v2.html"]
