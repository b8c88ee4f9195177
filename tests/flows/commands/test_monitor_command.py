"""`vecmill monitor`, and monitors that look with a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.flows.commands.commanding import Answer
    from tests.flows.project import Project


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
