"""Promotion through gates, the way back, and features that are configured no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flows.config.settings import SettingsError
from flows.config.stores import Stores
from flows.lifecycle import promotion as lifecycle
from flows.lifecycle.promotion import GateError
from storage import standings
from storage.model import FindingRow, StorageError, UsageError
from tests.flows.chunked import cut

if TYPE_CHECKING:
    from flows.config.settings import Settings
    from flows.lifecycle.promotion import Promotion
    from tests.flows.project import Project

ROWS = [(f"r{n}", f"text {n}", "x") for n in range(200)]


@pytest.fixture
def two(project: Project) -> Project:
    """A live version of 200 records, and a candidate of the same."""
    project.write(ROWS)
    project.run()
    project.encoder = {"revision": 2, "dim": 5}
    project.run()
    return project


def promote(project: Project, which: int | str = 2, **how: Any) -> Promotion:  # noqa: ANN401 - handed on
    return lifecycle.promote(project.settings(), "notes", which, **how)


def now(project: Project) -> list[str]:
    return [version.standing for version in project.versions()]


def gated(project: Project, **gates: float | bool) -> None:
    project.feature = {**project.feature, "gates": gates}


def test_a_candidate_goes_live_through_its_gates(two: Project) -> None:
    done = promote(two, "candidate")
    assert (done.version.version, done.version.standing, done.before) == (2, "live", 1)
    assert (done.changed, done.forced, {v.passed for v in done.gates}) == (True, False, {True})
    assert now(two) == ["retired", "live"]
    assert two.rows() == two.rows("notes_v2")
    last = standings.log(two.stores().catalog, "notes")[-1]
    assert last.gates == [verdict.row() for verdict in done.gates]


def test_what_is_live_already_is_left_alone(two: Project) -> None:
    done = promote(two, 1)
    assert (done.changed, done.gates) == (False, ())
    assert len(standings.log(two.stores().catalog, "notes")) == 1


def test_a_gate_that_fails_keeps_the_live_version(two: Project) -> None:
    gated(two, min_overlap=0.5)
    with pytest.raises(
        GateError, match=r"notes_v2 does not pass its gates.*min_overlap: the 10 nea"
    ) as e:
        promote(two)
    assert now(two) == ["live", "candidate"]
    assert "vecmill run" not in str(e.value), "no run mends that"
    assert "stays as it is: see min_overlap. Change [features.notes.gates]" in e.value.brief
    [overlap] = [verdict for verdict in e.value.verdicts if not verdict.passed]
    assert overlap.found == pytest.approx(10 / 199, abs=0.05), "random vectors agree by chance"


def test_force_takes_a_reason_and_leaves_a_trace(two: Project) -> None:
    gated(two, min_cka=0.99)
    for reason in (None, " "):
        with pytest.raises(UsageError, match=r'takes a reason: --reason "\.\.\."'):
            promote(two, force=True, reason=reason)
    done = promote(two, force=True, reason="asked for by sales")
    assert (done.forced, now(two)) == (True, ["retired", "live"])
    last = standings.log(two.stores().catalog, "notes")[-1]
    assert (last.forced, last.reason) == (True, "asked for by sales")
    assert [verdict["gate"] for verdict in last.gates or () if not verdict["passed"]] == ["min_cka"]


def test_what_passed_was_not_forced(two: Project) -> None:
    assert not promote(two, force=True, reason="to be sure").forced


def test_records_that_the_live_version_has_must_not_go_missing(project: Project) -> None:
    project.write(ROWS)
    project.run()
    project.encoder = {"revision": 2}
    project.write(ROWS[:150])
    project.run()
    with pytest.raises(
        GateError,
        match=r"min_coverage: holds 75.00% of the records of notes_v1.*r150.*vecmill run notes",
    ):
        promote(project)
    gated(project, min_coverage=0.7)
    assert promote(project).changed


def test_a_version_that_fell_behind_is_not_promoted(two: Project) -> None:
    two.encoder = {}
    two.write(
        [(name, f"new {name}" if n < 20 else text, "x") for n, (name, text, _) in enumerate(ROWS)]
    )
    two.run()
    with pytest.raises(GateError, match=r"min_fresh: 90\.00% of the records that notes_v1 has too"):
        promote(two)
    two.encoder = {"revision": 2, "dim": 5}
    two.run()
    assert promote(two).changed


def test_a_candidate_that_is_ahead_is_promoted(two: Project) -> None:
    two.write([(name, f"new {name}", "x") for name, _, _ in ROWS])
    two.run()
    assert promote(two).changed


def test_an_alarm_holds_it_back_until_the_monitor_is_quiet(two: Project) -> None:
    catalog = two.stores().catalog

    runs = {v.version: catalog.manifests(v)[-1].run_id for v in catalog.versions("notes")}

    def look(version: int, verdict: str, run: str | None = None) -> None:
        row = FindingRow("drift", verdict, "told", None, None, None, None, 1, 1, None)
        catalog.add_findings("notes", version, run or runs[version], [row])

    look(1, "alarm")
    look(2, "alarm")
    with pytest.raises(GateError, match="no_alarms: alarms by drift"):
        promote(two)
    look(2, "quiet")
    look(2, "alarm", "a run that it kept from being published")
    assert promote(two).changed


def test_an_alarm_holds_it_back_though_a_small_run_came_after_it(two: Project) -> None:
    """The rows that alarmed are still there."""
    catalog = two.stores().catalog

    def look(verdict: str) -> None:
        run = catalog.manifests(catalog.versions("notes")[1])[-1].run_id
        row = FindingRow("drift", verdict, "told", None, None, None, None, 1, 1, None)
        catalog.add_findings("notes", 2, run, [row])

    look("alarm")
    two.write([*ROWS, ("more", "one more", "x")])
    two.run()
    look("cannot tell")
    with pytest.raises(GateError, match="no_alarms: alarms by drift"):
        promote(two)
    look("quiet")
    assert promote(two).changed


def test_an_incomplete_version_can_only_be_forced(two: Project) -> None:
    with two.stores().catalog.transaction() as con:
        con.execute("UPDATE versions SET complete = false WHERE version = 2")
    with pytest.raises(GateError, match="complete: no run over the whole source"):
        promote(two)
    assert promote(two, force=True, reason="half is enough").forced


def test_force_gives_readers_nothing_that_is_not_there(two: Project) -> None:
    catalog = two.stores().catalog
    how: dict[str, Any] = {"force": True, "reason": "come what may"}
    with pytest.raises(UsageError, match="no version v3; there are: v1, v2"):
        promote(two, 3, **how)
    with catalog.transaction() as con:
        con.execute("UPDATE manifests SET forgotten_at = now() WHERE version = 2")
    with pytest.raises(UsageError, match="notes_v2 has no published run"):
        promote(two, **how)
    with catalog.transaction() as con:
        con.execute("UPDATE versions SET dropped_at = now() WHERE version = 2")
    with pytest.raises(UsageError, match="notes_v2 was dropped on"):
        promote(two, **how)
    with pytest.raises(UsageError, match="notes has no candidate"):
        promote(two, "candidate", **how)
    assert now(two) == ["live", "candidate"]


def test_a_table_that_is_lost_is_not_promoted(two: Project) -> None:
    import shutil

    shutil.rmtree(two.root / "data" / "vectors" / "notes_v2.lance")
    with pytest.raises(StorageError, match="notes_v2"):
        promote(two, force=True, reason="come what may")
    assert now(two) == ["live", "candidate"]


def test_a_run_that_publishes_meanwhile_is_looked_at_too(
    two: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gates pass, then a run removes most records before the switch: they are asked again."""
    asked: list[int] = []
    whole = lifecycle.gates_of

    def then_a_run(stores: Stores, *rest: Any) -> Any:  # noqa: ANN401 - handed on
        verdicts = whole(stores, *rest)
        if not asked:
            two.write(ROWS[:20])
            two.feature = {"max_deleted": 1.0}
            two.run()
        asked.append(len(verdicts))
        return verdicts

    monkeypatch.setattr(lifecycle, "gates_of", then_a_run)
    with pytest.raises(GateError, match=r"min_coverage: holds 10\.00%"):
        promote(two)
    assert (len(asked), now(two)) == (2, ["live", "candidate"])


