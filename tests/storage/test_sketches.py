"""Sketches are kept whole or not at all, and what cannot be read is not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from storage.sketches import Sketches, note_occupancy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.storage.conftest import Store

ARRAYS = {"sums": np.arange(5.0), "counts": np.array([[1, 2], [3, 4]]), "n": np.array(7)}


@pytest.fixture
def sketches(tmp_path: Path) -> Sketches:
    return Sketches(tmp_path / "sketches")


def test_what_is_kept_comes_back(sketches: Sketches) -> None:
    assert sketches.load("t_v1", "basis") is None
    assert (sketches.names("t_v1"), sketches.tables()) == ([], [])
    sketches.save("t_v1", "basis", ARRAYS, {"border": 3})
    sketches.save("t_v1", "basis", ARRAYS | {"n": np.array(8)}, {"border": 4})
    for name in ("STATE-12", "STATE-9", "20260101T000000-0", "STATE-odd"):
        sketches.save("t_v1", name, ARRAYS, {})
    kept = sketches.load("t_v1", "basis")
    assert kept is not None
    assert kept[1] == {"border": 4}
    assert kept[0]["n"] == 8
    np.testing.assert_array_equal(kept[0]["counts"], ARRAYS["counts"])
    assert sketches.states("t_v1") == [9, 12]
    assert sketches.runs("t_v1") == ["20260101T000000-0"]
    sketches.remove("t_v1", ["STATE-9", "not there"])
    assert sketches.states("t_v1") == [12]
    sketches.drop("t_v1")
    assert sketches.tables() == []


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut", b"\x80\x04]\x94.", b"\x93NUMPY"])
def test_what_cannot_be_read_is_not_there(sketches: Sketches, content: bytes) -> None:
    sketches.save("t_v1", "basis", ARRAYS, {})
    sketches.path("t_v1", "basis").write_bytes(content)
    assert sketches.load("t_v1", "basis") is None


def test_a_pickle_among_the_arrays_is_not_unpacked(sketches: Sketches) -> None:
    odd = {"odd": np.array([print], dtype=object)}
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        sketches.save("t_v1", "basis", ARRAYS | odd, {})
    np.savez(sketches.path("t_v1", "basis"), meta=np.array("{}"), **odd)  # type: ignore[arg-type]
    assert sketches.load("t_v1", "basis") is None


def test_a_write_that_fails_leaves_what_was_there(sketches: Sketches) -> None:
    sketches.save("t_v1", "basis", ARRAYS, {"border": 1})
    with pytest.raises(TypeError, match="not JSON serializable"):
        sketches.save("t_v1", "basis", ARRAYS, {"border": object()})
    kept = sketches.load("t_v1", "basis")
    assert kept is not None
    assert kept[1] == {"border": 1}
    assert sketches.leftovers("t_v1") == []


def test_what_is_noted_of_a_run_replaces_what_was(store: Store) -> None:
    version = store.version("abc")
    for counts in ([1, 2, 3], [4, 0, 5]):
        note_occupancy(store.catalog, version, "run 1", "basis", counts)
    note_occupancy(store.catalog, version, "run 2", "basis", [1, 1, 1])
    found = store.catalog.query("FROM occupancy ORDER BY run_id, cell").to_pylist()
    assert [row["contents"] for row in found] == [4, 0, 5, 1, 1, 1]
    assert {row["basis"] for row in found} == {"basis"}


def test_of_a_run_that_is_not_published_no_session_shows_anything(store: Store) -> None:
    version = store.version("abc")
    for run_id, ends in (("done", True), ("killed", False), ("failed", False), ("going on", False)):
        store.catalog.start_run(run_id, version.feature, version.version)
        note_occupancy(store.catalog, version, run_id, "basis", [1])
        if ends:
            store.publish(version, run_id, 1)
        elif run_id == "killed":
            store.catalog.abandon_runs(version.feature)
        elif run_id == "failed":
            store.catalog.fail_run(run_id, "blocked")
    left = store.catalog.query("SELECT DISTINCT run_id FROM occupancy ORDER BY run_id")
    assert left.column("run_id").to_pylist() == ["done", "going on"]
    shown = store.catalog.tables()["occupancy"]
    assert shown.column("run_id").to_pylist() == ["done"]
    assert shown.column_names == store.catalog.query("FROM occupancy").column_names
