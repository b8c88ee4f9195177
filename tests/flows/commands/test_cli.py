"""The command line: exit codes, and what goes to standard output and what does not."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from filelock import FileLock

import flows.runner
from flows.cli import run_command
from flows.commands._app import app
from tests.flows.plugins.letters import vector_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.flows.project import Project

ROWS = [("a", "wheel", "x"), ("b", "grain", "y"), ("c", "flour", "z"), ("d", "flour", "z")]
COUNTS = {"records", "new", "changed", "unchanged", "deleted", "deduplicated", "encoded", "dead"}
TWO = """
[sources.gone]
kind = "table"
path = "gone.csv"
content = "text"
[features.gone]
source = "gone"
encoder = "mill"
[features.other]
source = "notes"
encoder = "mill"
max_dead = 1.0
"""
COMMANDS = (
    "backfill", "caption", "check", "cluster", "compare", "completion", "dead", "demo",
    "deploy", "dims", "doctor", "duplicates", "erase", "explore", "export", "fit", "gc",
    "init", "label", "lineage", "logs", "maintain", "map", "monitor", "plan", "probe",
    "promote", "recipe", "recommend", "reduced", "replay", "report", "retire", "rollback",
    "run", "schema", "search", "serve", "snooze", "sql", "status", "tune", "ui", "versions",
    "words",
)  # fmt: skip

WITHOUT_JSON = {  # and why
    "completion": "prints a script for a shell",
    "demo": "is to be watched; what it runs has --json",
    "explore": "opens a page in a browser, and prints nothing",
    "init": "writes a file",
    "schema": "prints a JSON Schema, whatever the options",
    "serve": "goes on until it is stopped",
    "ui": "goes on until it is stopped",
}


@dataclass(frozen=True)
class Answer:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Standard output as JSON lines; fails on anything else that stands there."""

        def refuse(constant: str) -> None:
            raise ValueError(f"{constant} is not JSON")

        return [json.loads(line, parse_constant=refuse) for line in self.out.splitlines()]