def test_back_and_back_again(two: Project) -> None:
    settings = two.settings()
    before = two.rows()
    promote(two)
    assert lifecycle.rollback(settings, "notes", "worse") == (2, 1)
    assert (two.rows(), now(two)) == (before, ["live", "retired"])
    with pytest.raises(UsageError, match="no version of notes was live before v1"):
        lifecycle.rollback(settings, "notes")
    assert promote(two, 2).changed, "a retired version can be promoted again"


def test_a_rollback_needs_no_vectors(two: Project) -> None:
    """It must work in a second, also while the object store is away."""
    promote(two)
    (two.root / "data" / "vectors").rename(two.root / "data" / "away")
    assert lifecycle.rollback(two.settings(), "notes") == (2, 1)


def removed(project: Project) -> Settings:
    """The configuration without the feature."""
    path = project.root / "vecmill.toml"
    text = project.settings().conf.read_text("utf-8")
    path.write_text(text.replace("features.notes", "features.others"), encoding="utf-8")
    from flows.config.configuration import load

    return load(path)


def test_a_feature_that_is_configured_no_more_is_retired_whole(two: Project) -> None:
    with pytest.raises(UsageError, match=r"take \[features.notes\] out of vecmill.toml first"):
        lifecycle.retire_all(two.settings(), "notes")
    settings = removed(two)
    assert lifecycle.retire(settings, "notes", 2)
    assert lifecycle.promote(settings, "notes", 2).changed
    assert lifecycle.rollback(settings, "notes") == (2, 1)
    assert lifecycle.retire_all(settings, "notes") == [1]
    assert {v.standing for v in Stores.of(settings).catalog.versions("notes")} == {"retired"}


