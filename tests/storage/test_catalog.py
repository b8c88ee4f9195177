"""The catalog: versions, manifests and dead letters, each change whole and safe to repeat."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from storage.model import DeadLetter, FindingRow, Pace
from storage.schema import TABLES

if TYPE_CHECKING:
    from tests.storage.conftest import Store

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def test_a_catalog_that_is_not_there_is_empty_and_stays_away(unwritten: Store) -> None:
    assert unwritten.catalog.versions("notes") == []
    assert unwritten.catalog.live("notes") is None
    assert {
        name: len(table) for name, table in unwritten.catalog.tables().items()
    } == dict.fromkeys(TABLES, 0)
    assert not unwritten.path.parent.exists()


def test_versions_are_numbered_by_feature(store: Store) -> None:
    numbers = [store.version(f).version for f in ("f1", "f2", "f1", "f3")]
    assert numbers == [1, 2, 1, 3]
    assert store.version("f1", "others").version == 1
    version = store.catalog.versions("notes")[0]
    assert (version.recipe, version.types, version.table) == ({"a": 1}, {"n": "int"}, "notes_v1")


def test_the_first_version_that_is_published_goes_live(store: Store) -> None:
    one, two = store.version("f1"), store.version("f2")
    store.publish(two, "r1", 1)
    store.publish(one, "r2", 1)
    assert [v.standing for v in store.catalog.versions("notes")] == ["candidate", "live"]


def test_publishing_twice_is_publishing_once(store: Store) -> None:
    version = store.version()
    store.catalog.start_run("r1", "notes", 1)
    for _ in range(2):
        manifest = store.publish(version, "r1", 7, [DeadLetter("p", "why", "read")], NOW)
    assert store.catalog.manifests(version) == [manifest]
    assert len(store.catalog.query("FROM dead_letters")) == 1
    (run,) = store.catalog.query("FROM runs").to_pylist()
    assert (run["status"], run["new"], run["encode_seconds"]) == ("done", 3, 1.5)


def test_a_clock_that_is_set_back_does_not_bring_back_an_old_state(store: Store) -> None:
    version = store.version()
    store.publish(version, "r1", 3, at=NOW)
    store.publish(version, "r2", 4, at=NOW - timedelta(hours=1))
    manifest = store.catalog.published(version)
    assert manifest is not None
    assert (manifest.run_id, manifest.lance_version) == ("r2", 4)


def test_dead_letters_keep_the_run_that_first_met_them(store: Store) -> None:
    version = store.version()
    old = DeadLetter("p1", "why", "encode", "a", "h1")
    store.publish(version, "r1", 1, [old, DeadLetter("p2", "gone", "read")])
    store.publish(version, "r2", 2, [old, DeadLetter("p1", "other", "read", "a", "h1")])
    rows = store.catalog.query("SELECT reason, run_id FROM dead_letters ORDER BY 1").to_pylist()
    assert rows == [{"reason": "other", "run_id": "r2"}, {"reason": "why", "run_id": "r1"}]
    assert store.catalog.known_dead(version).to_pylist() == [
        {"content_hash": "h1", "reason": "why", "lasting": True}
    ]


def test_runs_that_were_killed_are_told_from_those_that_failed(store: Store) -> None:
    for run_id, feature in (("r1", "notes"), ("r2", "notes"), ("r3", "others")):
        store.catalog.start_run(run_id, feature, 1)
    store.catalog.fail_run("r1", "it's broken")
    assert store.catalog.abandon_runs("notes") == 1
    rows = store.catalog.query("SELECT run_id, status, error FROM runs ORDER BY 1").to_pylist()
    assert [row["status"] for row in rows] == ["failed", "crashed", "running"]
    assert rows[0]["error"] == "it's broken"


def test_the_pace_is_that_of_runs_that_encoded(store: Store) -> None:
    version = store.version()
    assert store.catalog.pace("notes", 1) is None
    store.catalog.start_run("r1", "notes", 1)
    store.publish(version, "r1", 1)
    pace = store.catalog.pace("notes", 1)
    assert pace == Pace(0.5, 0.5)
    assert (pace.seconds(10, 12), pace.seconds(0, 12), pace.seconds(0, 0)) == (5.5, 0.5, 0.0)


def test_findings_are_kept_as_they_are(store: Store) -> None:
    row = FindingRow(
        *("drift", "alarm", "it's so", 1.5, None, 0.01, None, 10, 20, "r0"),
        *(("a", "b'c"), {"x": 0.5}),
    )
    store.catalog.add_findings("notes", 1, "r1", [row])
    (kept,) = store.catalog.query("FROM findings").to_pylist()
    assert (kept["record_ids"], kept["detail"]) == (["a", "b'c"], '{"x": 0.5}')
    assert (kept["summary"], kept["threshold"], kept["p_value"]) == ("it's so", None, 0.01)


def test_what_a_monitor_finds_again_takes_the_place_of_what_it_found(store: Store) -> None:
    def found(monitor: str, summary: str) -> FindingRow:
        return FindingRow(monitor, "quiet", summary, None, None, None, None, 1, 1, None)

    for at in ((1, "r1"), (1, "r2"), (2, "r1")):
        store.catalog.add_findings("notes", *at, [found("drift", "old"), found("health", "old")])
    store.catalog.add_findings("notes", 1, "r1", [found("drift", "new")])
    store.catalog.add_findings("others", 1, "r2", [found("drift", "other")])
    sql = "SELECT version, run_id, monitor, summary FROM findings WHERE summary != 'old'"
    rows = store.catalog.query(f"{sql} ORDER BY ALL").to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (1, "r1", "drift", "new"),
        (1, "r2", "drift", "other"),
    ]
    assert len(store.catalog.query("FROM findings")) == 7