@pytest.fixture
def vecmill(project: Project, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run a command in this process on the project, which has some records."""
    project.write(ROWS)

    def call(*arguments: str) -> Answer:
        conf = ["--conf", str(project.settings().conf)] if "--conf" not in arguments else []
        capfd.readouterr()
        code = run_command([*arguments, *conf])
        got = capfd.readouterr()
        assert "\x1b" not in got.out + got.err, "a pipe gets no colours"
        return Answer(code, got.out, got.err)

    return call


def script(*arguments: str, cwd: Path, **more: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401 - as subprocess.run
    """Run the installed console script."""
    vecmill = Path(sys.executable).with_name("vecmill")
    return subprocess.run(  # noqa: S603 - our own script
        [vecmill, *arguments], cwd=cwd, capture_output=True, text=True, check=False, **more
    )


# --- plan and run ---------------------------------------------------------------------------------


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


def test_monitors_run_with_the_run(vecmill: Callable[..., Answer], project: Project) -> None:
    project.feature = {"monitors": ["drift", "health"]}
    ran = vecmill("run", "--direct", "--json")
    assert ran.code == 0
    assert [row["feature"] for row in ran.rows] == ["notes"]
    health, drift = ran.err.splitlines()
    assert drift == (
        "notes: this is the first run of v1, so there is nothing to compare it with yet: drift "
        "begins with the next"
    )
    assert health.startswith("notes: health: ")
    looked = vecmill("monitor", "notes", "--direct", "--json")
    assert (looked.code, looked.err) == (0, "")
    assert [row["monitor"] for row in looked.rows] == ["drift", "health"]
    told = vecmill("monitor", "notes", "--direct")
    assert told.out.splitlines()[0].split()[:2] == ["monitor", "verdict"]


def test_what_a_series_does_not_carry_is_no_finding(
    vecmill: Callable[..., Answer], project: Project
) -> None:
    project.source = {"content": ["size"], "keep": []}
    project.encoder = {"kind": "tabular"}
    project.feature = {"monitors": ["drift"], "false_alarms": 1e-9}
    project.more = "[monitors.drift]\npermutations = 199\nfeatures = 16\n"
    rows = [(n, 10 * n) for n in range(60)]
    # The encoder learned from the first run, so that looks count from what runs wrote since.
    usual = [(n, n * 37 % 599) for n in range(100, 310)]
    for more in ([], usual, [*usual, *((n, 5000 + n) for n in range(400, 440))]):
        project.write(rows + more, ("id", "size"))
        ran = vecmill("run", "--direct")
    assert ran.code == 0
    assert "notes: drift: watch: the distribution moved: " in ran.err
    assert "; an alarm by itself, but" in ran.err
    looked = vecmill("monitor", "notes", "--direct")
    assert looked.code == 0
    assert "drift: held against what runs wrote since the encoder learned" in looked.out
    assert "1 look at p ≤ 0.01, 0.01 expected by chance" in looked.out
    [row] = vecmill("status", "--json").rows
    assert (row["alarms"], row["watches"]) == (0, 1)


def test_monitors_are_calibrated_and_nothing_is_kept(
    vecmill: Callable[..., Answer], project: Project
) -> None:
    project.feature = {"monitors": ["drift"]}
    project.write([(n, f"text {n}", "x") for n in range(60)])
    vecmill("run", "--direct")
    measured = vecmill("monitor", "notes", "--calibrate", "5", "--json")
    [row] = measured.rows
    assert (measured.code, row["monitor"], row["looks"], row["alpha"]) == (0, "drift", 5, 0.01)
    told = vecmill("monitor", "notes", "--calibrate", "5")
    head = told.out.splitlines()[0].split()
    assert [name for name in head if name != "flagged"][:4] == ["monitor", "looks", "share", "low"]
    assert vecmill("monitor", "notes", "--calibrate", "0").code == 2
    findings = project.stores().catalog.query("SELECT DISTINCT run_id FROM findings")
    assert findings.num_rows == 1


def test_monitors_look_at_what_the_run_wrote_and_only_then(
    vecmill: Callable[..., Answer], project: Project
) -> None:
    project.feature = {"monitors": ["health"]}

    def looks() -> list[tuple[int, str]]:
        sql = "SELECT version, run_id FROM findings ORDER BY found_at"
        return [
            (r["version"], r["run_id"]) for r in project.stores().catalog.query(sql).to_pylist()
        ]

    first = vecmill("run", "--direct", "--json")
    again = vecmill("run", "--direct", "--json")
    assert (first.err.count("notes: health: "), "health" in again.err) == (1, False)
    assert looks() == [(1, first.rows[0]["run"])]
    project.encoder = {"revision": 2}
    candidate = vecmill("run", "--direct", "--json")
    assert candidate.rows[0]["standing"] == "candidate"
    assert looks() == [(1, first.rows[0]["run"]), (2, candidate.rows[0]["run"])]
    assert vecmill("monitor", "notes", "--direct", "--version", "2").code == 0
    assert looks() == [(1, first.rows[0]["run"]), (2, candidate.rows[0]["run"])]
    unknown = vecmill("monitor", "notes", "--direct", "--version", "3")
    assert (unknown.code, unknown.out) == (2, "")
    assert "notes has no version v3; there are: v1, v2" in unknown.err


def test_a_feature_is_not_monitored_before_it_has_run(vecmill: Callable[..., Answer]) -> None:
    said = vecmill("monitor", "notes", "--direct")
    assert (said.code, said.out) == (2, "")
    assert "notes has no live version yet; run `vecmill run notes` first" in said.err


# --- usage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["bogus"], "error: Unknown command"),
        (["plan", "--jsn"], "Did you mean --json? See `vecmill plan --help`"),
        (["search", "notes", "oil"], "'oil'; did you mean --text oil? See `vecmill search --help`"),
        (["run", "--direct", "notse"], "no feature 'notse'; did you mean 'notes'?"),
        (["plan", "notse"], "no feature 'notse'"),
        (["monitor", "--direct", "notse"], "no feature 'notse'"),
        (["search", "notse", "--id", "a"], "no feature 'notse'"),
        (["dead", "notse"], "no feature 'notse'"),
        (["promote", "notse", "1"], "no feature 'notse'"),
        (["promote", "notes", "one"], "by its number, or: candidate; got 'one'"),
        (["promote", "notes"], "requires an argument"),
        (["sql", "SELECT 1", "--format", "xml"], "Invalid value"),
        (["sql", "SELECT 1", "--output", "rows.txt"], "name a format for rows.txt: csv, json"),
        (["search", "notes"], "nothing to search for; give one of --text, --image, --audio"),
        (["search", "notes", "--id", "a", "--text", "b"], "--id, got --text and --id; leave"),
        (["search", "notes", "--id", "a"], "notes has no live version yet; run `vecmill run"),
        (["plan", "--conf", "nope.toml"], "no configuration file nope.toml"),
        (["status", "--conf", "nope.toml"], "no configuration file nope.toml"),
        (["sql", "SELECT 1", "--conf", "nope.toml"], "no configuration file nope.toml"),
        (["run", "--direct", "--conf", "nope.toml"], "no configuration file nope.toml"),
        (["demo", "--conf", "nope.toml"], "no configuration file nope.toml"),
    ],
)  # fmt: skip
def test_wrong_usage_is_exit_code_2(
    vecmill: Callable[..., Answer], arguments: list[str], said: str
) -> None:
    answer = vecmill(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert said in " ".join(answer.err.replace("│", " ").split())
    assert "Traceback" not in answer.err


def test_a_configuration_without_features_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = tmp_path / "empty.toml"
    conf.write_text("")
    for command in ("plan", "run"):
        assert run_command([command, "--conf", str(conf)]) == 2
        assert "add a [features.NAME] table" in capsys.readouterr().err
    assert run_command(["status", "--conf", str(conf)]) == 0
    assert "no feature is configured" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_reads_well(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([*command.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"Usage: vecmill {command}".rstrip())
    for name in ("NoneType", "flows.", "Annotated", "[default: False]", "[ARG"):
        assert name not in said, name
    told = re.findall(r"^│ \*?\s{0,3}(\S.*?)(?:  +(.*\S))? *│$", said, re.MULTILINE)
    assert told
    assert [option for option, words in told if option.startswith("--") and not words] == []


def test_the_list_of_commands_goes_by_what_one_wants(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--help"]) == 0
    heads = re.split(r"^╭─ (.*?) ─+╮$", capsys.readouterr().out, flags=re.MULTILINE)[1:]
    listed = {
        head: re.findall(r"^│ (\w\S*)", box, re.MULTILINE)
        for head, box in zip(heads[::2], heads[1::2], strict=True)
    }
    assert [*listed] == [
        "Begin", "Run", "Search and SQL", "Look", "Versions", "Watch", "Upkeep", "Operate",
        "Options",
    ]  # fmt: skip
    assert listed.pop("Options") == []
    assert sorted(name for names in listed.values() for name in names) == sorted(COMMANDS)
    assert (listed["Begin"][0], listed["Run"][:2]) == ("init", ["plan", "run"])


def test_every_command_is_tested_here() -> None:
    assert {name for name in app if not name.startswith("-")} == set(COMMANDS)


# --- for programs, and quietly --------------------------------------------------------------------


def test_every_command_that_prints_a_result_prints_it_as_json() -> None:
    without = {
        name for name in COMMANDS
        if not any("--json" in each.names for each in app[name].assemble_argument_collection())
    }  # fmt: skip
    assert without <= set(WITHOUT_JSON)


@pytest.mark.parametrize("command", sorted({*COMMANDS} - {*WITHOUT_JSON}))
def test_with_json_standard_output_is_json_lines_alone(
    everything: Callable[..., Answer], command: str
) -> None:
    said = everything(*CALLS[command], "--json")
    assert said.code in {0, 2}, said.err
    assert all(isinstance(row, dict) for row in said.rows)
    if said.code == 2:
        assert (said.rows, json.loads(said.err.splitlines()[-1])["code"]) == ([], 2)


CALLS: dict[str, list[str]] = {
    name: [name, "notes"] for name in COMMANDS if name not in WITHOUT_JSON
} | {
    "backfill": ["backfill", "notes", "--since", "2026-01-01", "--dry-run"],
    "caption": ["caption", "notes", "--from", "notes"],
    "check": ["check"],
    "cluster": ["cluster", "notes", "-k", "2"],
    "compare": ["compare", "notes", "1", "1"],
    "deploy": ["deploy", "--pool", "pool", "--write-only"],
    "doctor": ["doctor"],
    "erase": ["erase", "notes", "--id", "a"],
    "export": ["export", "notes", "--output", "{root}/notes.parquet"],
    "fit": ["fit", "notes", "--direct"],
    "label": ["label", "notes", "--labels", "a,b"],
    "lineage": ["lineage", "notes", "a"],
    "map": ["map", "notes", "--method", "pca", "-o", "{root}/map.html"],
    "monitor": ["monitor", "notes", "--direct"],
    "probe": ["probe", "notes", "--label", "label"],
    "promote": ["promote", "notes", "1"],
    "recipe": ["recipe", "notes", "1"],
    "recommend": ["recommend", "notes", "--user", "a"],
    "replay": ["replay", "notes", "--direct"],
    "report": ["report", "notes"],
    "retire": ["retire", "notes", "2"],
    "run": ["run", "--direct"],
    "search": ["search", "notes", "--id", "a"],
    "sql": ["sql", "FROM notes"],
    "status": ["status"],
    "tune": ["tune", "notes", "--sample", "2"],
    "words": ["words", "notes", "wheel"],
}


def test_a_usage_error_is_json_where_that_is_asked_for(vecmill: Callable[..., Answer]) -> None:
    said = vecmill("plan", "--jsn", "--json")
    assert (said.code, said.out) == (2, "")
    error = json.loads(said.err)
    assert error["error"].startswith("Unknown option: --jsn")
    assert error["code"] == 2


def test_a_fault_of_ours_is_json_too(
    vecmill: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.runner, "runner", None)
    error = json.loads(vecmill("run", "--direct", "--json").err)
    assert error["traceback"].startswith("Traceback")
    assert error["code"] == 1


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


def test_features_are_offered_to_a_shell(vecmill: Callable[..., Answer], project: Project) -> None:
    project.more = TWO
    conf = str(project.settings().conf)
    for words in (["run"], ["search"], ["erase"], ["run", "notes"]):
        offered = vecmill("__complete", *words[:1], "--conf", conf, *words[1:], "").out
        assert offered.split()[1:] == ["notes", "gone", "other"], words


@pytest.mark.slow
def test_bash_completes_commands_and_features(project: Project, tmp_path: Path) -> None:
    conf = project.settings().conf
    script_file = tmp_path / "completion.bash"
    folder = Path(sys.executable).parent
    script_file.write_text(
        subprocess.run(  # noqa: S603 - our own script
            [folder / "vecmill", "completion", "bash"], capture_output=True, text=True, check=True
        ).stdout,
        "utf-8",
    )
    asked = f"""
        export VECMILL_CONF={conf} PATH={folder}:$PATH
        source {script_file}
        offer() {{
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            $(complete -p vecmill | sed 's/.*-F \\([^ ]*\\).*/\\1/') vecmill "${{@: -1}}"
            echo "${{COMPREPLY[@]}}"
        }}
        offer vecmill ru
        offer vecmill run no
        offer vecmill plan --js
    """
    said = subprocess.run(  # noqa: S603 - as above
        ["/bin/bash", "-c", asked], capture_output=True, text=True, check=True
    )
    assert [line.split() for line in said.stdout.splitlines()] == [["run"], ["notes"], ["--json"]]


# --- looking --------------------------------------------------------------------------------------


@pytest.fixture
def filled(vecmill: Callable[..., Answer]) -> Callable[..., Answer]:
    """The project after its first run."""
    assert vecmill("run", "--direct").code == 0
    return vecmill


@pytest.fixture
def everything(filled: Callable[..., Answer], project: Project) -> Callable[..., Answer]:
    """The project after its first run; ``{root}`` in an argument is its folder."""

    def call(*arguments: str) -> Answer:
        return filled(*(argument.format(root=project.root) for argument in arguments))

    return call


def test_search_by_words_narrowed_and_with_recall(filled: Callable[..., Answer]) -> None:
    found = filled("search", "notes", "--words", "z", "--where", "record_id <> 'c'", "--json")
    assert (found.code, found.err) == (0, "")
    assert [row["record_id"] for row in found.rows] == ["d"]
    wrong = filled("search", "notes", "--id", "a", "--where", "lable = 'x'")
    assert wrong.code == 2
    assert "did you mean 'label'" in wrong.err
    for form in ((), ("--json",)):
        nothing = filled("search", "notes", "--words", "nowhere", *form)
        assert (nothing.code, nothing.out) == (0, "")
        assert "none of the 4 rows of notes has any of the words 'nowhere'" in nothing.err
    [measured] = filled("search", "notes", "--recall", "-k", "2", "--json").rows
    assert (measured["recall"], measured["k"], measured["index"]) == (1.0, 2, None)
    told = filled("search", "notes", "--id", "a", "--recall", "-k", "2", "--exact", "--json")
    assert len(told.rows) == 2
    assert "recall@2 1.000" in told.err
    assert "every row is looked at" in told.err


STATEMENT = "SELECT record_id, label, length(record_id) AS n FROM notes ORDER BY ALL"
ANSWER = [{"record_id": i, "label": label, "n": 1} for i, _, label in ROWS]


def test_sql_as_a_table(filled: Callable[..., Answer]) -> None:
    said = filled("sql", STATEMENT)
    assert said.code == 0
    lines = [[c.strip() for c in line.strip("│").split("│")] for line in said.out.splitlines()]
    assert ["record_id", "label", "n"] in lines
    assert ["a", "x", "1"] in lines


def test_sql_as_csv_and_json(filled: Callable[..., Answer]) -> None:
    rows = list(csv.DictReader(io.StringIO(filled("sql", STATEMENT, "--format", "csv").out)))
    assert rows == [{key: str(value) for key, value in row.items()} for row in ANSWER]
    assert json.loads(filled("sql", STATEMENT, "--format", "json").out) == ANSWER


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_sql_writes_a_file_of_the_format_that_its_ending_names(
    filled: Callable[..., Answer], tmp_path: Path, ending: str
) -> None:
    import polars as pl

    path = tmp_path / f"rows.{ending}"
    said = filled("sql", STATEMENT, "--output", str(path))
    assert (said.code, said.out) == (0, "")
    read: dict[str, Callable[[Path], pl.DataFrame]] = {
        "csv": pl.read_csv, "json": pl.read_json, "parquet": pl.read_parquet,
    }  # fmt: skip
    assert read[ending](path).to_dicts() == ANSWER


def test_sql_writes_the_format_it_is_told_whatever_the_ending(
    filled: Callable[..., Answer], tmp_path: Path
) -> None:
    path = tmp_path / "rows.txt"
    assert filled("sql", STATEMENT, "--output", str(path), "--format", "csv").code == 0
    assert path.read_text("utf-8").splitlines()[0] == "record_id,label,n"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELEC 1", "Parser Error"),
        ("FROM nots", "There are: "),
        ("SELECT nope FROM notes", "nope"),
        ("SELECT label::INTEGER FROM notes", "Conversion Error"),
    ],
)
def test_wrong_sql_is_told_in_duckdbs_words(
    filled: Callable[..., Answer], statement: str, said: str
) -> None:
    for form in ("table", "csv", "json", "parquet"):
        answer = filled("sql", statement, "--format", form)
        assert (answer.code, answer.out) == (2, ""), form
        assert said in answer.err, form
        assert "Traceback" not in answer.err, form


def test_sql_cannot_change_the_store(filled: Callable[..., Answer]) -> None:
    filled("sql", "DELETE FROM runs")
    assert json.loads(filled("sql", "SELECT count(*) AS n FROM runs", "--format", "json").out) == [
        {"n": 1}
    ]


def test_search_by_text_and_by_id(filled: Callable[..., Answer]) -> None:
    [first, *_] = rows = filled("search", "notes", "--text", "wheel", "--json").rows
    assert (first["record_id"], first["label"]) == ("a", "x")
    assert first["distance"] == pytest.approx(0, abs=1e-6)
    assert [row["distance"] for row in rows] == sorted(row["distance"] for row in rows)
    like = filled("search", "notes", "--id", "c", "-k", "2", "--json").rows
    assert [like[0]["record_id"], len(like)] == ["d", 2]
    told = filled("search", "notes", "--text", "wheel", "-k", "1").out.splitlines()
    assert [line.split() for line in told] == [["record_id", "distance", "label"], ["a", "0", "x"]]


def test_status_and_promote(filled: Callable[..., Answer], project: Project) -> None:
    project.encoder = {"revision": 2}
    assert filled("run", "--direct", "--json").rows[0]["standing"] == "candidate"
    waits = "notes v2 is a candidate: readers do not see it until `vecmill promote notes 2`"
    assert waits in filled("status").err
    promoted = filled("promote", "notes", "2")
    assert "candidate" not in filled("status").err
    assert (promoted.code, promoted.out, promoted.err) == (0, "", "notes_v2 is live\n")
    standings = [row["standing"] for row in filled("status", "--json").rows]
    assert standings == ["retired", "live"]
    refused = filled("promote", "notes", "3")
    assert refused.code == 2
    assert "notes has no version v3; there are: v1, v2" in refused.err
    np.testing.assert_array_equal(
        np.asarray(project.rows()["a"]["vector"], np.float32), vector_of("wheel", revision=2)
    )


def test_kept_values_that_json_cannot_say_are_null(
    vecmill: Callable[..., Answer], project: Project
) -> None:
    import polars as pl

    labels = [float("nan"), 1.5, float("inf")]
    table = pl.DataFrame({"id": ["a", "b", "c"], "text": ["x", "y", "z"], "label": labels})
    table.write_parquet(project.root / "notes.parquet")
    project.source = {"path": "notes.parquet"}
    vecmill("run", "--direct")
    rows = vecmill("search", "notes", "--text", "wheel", "--json").rows
    assert {row["record_id"]: row["label"] for row in rows} == {"a": None, "b": 1.5, "c": None}


def test_the_doctor_says_by_its_exit_code_whether_something_is_broken(
    filled: Callable[..., Answer], project: Project
) -> None:
    well = filled("doctor", "--json")
    assert well.code == 0
    assert {"fine", "note"} >= {row["state"] for row in well.rows}
    ill = filled("doctor", "--conf", str(project.root / "nope.toml"))
    assert ill.code == 1
    assert "broken  no configuration file" in ill.out
    assert "`vecmill init PATH` writes one" in ill.out


def test_init_writes_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conf = tmp_path / "conf" / "base.toml"
    assert run_command(["init", "--project", str(tmp_path)]) == 0
    assert f"then `vecmill plan --conf {conf}`" in capsys.readouterr().err
    assert run_command(["init", "--project", str(tmp_path)]) == 2
    assert "is there already" in capsys.readouterr().err


def test_init_here_needs_no_conf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command(["init"]) == 0
    assert "then `vecmill plan`\n" in capsys.readouterr().err
    assert (tmp_path / "conf" / "base.toml").is_file()


def test_a_fault_of_ours_asks_for_a_report(
    vecmill: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flows.runner, "runner", None)
    said = vecmill("run", "--direct")
    assert said.code == 1
    assert "Traceback" in said.err
    assert said.err.rstrip().endswith("please report it with the lines above")


# --- the installed script -------------------------------------------------------------------------


def test_the_script_gives_exit_codes(tmp_path: Path) -> None:
    assert script("--help", cwd=tmp_path).returncode == 0
    assert script("bogus", cwd=tmp_path).returncode == 2
    missing = script("status", cwd=tmp_path)
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr.startswith("error: no configuration file conf/base.toml; name one with ")


TABLE_CONF = """
[sources.cells]
kind = "table"
path = "cells.csv"
id = "id"
keep = ["label"]
[encoders.rows]
kind = "tabular"
dim = 2
[features.cells]
source = "cells"
encoder = "rows"
"""


def write_cells(folder: Path, n: int, shift: float = 0) -> None:
    """Add rows to the table; the first n begin it anew."""
    rng = np.random.default_rng(n)
    path = folder / "cells.csv"
    begun = path.read_text("utf-8") if shift else "id,label,x,y\n"
    rows = enumerate(rng.random((n, 2)) + shift)
    lines = [f"c{shift:g}.{i},{'ab'[i % 2]},{x:.3f},{y:.3f}\n" for i, (x, y) in rows]
    path.write_text(begun + "".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of table rows that the script has run."""
    folder = tmp_path_factory.mktemp("cells")
    (folder / "conf").mkdir()
    (folder / "conf" / "base.toml").write_text(TABLE_CONF, encoding="utf-8")
    write_cells(folder, 500)
    ran = script("run", "--direct", "--json", cwd=folder)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["new"] == 500
    return folder


@pytest.mark.slow
def test_parquet_goes_down_a_pipe(cells: Path) -> None:
    import polars as pl

    vecmill = Path(sys.executable).with_name("vecmill")
    done = subprocess.run(  # noqa: S603 - our own script
        [vecmill, "sql", "FROM cells", "--format", "parquet"],
        cwd=cells, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    rows = pl.read_parquet(io.BytesIO(done.stdout))
    assert (len(rows), rows["vector"].list.len().unique().to_list()) == (500, [2])
    assert rows.schema["vector"] == pl.List(pl.Float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "sql 'FROM cells a, cells b' --format csv",
        "sql 'FROM cells a, cells b LIMIT 20000' --format json",
        "search cells --id c0.0 --json -k 499",
        "search cells --id c0.0 -k 499",
    ],
)
def test_a_reader_that_leaves_is_no_accident(cells: Path, command: str) -> None:
    vecmill = Path(sys.executable).with_name("vecmill")
    done = subprocess.run(  # noqa: S602 - a pipe is what this is about
        f"{vecmill} {command} | head -c 1",
        cwd=cells, shell=True, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (len(done.stdout), done.stderr) == (1, "")


@pytest.mark.slow
def test_ctrl_c_is_no_accident(cells: Path) -> None:
    lock = FileLock(cells / "data" / "locks" / "cells.lock")
    vecmill = Path(sys.executable).with_name("vecmill")
    with (
        lock,
        subprocess.Popen(  # noqa: S603 - our own script
            [vecmill, "run", "--direct"], cwd=cells, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stderr is not None
        assert "another run of cells is under way" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        assert process.wait() == 130
    assert said.splitlines()[-1].startswith("error: interrupted; nothing half done is published")
    assert "Traceback" not in said


@pytest.mark.slow
def test_the_store_may_be_read_by_row(cells: Path) -> None:
    done = script("search", "cells", "--row", '{"x": 0.5, "y": 0.5}', "--json", cwd=cells)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 10


@pytest.mark.slow
def test_an_alarm_is_exit_code_3(
    cells: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(cells, folder)
    with (folder / "conf" / "base.toml").open("a") as conf:
        conf.write('monitors = ["drift"]\n')

    def here(*arguments: str) -> Answer:
        capfd.readouterr()
        code = run_command([*arguments, "--conf", str(folder / "conf" / "base.toml")])
        return Answer(code, *capfd.readouterr())

    # The encoder learned from the first run, so that alarms begin with what runs wrote since.
    write_cells(folder, 300, shift=0.001)
    usual = here("run", "--direct", "--json")
    assert usual.code == 0, usual.err
    write_cells(folder, 200, shift=0.7)
    ran = here("run", "--direct", "--json")
    assert ran.code == 3, ran.err
    assert json.loads(ran.out)["new"] == 200
    assert "cells: drift: alarm: the distribution moved: " in ran.err
    looked = here("monitor", "cells", "--direct", "--json")
    found = json.loads(looked.out)
    assert (looked.code, looked.err, found["verdict"]) == (3, "", "alarm")
    assert all(name.startswith("c0.7.") for name in found["record_ids"])
    told = here("monitor", "cells", "--direct")
    assert told.code == 3
    assert told.err.startswith(f"drift, clearest records: {found['record_ids'][0]}")
    [row] = map(json.loads, here("status", "--json").out.splitlines())
    assert row["alarms"] == 1


FILES_CONF = """
[sources.images]
kind = "files"
path = "images/*.png"
id = "{name}"
pattern = "{name}.png"
[sources.sounds]
kind = "files"
path = "sounds/*.wav"
id = "{name}"
pattern = "{name}.wav"
[encoders.patches]
kind = "vision"
centroids = 16
size = 16
[encoders.mfcc]
kind = "mfcc"
[features.images]
source = "images"
encoder = "patches"
[features.sounds]
source = "sounds"
encoder = "mfcc"
"""


@pytest.mark.slow
def test_search_by_an_image_and_by_a_recording(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import soundfile
    from PIL import Image

    conf = tmp_path / "files.toml"
    conf.write_text(FILES_CONF, encoding="utf-8")
    (tmp_path / "images").mkdir()
    (tmp_path / "sounds").mkdir()
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(
            tmp_path / "images" / f"i{i}.png"
        )
        wave = np.sin(np.arange(8000) * (i + 1) * 0.05) + 0.01 * rng.standard_normal(8000)
        soundfile.write(tmp_path / "sounds" / f"s{i}.wav", 0.5 * wave, 8000)
    assert run_command(["run", "--direct", "--conf", str(conf)]) == 0
    for feature, option, file in (
        ("images", "--image", "images/i3.png"),
        ("sounds", "--audio", "sounds/s5.wav"),
    ):
        capfd.readouterr()
        query = [option, str(tmp_path / file), "-k", "3", "--json", "--conf", str(conf)]
        assert run_command(["search", feature, *query]) == 0
        found = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        assert [len(found), found[0]["record_id"]] == [3, Path(file).stem]
    for option, value, said in (
        ("--text", "hello", "a query by text would be of another space"),
        ("--image", str(tmp_path / "nope.png"), "there is no file"),
        ("--image", str(conf), "files.toml: "),
    ):
        assert run_command(["search", "images", option, value, "--conf", str(conf)]) == 2
        assert said in capfd.readouterr().err
