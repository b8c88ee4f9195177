"""Maps as they are kept: whole or not at all, and without whom they are to forget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from storage.maps import KeptMap, Maps
from storage.model import StorageError

if TYPE_CHECKING:
    from pathlib import Path


def kept(*ids: str) -> KeptMap:
    n = len(ids)
    places = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    return KeptMap([*ids], [f"h-{i}" for i in ids], places, np.arange(n) % 2 == 1, {"k": "v"})


@pytest.fixture
def maps(tmp_path: Path) -> Maps:
    return Maps(tmp_path / "maps")


def loaded(maps: Maps, method: str = "pca") -> KeptMap:
    found = maps.load("a_v1", method)
    assert found is not None
    return found


def test_what_is_kept_is_what_was_given(maps: Maps) -> None:
    assert maps.load("a_v1", "pca") is None
    assert maps.tables() == []
    given = kept("x", "naïve ☃", "")
    maps.save("a_v1", "pca", given)
    found = loaded(maps)
    assert (found.ids, found.hashes, found.meta) == (given.ids, given.hashes, given.meta)
    np.testing.assert_array_equal(found.places, given.places)
    np.testing.assert_array_equal(found.added, given.added)
    assert maps.load("a_v1", "tsne") is None
    assert maps.tables() == ["a_v1"]
    assert maps.size("a_v1") > 0


def test_records_go_from_every_map_and_the_others_stay(maps: Maps, tmp_path: Path) -> None:
    for method in ("pca", "tsne"):
        maps.save("a_v1", method, kept("MARK-1", "other", "MARK-2", "MARK-1#0"))
    assert maps.count("a_v1", {"MARK-1", "none"}, chunked=False) == 2
    assert maps.erase("a_v1", {"MARK-1", "none"}, chunked=False) == 2
    found = loaded(maps)
    assert found.ids == ["other", "MARK-2", "MARK-1#0"]
    np.testing.assert_array_equal(found.places, [[2, 3], [4, 5], [6, 7]])
    assert found.added.tolist() == [True, False, True]
    assert maps.count("a_v1", {"MARK-1"}, chunked=True) == 2
    maps.erase("a_v1", {"MARK-1", "MARK-2"}, chunked=True)  # no row is a part of MARK-2
    assert loaded(maps).ids == ["other", "MARK-2"]
    maps.erase("a_v1", {"MARK-2"}, chunked=False)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 2
    assert not any(b"MARK" in path.read_bytes() for path in files)
    maps.drop("a_v1")
    assert maps.tables() == []
    maps.drop("a_v1")  # is no fault


def test_ids_stand_in_the_file_as_they_are(maps: Maps, tmp_path: Path) -> None:
    many = [f"MARK-{i:05}" for i in range(3000)]
    maps.save("a_v1", "pca", kept(*many))
    data = next(tmp_path.rglob("*.parquet")).read_bytes()
    assert all(i.encode() in data for i in many)


def test_a_damaged_map_is_told_and_goes_where_somebody_is_erased(
    maps: Maps, tmp_path: Path
) -> None:
    maps.save("a_v1", "pca", kept("x"))
    path = tmp_path / "maps" / "a_v1" / "pca.parquet"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(StorageError, match=r"the map .* is damaged: .*; delete it"):
        maps.load("a_v1", "pca")
    assert maps.count("a_v1", {"x"}, chunked=False) == 1
    assert maps.erase("a_v1", {"x"}, chunked=False) == 1
    assert maps.load("a_v1", "pca") is None


def test_what_a_kill_left_goes_with_the_next_map(maps: Maps, tmp_path: Path) -> None:
    maps.save("a_v1", "pca", kept("x"))
    left = tmp_path / "maps" / "a_v1" / "tsne.1.tmp"
    left.write_bytes(b"MARK")
    assert maps.leftovers("a_v1") == [left]
    maps.erase("a_v1", {"nobody"}, chunked=False)
    assert maps.leftovers("a_v1") == []
    left.write_bytes(b"MARK")
    maps.save("a_v1", "tsne", kept("x"))
    assert not left.exists()