def test_a_feature_that_is_nowhere(two: Project) -> None:
    for call in (lifecycle.rollback, lifecycle.retire_all):
        with pytest.raises(SettingsError, match="no feature 'notse'; did you mean 'notes'"):
            call(two.settings(), "notse")


def test_a_feature_that_has_not_run(project: Project) -> None:
    with pytest.raises(UsageError, match="notes has no version v1; there are: none"):
        promote(project, 1)
    assert not (project.root / "data").exists()


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        (
            {"min_overlp": 0.5},
            r"unknown key 'min_overlp' in \[features.notes.gates\]; did you mean",
        ),
        ({"min_overlap": 2}, "min_overlap is a share from 0 to 1, got 2"),
        ({"min_overlap": True}, r"\[features.notes.gates\] min_overlap = true"),
        ({"no_alarms": "maybe"}, "no_alarms = 'maybe': expected"),
    ],
)
def test_gates_are_checked_with_the_configuration(
    project: Project, gates: dict[str, Any], said: str
) -> None:
    project.feature = {"gates": gates}
    with pytest.raises(SettingsError, match=said):
        project.settings()


def found_dead(project: Project) -> float | None:
    """What the gate ``max_dead`` found when the candidate was promoted."""
    gated(project, max_dead=0.99)
    verdicts = {verdict.gate: verdict.found for verdict in promote(project).gates}
    return verdicts["max_dead"]


def test_the_share_of_dead_records_is_of_records_where_rows_are_chunks(project: Project) -> None:
    long = " ".join(f"FAIL{n} and more" for n in range(30))
    project.write([*((f"a{n}", f"one two {n} four", "x") for n in range(9)), ("b", long, "x")])
    cut(project)
    project.run()
    cut(project, revision=2)
    project.run()
    assert len(project.dead()) == 1, "thirty letters, all of one place"
    assert found_dead(project) == 0.1


def test_a_dead_record_that_kept_its_row_counts_once(project: Project) -> None:
    rows = [(f"a{n}", f"text {n}", "x") for n in range(8)]
    project.write(rows)
    project.run()
    project.encoder = {"revision": 2}
    project.run()
    project.write([("a0", "FAIL", "x"), *rows[1:], ("a1", "again", "x"), ("new", "FAIL", "x")])
    assert project.run().counts.dead == 3
    assert found_dead(project) == 0.3
