"""vecmill check: everything that is wrong with a configuration, and where."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from flows.config import checking
from flows.config.lines import line_of
from flows.lifecycle import preflight
from tests.flows.config.checked import EVERY, ask

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.project import Project

FAULTY = """\
[enginee]
x = 1

[engine]
shard_size = 0

[sources.a]
kind = "table"
path = "a.csv"
id = "id"
content = "text"
colour = 3
shape = 2

[sources.q]
kind = "query"
url = "postgresql://x:${VECMILL_NOT_SET}@h/d"
sql = "select 1"
id = "id"
content = "t"

[encoders.m]
kind = "sentence"
model = "./nothere"

[encoders.w]
kind = "sentnce"

[encoders.ok]
kind = "lsa"

[sources.b]
kind = "table"
path = "b.csv"
id = "idd"
content = "text"

[features.a]
source = "a"
encoder = "m"

[features.b]
source = "b"
encoder = "ok"

[features.c]
source = "b"
encoder = "m"
monitors = ["drft"]

[features.d]
source = "b"
encoder = "m"
"""


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    path = tmp_path / "vecmill.toml"
    path.write_text(FAULTY, encoding="utf-8")
    (tmp_path / "b.csv").write_text("id,text\n1,a\n", encoding="utf-8")
    return path


def test_every_fault_is_found_with_its_line(
    faulty: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, rows = ask(capsys, faulty)
    assert code == 2
    assert {row["file"] for row in rows} == {str(faulty)}
    told = [
        (row["line"], row["where"], row["found"][:40]) for row in rows if row["state"] != "note"
    ]
    assert told == [
        (1, "enginee", "unknown key 'enginee' in the configurati"),
        (5, "engine", "[engine]: shard_size must be at least 1,"),
        (12, "sources.a", "unknown key 'colour' in [sources.a]; did"),
        (13, "sources.a", "unknown key 'shape' in [sources.a]; ther"),
        (17, "sources.q", "uses ${VECMILL_NOT_SET}, but the environ"),
        (26, "encoders.w", "[encoders.w] has an unknown kind 'sentnc"),
        (49, "features.c", "[features.c] names the monitor 'drft', w"),
        (24, "encoders.m", f"model = '{faulty.parent}/nothere' is not there"[:40]),
        (35, "sources.b", "[sources.b]: b.csv has no column 'idd', "),
    ]
    [note] = [row for row in rows if row["state"] == "note"]
    assert (note["where"], note["found"].partition(";")[0]) == (
        "sources.a", "is opened once this is mended",
    )  # fmt: skip


def test_people_are_told_as_compilers_do(faulty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["check", "--conf", str(faulty)]) == 2
    got = capsys.readouterr()
    assert got.out.splitlines()[0] == (
        f"{faulty}:1: [enginee] unknown key 'enginee' in the configuration; did you mean 'engine'?"
    )
    assert got.err.splitlines()[-1] == "9 faults"


def test_the_files_alone_can_be_checked(faulty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, rows = ask(capsys, faulty, "--files-only")
    assert len(rows) == 8
    assert "nothere" not in json.dumps(rows)


def test_what_is_right_is_said_to_be_and_writes_nothing(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VECMILL_A_SECRET", "hush-hush")
    project.write([("a", "wheel", "x")])
    project.source = {"separator": "${VECMILL_COMMA:-,}", "null_values": ["${VECMILL_A_SECRET}"]}
    conf = project.settings().conf
    before = sorted(project.root.rglob("*"))
    assert run_command(["check", "--conf", str(conf)]) == 0
    got = capsys.readouterr()
    assert (got.out, got.err.splitlines()) == (
        "",
        [
            "VECMILL_A_SECRET is set in the environment",
            "nothing is wrong with the configuration: notes",
        ],
    )
    assert sorted(project.root.rglob("*")) == before
    assert "hush" not in got.err


def test_a_file_that_is_no_toml_is_named_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "conf").mkdir()
    conf = tmp_path / "conf" / "base.toml"
    conf.write_text("[engine]\nworkers = \n", encoding="utf-8")
    (tmp_path / "conf" / "local.toml").write_text("[store\n", encoding="utf-8")
    code, rows = ask(capsys, conf)
    assert code == 2
    assert [(row["file"], row["line"]) for row in rows] == [
        (str(conf), 2), (str(conf.with_name("local.toml")), 1),
    ]  # fmt: skip
    assert rows[0]["found"].startswith("not valid TOML: "), "the file is told beside it, once"


def test_features_over_others_are_checked_with_these(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write([("a", "wheel", "x")])
    project.more = (
        '[encoders.fused]\nkind = "fuse"\nweights = { notse = 2 }\n'
        '[features.together]\nover = ["notes"]\nencoder = "fused"\n'
        '[features.circle]\nover = ["circle"]\nencoder = "fused"\n'
    )
    (project.root / "vecmill.toml").write_text("")
    with pytest.raises(Exception, match="in a circle"):
        project.settings()
    code, rows = ask(capsys, project.root / "vecmill.toml")
    assert code == 2
    assert "has a weight for 'notse'" in rows[0]["found"]
    assert "circle" in rows[-1]["found"]


def test_faults_between_features_that_are_right_by_themselves_are_found(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write([("a", "wheel", "x")])
    project.more = '[features.notes_clusters]\nsource = "notes"\nencoder = "mill"\n'
    with pytest.raises(Exception, match="cannot be called"):
        project.settings()
    code, rows = ask(capsys, project.root / "vecmill.toml")
    assert (code, len(rows)) == (2, 1)
    assert "cannot be called" in rows[0]["found"]


def test_a_source_that_two_features_share_is_told_of_once(project: Project) -> None:
    project.more = '[features.other]\nsource = "notes"\nencoder = "mill"\n'
    found = list(preflight.look(project.settings()))
    assert [(fault.where, fault.fault) for fault in found] == [("sources.notes", True)]
    assert "no file matches 'notes.csv'" in found[0].found


def test_lines_are_found_however_a_table_is_written(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(
        '[encoders]\nm = { kind = "sentence", device = "cpu" }\n\n[ features . "x" ]\n'
        'encoder="m" # why\n[features.x.gates]\nmin_fresh = 1\n',
        encoding="utf-8",
    )
    over = tmp_path / "local.toml"
    over.write_text('\n[features.x]\nencoder = "n"\n', encoding="utf-8")
    assert line_of([file], ("encoders", "m")) == (file, 2)
    assert line_of([file], ("encoders", "m"), "device") == (file, 2)
    assert line_of([file], ("features", "x"), "encoder") == (file, 5)
    assert line_of([file], ("features", "x"), "gates") == (file, 6)
    assert line_of([file, over], ("features", "x"), "encoder") == (over, 3)
    assert line_of([file], ("features", "y")) is None


def test_no_configuration_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no configuration file"):
        checking.check(tmp_path / "nope.toml")


def test_schedules_are_checked_beside_the_features_that_are_written(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write([("a", "wheel", "x")])
    conf = project.settings().conf
    right = '[schedules.hourly]\nfeatures = ["notes"]\nevery = "1 hour"\n'
    text = conf.read_text()
    conf.write_text(f"{text}\n{right}", encoding="utf-8")
    assert ask(capsys, conf) == (0, [])
    wrong = (
        '[schedules.daily]\nfeatures = ["notess", "broken"]\nevery = "1 dya"\n'
        '[features.broken]\nsource = "nowhere"\nencoder = "mill"\n'
    )
    conf.write_text(f"{text}\n{right}{wrong}", encoding="utf-8")
    code, rows = ask(capsys, conf)
    assert code == 2
    assert [(row["where"], row["found"].partition("; ")[0]) for row in rows] == [
        ("features.broken", "[features.broken] names the source 'nowhere', which is not defined"),
        ("schedules.daily", "[schedules.daily] names the feature 'notess', which is not defined"),
        (
            "schedules.daily",
            f"[schedules.daily]: every {EVERY}, got '1 dya'",
        ),
    ]
    assert "did you mean 'notes'?" in rows[1]["found"]


def test_names_may_come_from_the_environment(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VECMILL_CHECKED", "notes")
    project.feature = {
        "source": "${VECMILL_CHECKED}",
        "encoder": "${VECMILL_NOT_SET:-mill}",
        "monitors": ["${VECMILL_NOT_SET:-drift}"],
    }
    project.more = "[schedules.s]\nfeatures = ['${VECMILL_CHECKED}', 'notes']\nevery = '1 day'\n"
    conf = project.settings().conf
    assert checking.check(conf).faults == []
    monkeypatch.delenv("VECMILL_CHECKED")
    told = [fault.found for fault in checking.check(conf).faults]
    assert told
    assert all("VECMILL_CHECKED is not set" in one for one in told)


@pytest.mark.parametrize("odd", ['["x"]', '"x"', "true", "[[1]]"])
@pytest.mark.parametrize("section", ["sources", "encoders", "monitors", "alerts", "features"])
def test_a_section_that_is_no_table_is_a_fault(tmp_path: Path, section: str, odd: str) -> None:
    conf = tmp_path / "vecmill.toml"
    named = '[features.a]\nsource = "x"\nencoder = "x"\nmonitors = ["drift"]\nalerts = ["x"]\n'
    conf.write_text(f"{section} = {odd}\n{named if section != 'features' else ''}", "utf-8")
    found = checking.check(conf).faults
    assert f"[{section}] must be a table" in found[0].found
    conf.write_text(f"[{section}]\nx = {odd}\n{named}", "utf-8")
    assert any(fault.where == f"{section}.x" for fault in checking.check(conf).faults)
    conf.write_text(f"[alerts.x]\nkind = {odd}\n{named}", "utf-8")
    assert any(fault.where == "alerts.x" for fault in checking.check(conf).faults)


def test_weights_that_are_nowhere_here_are_a_note_and_not_said_to_be_right(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    project.write([("a", "wheel", "x")])
    project.encoder = {"kind": "sentence", "model": "nobody/has-this"}
    assert run_command(["check", "--conf", str(project.settings().conf)]) == 0
    got = capsys.readouterr()
    told = " ".join(got.out.split())
    assert "is not asked for here; `vecmill plan` and a run fetch it: run once with" in told
    assert "HF_HUB_OFFLINE" not in told
    assert got.err.splitlines()[-1] == "no fault, but 1 note above: notes"
