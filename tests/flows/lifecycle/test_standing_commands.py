"""The commands on versions: exit codes, what is said, and what goes to standard output."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from filelock import FileLock

from flows.cli import run_command
from flows.lifecycle.status import status
from flows.pipeline.refusals import RunError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from tests.flows.project import Project

    Call = Callable[..., tuple[int, str, str]]

ROWS = [(f"r{n}", f"text {n}", "x") for n in range(30)]


@pytest.fixture
def vecmill(project: Project, capfd: pytest.CaptureFixture[str]) -> Call:
    """Run a command on a project that has a live version and a candidate."""
    project.write(ROWS)
    project.run()
    project.encoder = {"revision": 2}
    project.run()

    def call(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run_command([*arguments, "--conf", str(project.settings().conf)])
        got = capfd.readouterr()
        return code, got.out, got.err

    return call


def rows(out: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.splitlines()]


def test_a_gate_that_fails_is_a_finding(vecmill: Call, project: Project) -> None:
    project.feature = {"gates": {"min_cka": 0.99}}
    code, out, err = vecmill("promote", "notes", "candidate", "--json")
    assert code == 3
    assert {row["gate"]: row["passed"] for row in rows(out)} == {
        "complete": True, "no_alarms": True, "min_coverage": True, "min_cka": False,
    }  # fmt: skip
    assert "notes_v2 does not pass its gates, so notes stays as it is: min_cka: linear CKA" in err
    code, out, err = vecmill("promote", "notes", "2")
    assert (code, "linear CKA" in err) == (3, False), "the table has said it"
    assert re.search(r"min_cka +no +linear CKA is 0\.", out)
    code, _, err = vecmill("promote", "notes", "2", "--force")
    assert (code, "takes a reason" in err) == (2, True)
    code, out, err = vecmill("promote", "notes", "2", "--force", "--reason", "it must")
    assert (code, out, err) == (0, "", "notes_v2 is live, forced past min_cka\n")


def test_there_and_back(vecmill: Call, project: Project) -> None:
    assert vecmill("promote", "notes", "2") == (0, "", "notes_v2 is live\n")
    assert vecmill("promote", "notes", "2") == (0, "", "notes_v2 is live already\n")
    code, _, err = vecmill("rollback", "notes", "--reason", "worse")
    assert (code, err.startswith("notes_v1 is live again; notes_v2 is retired")) == (0, True)
    assert "set it back" in err
    project.encoder = {}
    vecmill("promote", "notes", "2")
    assert "set it back" not in vecmill("rollback", "notes")[2], "v1 is what is configured"
    code, _, err = vecmill("rollback", "notes")
    assert (code, "no version of notes was live before v1" in err) == (2, True)


def test_retiring(vecmill: Call) -> None:
    assert vecmill("retire", "notes", "2") == (0, "", "notes_v2 is retired\n")
    assert vecmill("retire", "notes", "2") == (0, "", "notes_v2 is retired already\n")
    assert vecmill("retire", "notes", "1")[0] == 2
    for wrong in ([], ["1", "--all"]):
        code, _, err = vecmill("retire", "notes", *wrong)
        assert (code, "name one version of notes, or --all of them" in err) == (2, True)
    code, _, err = vecmill("retire", "notes", "--all")
    assert (code, "is in the configuration" in err) == (2, True)


def test_versions_and_recipes(vecmill: Call, project: Project) -> None:
    _, out, _ = vecmill("versions", "notes", "--json")
    assert [(r["version"], r["standing"], r["about"]) for r in rows(out)] == [
        (1, "live", None), (2, "candidate", "revision 2"),
    ]  # fmt: skip
    _, out, _ = vecmill("versions")
    [head, *lines] = out.splitlines()
    assert head.split()[:5] == ["feature", "version", "standing", "encoder", "about"]
    mark = project.versions()[1].fingerprint
    assert mark[:12] in lines[1]
    code, out, _ = vecmill("recipe", mark[:8])
    assert (code, f"fingerprint: {mark}" in out, '"revision": 2' in out) == (0, True, True)
    _, out, _ = vecmill("recipe", "notes", "2", "--json")
    assert rows(out)[0]["fingerprint"] == mark


def test_a_comparison_in_words_and_as_json(vecmill: Call) -> None:
    code, out, err = vecmill("compare", "notes", "1", "2", "-k", "3")
    assert (code, err) == (0, "")
    for part in ("candidate", "overlap@3 0.", "rank churn 0.", "linear CKA 0.", "Procrustes resid"):
        assert part in out
    _, out, _ = vecmill("compare", "notes", "1", "2", "--json")
    [row] = rows(out)
    assert (row["sampled"], row["k"], set(row["overlap"])) == (
        30, 10, {"value", "standard_error", "by_chance"},
    )  # fmt: skip
    for left_out in ([], ["2"]):
        assert vecmill("compare", "notes", *left_out, "--json") == (0, out, "")
    assert vecmill("compare", "notes", "1", "7")[0] == 2
    assert vecmill("compare", "notse", "1", "2")[0] == 2
    assert "did you mean 'notes'?" in vecmill("compare", "notse")[2]
    assert vecmill("retire", "notes", "2")[0] == 0
    code, _, err = vecmill("compare", "notes")
    assert (code, "notes has no candidate; name the versions" in err) == (2, True)
    assert "v1 (live), v2 (retired)" in err


def test_lineage_is_told(vecmill: Call) -> None:
    code, out, _ = vecmill("lineage", "notes", "r7", "--place")
    assert code == 0
    for part in ("notes.csv:9, with the same content", "notes_v1, live", "notes_v2, candidate",
                 "against the live version's: revision 2", "a run, done, started"):  # fmt: skip
        assert part in out
    _, out, _ = vecmill("lineage", "notes", "r7", "--version", "1", "--json")
    [row] = rows(out)
    assert [trace["version"] for trace in row["traces"]] == [1]
    code, _, err = vecmill("lineage", "notes", "r77")
    assert (code, "the nearest ids: " in err) == (2, True)


# --- what status and dead say ---------------------------------------------------------------------


def test_dead_letters_of_a_run_that_failed_of_them_are_marked(
    vecmill: Call, project: Project
) -> None:
    project.write([*ROWS, ("once", "FAIL once", "x")])
    project.run()
    project.write([(name, f"FAIL {text}", x) for name, text, x in ROWS[:10]] + ROWS[10:])
    project.feature = {"max_dead": 0.1}
    with pytest.raises(RunError, match="cannot be read or encoded"):
        project.run()
    row = status(project.settings())[1]
    assert (row["dead"], row["unpublished_dead"], row["last_status"]) == (1, 10, "failed")
    assert "unpublished_dead" in vecmill("status")[1]
    _, out, _ = vecmill("dead", "notes")
    marked = [line for line in out.splitlines() if "not published" in line]
    assert len(marked) == 10
    assert sum(not row["published"] for row in rows(vecmill("dead", "--json")[1])) == 10
    project.feature = {}
    project.run()
    assert status(project.settings())[1]["unpublished_dead"] == 0


def test_a_run_whose_process_is_gone_is_told_from_one_under_way(
    vecmill: Call, project: Project
) -> None:
    stores = project.stores()
    stores.catalog.start_run("20990101T000000-abcdef", "notes", 2)
    with FileLock(stores.locks / "notes.lock"):
        assert status(project.settings())[1]["last_status"] == "running"
    first, second = status(project.settings())
    assert (first["last_status"], second["last_status"]) == ("done", "crashed")
    code, out, err = vecmill("status")
    assert (code, "crashed" in out) == (0, True)
    assert "notes: live is v1, published just now; last run of v2 crashed just now: the pro" in err
    project.run()
    assert status(project.settings())[1]["last_status"] == "done"


def test_versions_are_named_as_they_are_shown(vecmill: Call) -> None:
    by_name, by_number = (
        vecmill("compare", "notes", "v1", "v2"),
        vecmill("compare", "notes", "1", "2"),
    )
    assert by_name == by_number
    assert by_name[0] == 0
    assert vecmill("recipe", "notes", "v2") == vecmill("recipe", "notes", "2")
    options = ("monitor", "notes", "--direct", "--version"), ("dims", "notes", "--version")
    for option in options:
        assert vecmill(*option, "v1") == vecmill(*option, "1")
    code, out, complaint = vecmill("compare", "notes", "old", "v2")
    assert (code, out) == (2, "")
    assert "a version is named by its number, such as 2 or v2; got 'old'" in complaint


def test_a_command_without_a_version_to_name_does_not_tell_of_vecmill(vecmill: Call) -> None:
    code, out, complaint = vecmill("search", "notes", "--id", "0", "--version", "v2")
    assert (code, out) == (2, "")
    assert "Unknown option: --version" in complaint


def test_an_export_without_a_place_is_called_as_the_feature_and_replaces_nothing(
    vecmill: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert vecmill("export", "notes")[0] == 0
    assert vecmill("export", "notes", "--format", "npy")[0] == 0
    assert len(pq.read_table(here / "notes.parquet")) == len(ROWS)
    assert (here / "notes" / "vectors.npy").is_file()
    code, out, complaint = vecmill("export", "notes", "--format", "parquet")
    assert (code, out) == (2, "")
    assert "notes.parquet is there already; name it as --output to replace it" in complaint
    assert vecmill("export", "notes", "--output", "notes.parquet")[0] == 0
