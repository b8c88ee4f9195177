"""`vecmill plan` and `vecmill run`: what they print, and features that fail beside others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flows.output.progress import Silent
from flows.runner import _Flows, runner
from tests.flows.commands.commanding import ROWS, TWO, Answer

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.flows.project import Project

COUNTS = {"records", "new", "changed", "unchanged", "deleted", "deduplicated", "encoded", "dead"}


def test_json_is_one_object_a_feature_and_nothing_else(vecmill: Callable[..., Answer]) -> None:
    planned, ran = vecmill("plan", "--json"), vecmill("run", "--direct", "--json")
    assert (planned.code, ran.code, planned.err, ran.err) == (0, 0, "", "")
    [plan], [row] = planned.rows, ran.rows
    expected = COUNTS | {"feature", "version", "run", "seconds", "lance_version", "fingerprint"}
    assert expected <= set(plan)
    assert expected <= set(row)
    assert {key: plan[key] for key in COUNTS} == {key: row[key] for key in COUNTS}
    assert (row["feature"], row["version"], row["standing"]) == ("notes", 1, "live")
    assert (row["records"], row["new"], row["encoded"], row["deduplicated"]) == (4, 4, 3, 1)
    assert (plan["run"], plan["creates"], plan["seconds"]) == (None, True, None)


def test_a_plan_writes_nothing(vecmill: Callable[..., Answer], project: Project) -> None:
    said = vecmill("plan")
    assert said.code == 0
    assert said.err.strip() == (
        "notes: 3 to encode into a new version, v1; time not known before a first run"
    )
    assert not (project.root / "data").exists()


def test_a_plan_takes_the_options_of_the_run_that_it_is_of(vecmill: Callable[..., Answer]) -> None:
    plain, direct = (vecmill("plan", "--json", *more) for more in ((), ("--direct", "--full")))
    assert (direct.code, direct.err) == (0, "")
    assert direct.rows == plain.rows


def test_a_configuration_says_once_for_all_that_runs_do_without_prefect(
    vecmill: Callable[..., Answer], project: Project
) -> None:
    from prefect.settings import PREFECT_API_URL, temporary_settings

    project.engine = {"direct": True}
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api"}):  # where nobody answers
        assert vecmill("run").code == 0
        assert vecmill("monitor", "notes").code == 0
    with runner(project.settings(), Silent(), direct=False) as carries_out:
        assert isinstance(carries_out, _Flows)
    assert vecmill("plan", "--no-direct").code == 0


def test_a_plan_says_where_there_is_nothing_to_do(vecmill: Callable[..., Answer]) -> None:
    vecmill("run", "--direct")
    assert vecmill("plan").err.strip() == "notes: nothing to encode"


def test_a_run_is_told_as_a_table(vecmill: Callable[..., Answer]) -> None:
    head, row = vecmill("run", "--direct").out.splitlines()
    told = dict(zip(head.split(), row.split(), strict=False))  # a time is two words
    assert (told["feature"], told["new"], told["encoded"]) == ("notes", "4", "3")
    assert "changed" not in told, "what is 0 everywhere is left out"


def test_dead_records_are_counted_and_listed(
    vecmill: Callable[..., Answer], project: Project
) -> None:
    none = vecmill("dead")
    assert (none.code, none.out, none.err) == (0, "", "no dead letters\n")
    project.write([*ROWS, ("bad", "FAIL", "x")])
    [row] = vecmill("run", "--direct", "--json").rows
    assert (row["dead"], row["rows"]) == (1, 4)
    again = vecmill("run", "--direct")
    assert "notes: 1 of the records could not be read or encoded; `vecmill dead notes`" in again.err
    [letter] = vecmill("dead", "notes", "--json").rows
    assert (letter["record_id"], letter["stage"]) == ("bad", "encode")
    told = vecmill("dead")
    assert "notes.csv:6: the encoder failed: ValueError: cannot encode 'FAIL'" in told.out


def test_a_feature_that_fails_keeps_no_other_from_running(
    vecmill: Callable[..., Answer], project: Project
) -> None:
    project.more = TWO
    ran = vecmill("run", "--direct", "--json", "gone", "notes", "other")
    assert ran.code == 1
    told = [(row["feature"], row["status"]) for row in ran.rows]
    assert told == [("gone", "failed"), ("notes", "done"), ("other", "done")]
    assert ran.rows[0]["error"].startswith("no file matches 'gone.csv' in ")
    error = json.loads(ran.err.splitlines()[-1])
    assert error["error"].startswith("gone: no file matches 'gone.csv' in ")
    assert (error["code"], error["feature"]) == (1, "gone")
    assert "Traceback" not in ran.err


def test_an_unforeseen_error_keeps_no_other_from_running(
    vecmill: Callable[..., Answer], project: Project
) -> None:
    project.more = TWO
    tables = project.root / "data" / "vectors" / "notes_v1.lance"
    vecmill("run", "--direct", "notes")
    for file in tables.rglob("*"):
        if file.is_file():
            file.write_bytes(b"not what it was")
    project.write([*ROWS, ("e", "water", "x")])
    ran = vecmill("run", "--direct", "--json", "notes", "other")
    assert ran.code == 1
    told = [(row["feature"], row["status"]) for row in ran.rows]
    assert told == [("notes", "failed"), ("other", "done")]
    assert json.loads(ran.err.splitlines()[-1])["error"].startswith("notes: ")


def test_too_many_dead_records_fail_a_run(vecmill: Callable[..., Answer], project: Project) -> None:
    project.feature = {"max_dead": 0.1}
    project.write([*ROWS, ("bad", "FAIL", "x")])
    ran = vecmill("run", "--direct", "--json")
    assert (ran.code, ran.rows[0]["status"]) == (1, "failed")
    error = json.loads(ran.err)["error"]
    assert error.startswith("notes: 1 of 5 records cannot be read or encoded, more than ")
    [row] = vecmill("status", "--json").rows
    assert (row["last_status"], row["standing"]) == ("failed", "candidate")
    told = vecmill("status").err
    assert "notes: nothing is live yet; last run of v1 failed just now: 1 of 5 records" in told


def test_a_store_that_cannot_be_written_is_told(
    vecmill: Callable[..., Answer], project: Project
) -> None:
    (project.root / "data").write_text("in the way")
    ran = vecmill("run", "--direct")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: notes: ")
    assert "Traceback" not in ran.err


def test_refit_is_handed_on(vecmill: Callable[..., Answer]) -> None:
    assert vecmill("run", "--direct", "--refit", "--json").rows[0]["version"] == 1


def test_quiet_says_nothing_but_results_and_errors(
    vecmill: Callable[..., Answer], project: Project
) -> None:
    project.feature = {"monitors": ["health"]}
    ran = vecmill("run", "--direct", "--quiet")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.split()[0] == "feature"
    assert vecmill("plan", "-q").err == ""
    wrong = vecmill("plan", "notse", "--quiet")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.startswith("error: no feature 'notse'")
