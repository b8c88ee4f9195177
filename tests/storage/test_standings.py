"""Standings: what is live, how one goes back, and the log that says how it came so."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from storage import standings
from storage.model import FindingRow, UsageError
from tests.storage.conftest import begun

if TYPE_CHECKING:
    from pathlib import Path

    from tests.storage.conftest import Store


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, empty_catalog: Path) -> Path:
    """The catalog of three published versions, the first live."""
    store = begun(tmp_path_factory.mktemp("three"), empty_catalog)
    for mark in ("f1", "f2", "f3"):
        store.publish(store.version(mark), f"run {mark}", 1)
    return store.path


@pytest.fixture
def store(tmp_path: Path, three: Path) -> Store:
    return begun(tmp_path, three)


@pytest.fixture
def empty(tmp_path: Path, empty_catalog: Path) -> Store:
    return begun(tmp_path, empty_catalog)


def promote(store: Store, number: int) -> bool:
    basis = standings.basis(store.catalog, "notes", number)
    return standings.promote(store.catalog, "notes", number, basis)


def drop(store: Store, number: int) -> None:
    with store.catalog.transaction() as con:
        con.execute("UPDATE versions SET dropped_at = now() WHERE version = ?", [number])


def now(store: Store) -> list[str]:
    return [version.standing for version in store.catalog.versions("notes")]


def entries(store: Store) -> list[tuple[int, str, str]]:
    log = standings.log(store.catalog, "notes")
    return [(change.version, change.standing, change.action) for change in log]


def test_a_promotion_is_logged_with_what_the_gates_said(store: Store) -> None:
    basis = standings.basis(store.catalog, "notes", 2)
    assert (basis.live, basis.live_run, basis.run, basis.complete) == (1, "run f1", "run f2", True)
    said = [{"gate": "min_overlap", "passed": False, "found": 0.5}]
    assert standings.promote(
        store.catalog, "notes", 2, basis, forced=True, reason="it's better", gates=said
    )
    assert now(store) == ["retired", "live", "candidate"]
    first, old, new = standings.log(store.catalog, "notes")
    assert (first.version, first.action, first.forced, first.gates) == (1, "publish", False, None)
    assert (old.version, old.standing) == (1, "retired")
    assert (new.version, new.standing, new.action) == (2, "live", "promote")
    assert (new.forced, new.reason, new.gates) == (True, "it's better", said)


@pytest.mark.parametrize("change", ["candidate", "live", "promotion", "finding", "drop", "forget"])
def test_what_changed_since_it_was_decided_is_decided_again(store: Store, change: str) -> None:
    basis = standings.basis(store.catalog, "notes", 2)
    versions = store.catalog.versions("notes")
    if change == "candidate":
        store.publish(versions[1], "another run", 2)
    elif change == "live":
        store.publish(versions[0], "another run", 2)
    elif change == "promotion":
        promote(store, 3)
    elif change == "finding":
        row = FindingRow("drift", "alarm", "told", None, None, None, None, 1, 1, None)
        store.catalog.add_findings("notes", 2, "run f2", [row])
    elif change == "drop":
        drop(store, 2)
    else:
        with store.catalog.transaction() as con:
            con.execute("UPDATE manifests SET forgotten_at = now() WHERE run_id = 'run f2'")
    before = now(store)
    assert not standings.promote(store.catalog, "notes", 2, basis)
    assert now(store) == before
    assert standings.basis(store.catalog, "notes", 2) != basis


def test_what_changed_elsewhere_is_none_of_its_business(store: Store) -> None:
    basis = standings.basis(store.catalog, "notes", 2)
    store.publish(store.catalog.versions("notes")[2], "another run", 2)
    store.publish(store.version("f9", "others"), "yet another", 1)
    assert standings.promote(store.catalog, "notes", 2, basis)


def test_readers_are_never_given_nothing(store: Store) -> None:
    store.version("f4")
    with pytest.raises(UsageError, match="notes_v4 has no published run"):
        promote(store, 4)
    drop(store, 3)
    with pytest.raises(UsageError, match=r"notes_v3 was dropped on \d{4}-"):
        promote(store, 3)
    with pytest.raises(UsageError, match="no version v9"):
        promote(store, 9)
    assert now(store)[0] == "live"


def test_rolling_back_walks_back_and_stops_at_the_first(store: Store) -> None:
    promote(store, 2)
    promote(store, 3)
    assert standings.rollback(store.catalog, "notes", "worse") == (3, 2)
    assert standings.rollback(store.catalog, "notes") == (2, 1)
    with pytest.raises(UsageError, match=r"live before v1 \(v2, which .*; .*promote notes 2`"):
        standings.rollback(store.catalog, "notes")
    assert now(store) == ["live", "retired", "retired"]
    last = standings.log(store.catalog, "notes")[-3]
    assert (last.version, last.action, last.forced, last.reason) == (2, "rollback", False, "worse")


def test_a_promotion_after_a_rollback_is_what_is_gone_back_from(store: Store) -> None:
    promote(store, 2)
    standings.rollback(store.catalog, "notes")
    promote(store, 3)
    assert standings.rollback(store.catalog, "notes") == (3, 1)


def test_to_promote_an_earlier_one_again_is_a_step_on(store: Store) -> None:
    for number in (2, 3, 1):
        promote(store, number)
    walked = [standings.rollback(store.catalog, "notes") for _ in range(2)]
    assert walked == [(1, 3), (3, 2)]
    with pytest.raises(UsageError, match="was live before v2"):
        standings.rollback(store.catalog, "notes")


def test_a_dropped_version_is_not_gone_back_to(store: Store) -> None:
    promote(store, 2)
    drop(store, 1)
    with pytest.raises(UsageError, match="notes_v1, which was live before v2, was dropped on"):
        standings.rollback(store.catalog, "notes")
    assert now(store) == ["retired", "live", "candidate"]


def test_the_log_is_read_in_its_order_though_the_clock_is_set_back(store: Store) -> None:
    promote(store, 2)
    with store.catalog.transaction() as con:
        con.execute("UPDATE standings SET changed_at = ?", [datetime(2020, 1, 1, tzinfo=UTC)])
    promote(store, 3)
    assert standings.rollback(store.catalog, "notes") == (3, 2)


def test_a_feature_without_a_live_version_has_no_way_back(empty: Store) -> None:
    empty.version("f1")
    with pytest.raises(UsageError, match="notes has no live version to go back from"):
        standings.rollback(empty.catalog, "notes")


def test_a_candidate_is_retired_and_promoted_again(store: Store) -> None:
    assert standings.retire(store.catalog, "notes", 2, "not needed")
    assert not standings.retire(store.catalog, "notes", 2)
    assert now(store) == ["live", "retired", "candidate"]
    assert entries(store)[-1] == (2, "retired", "retire")
    with pytest.raises(UsageError, match="notes_v1 is what readers of notes see"):
        standings.retire(store.catalog, "notes", 1)
    with pytest.raises(UsageError, match="no version v9; there are: v1, v2, v3"):
        standings.retire(store.catalog, "notes", 9)
    assert promote(store, 2)
    assert now(store) == ["retired", "live", "candidate"]


def test_all_versions_are_retired_together(store: Store) -> None:
    store.publish(store.version("f9", "others"), "another", 1)
    promote(store, 2)
    assert standings.retire_all(store.catalog, "notes") == [2, 3]
    assert now(store) == ["retired"] * 3
    assert store.catalog.live("notes") is None
    assert standings.retire_all(store.catalog, "notes") == []
    assert [v.standing for v in store.catalog.versions("others")] == ["live"]
    assert promote(store, 3)


def test_the_path_is_what_the_log_says(store: Store) -> None:
    promote(store, 2)
    log = standings.log(store.catalog, "notes")
    assert standings.walked(log) == [1, 2]
    lost = replace(log[-1], version=7, action="rollback")
    assert standings.walked([*log, lost]) == [7]


def test_what_was_given_up_is_a_candidate_again(empty: Store) -> None:
    for number in (1, 2):
        empty.publish(empty.version(f"f{number}"), f"r{number}", number)
    assert not standings.reinstate(empty.catalog, "notes", 2), "it is a candidate"
    assert standings.retire(empty.catalog, "notes", 2)
    assert standings.reinstate(empty.catalog, "notes", 2, "wanted again")
    assert not standings.reinstate(empty.catalog, "notes", 1), "it is live"
    assert [v.standing for v in empty.catalog.versions("notes")] == ["live", "candidate"]
    last = standings.log(empty.catalog, "notes")[-1]
    told = (last.version, last.standing, last.action, last.reason)
    assert told == (2, "candidate", "reinstate", "wanted again")
