"""A plan says why there is a new version, how long it takes, and what else is to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.monitoring.looking import monitor
from flows.output.answers import explain_plan
from flows.output.progress import Silent
from storage import paces
from storage.footprint import row_bytes

if TYPE_CHECKING:
    import pytest

    from tests.flows.project import Project

ROWS = [(n, f"text {n}", "x") for n in range(12)]


def told(project: Project, capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    explain_plan([project.plan().row()])
    return capsys.readouterr().err.splitlines()


def test_a_first_run_knows_neither_time_nor_bytes(project: Project) -> None:
    project.write(ROWS)
    row = project.plan().row()
    assert (row["seconds"], row["seconds_from"], row["bytes"]) == (None, None, None)
    assert (row["against"], row["changes"], row["policy"]) == (None, [], [])


def test_a_new_version_says_what_differs_and_how_long_it_takes(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(ROWS)
    project.run()
    project.encoder = {"revision": 2}
    row = project.plan().row()
    assert (row["version"], row["creates"], row["against"], row["encoded"]) == (2, True, 1, 12)
    assert row["changes"] == [{"key": "revision", "was": "1", "becomes": "2"}]
    assert row["seconds"] > 0
    whose = "the last run of notes v1, whose encoder is of the same kind"
    assert row["seconds_from"] == whose
    stores = project.stores()
    found = row_bytes(stores.vectors, ("notes_v1", 1))
    assert found is not None
    assert row["bytes"] == round(12 * sum(found))
    first, change, readers = told(project, capsys)
    assert readers == "notes: readers go on seeing v1 until `vecmill promote notes 2`"
    assert first.startswith("notes: 12 to encode into a new version, v2; ")
    assert f" by the rate of {whose}, about " in first
    assert first.endswith(" on disk")
    assert change == "  revision: 1 in v1, 2 now"


def test_the_pace_is_the_versions_own_where_it_has_run(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(ROWS)
    project.run()
    project.write([*ROWS, (99, "new", "x")])
    assert " by the rate of its last run, about " in told(project, capsys)[0]
    project.run()
    project.write([*ROWS, (99, "newer", "x")])
    row = project.plan().row()
    assert row["seconds_from"] == "its last 2 runs"
    assert (row["against"], row["changes"]) == (None, [])


def test_the_pace_of_another_feature_will_do_where_there_is_none_of_its_own(
    project: Project,
) -> None:
    project.write(ROWS)
    project.run()
    project.more = '[features.other]\nsource = "notes"\nencoder = "mill"\n'
    catalog = project.stores().catalog
    project.settings()
    known = paces.of_kind(catalog, "letters", "other", 1)
    assert known is not None
    assert (known.feature, known.version, known.runs) == ("notes", 1, 1)
    assert paces.of_kind(catalog, "lsa", "other", 1) is None


def test_an_encoder_that_learns_says_that_it_has_to(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(ROWS)
    project.encoder = {"kind": "lsa", "dim": 2, "max_share": 1.0}
    project.run()
    assert project.plan().row()["learns"] is False
    project.encoder = {"kind": "lsa", "dim": 3, "max_share": 1.0}
    row = project.plan().row()
    assert row["learns"]
    assert row["changes"] == [{"key": "dim", "was": "2", "becomes": "3"}]
    assert "notes: the encoder has to learn first, which takes time as well" in told(
        project, capsys
    )


def test_another_kind_is_told_without_the_parameters_that_go_with_it(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write(ROWS)
    project.run()
    project.encoder = {"kind": "lsa", "dim": 2, "max_share": 1.0}
    keys = {change["key"] for change in project.plan().row()["changes"]}
    assert {"kind", "dim"} <= keys, "programs are told of all"
    lines = told(project, capsys)
    assert "  kind: letters in v1, lsa now, and with it all parameters" in lines
    assert not any(line.startswith("  dim: ") for line in lines)


def test_policy_that_makes_no_new_version_is_told(project: Project) -> None:
    project.write(ROWS)
    project.feature = {"monitors": ["health"]}
    project.run()
    assert project.plan().forecast.policy == ()
    monitor(project.settings(), "notes", Silent())
    assert project.plan().forecast.policy == ()
    project.feature = {"monitors": ["outliers"]}
    project.source = {"keep": []}
    planned = project.plan()
    assert planned.forecast.policy == (
        "keeps label no more, so every row is written anew",
        "is looked at by outliers for the first time",
        "is looked at by health no more",
    )
    assert not planned.creates
    assert planned.row()["bytes"] > 0, "every row is written anew"
