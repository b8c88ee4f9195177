"""Tables joined by their ids equal a join by hand, whatever was deleted from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.aligned import Aligned, Side, Tally, ids_by, own_by
from storage.model import StorageError
from storage.vectors import Vectors
from storage.within import nearest_within
from tests.storage.conftest import DIM, matrix, places, reader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def owned(ids: Sequence[str], owners: Sequence[str | None]) -> pa.RecordBatchReader:
    """Rows that name the record that each belongs to."""
    table = reader(ids, seed=1).read_all()
    return table.append_column("owner", pa.array(owners, pa.string())).to_reader()


def joined(tables: Aligned, *, every: bool) -> list[dict[str, Any]]:
    return [row for batch in tables.stream(every=every) for row in batch.to_pylist()]


names = st.integers(0, 9).map(str)


@settings(
    deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(names, unique=True),
    st.lists(st.tuples(names, st.one_of(st.none(), st.just(" "), names)), unique_by=lambda p: p[0]),
    st.sets(names),
    st.booleans(),
)
def test_a_join_is_that_by_hand(
    tmp_path: Path,
    first: list[str],
    second: list[tuple[str, str | None]],
    gone: set[str],
    every: bool,  # noqa: FBT001 - drawn
) -> None:
    vectors = Vectors(str(tmp_path))
    one = vectors.rewrite("a_v1", reader(["x", *first]))
    going = places(vectors, "a_v1", one, ["x", *gone])
    one = vectors.commit("a_v1", one, reader([]), going)
    two = vectors.rewrite("b_v1", owned([p[0] for p in second], [p[1] for p in second]))
    sides = [Side("a", "a_v1", one), Side("b", "b_v1", two, key="owner", kept=("label",))]
    tables = Aligned(vectors, sides)
    rows = joined(tables, every=every)
    left = [i for i in first if i not in gone]
    owners: dict[str, list[str]] = {}
    for own, owner in second:
        if owner is not None and owner.strip():
            owners.setdefault(owner, []).append(own)
    expected = {*left} & {*owners} if every else {*left} | {*owners}
    assert {row["id"] for row in rows} == expected
    assert len(rows) == len(expected)
    for row in rows:
        assert row["own_0"] == (row["id"] if row["id"] in left else None)
        mine = owners.get(row["id"], [])
        assert row["own_1"] == (mine[0] if mine else None)
        assert row["n_1"] == (len(mine) or None)
        if mine:
            assert row["kept_1_0"] == [own for own, _ in second].index(mine[0])
    everything = {*left} | {*owners}
    nameless = sum(owner is None or not owner.strip() for _, owner in second)
    lacking = {"a": len(everything - {*left}), "b": len(everything - {*owners})}
    assert tables.tally == Tally(len(everything), lacking, {"a": 0, "b": nameless})
    whole = matrix(len(first) + 1)[1:]
    found = np.array([row["place_0"] for row in rows if row["place_0"] is not None], np.int64)
    wanted = [first.index(row["own_0"]) for row in rows if row["own_0"] is not None]
    np.testing.assert_array_equal(tables.vectors("a", found), whole[wanted])


def test_ids_both_ways_and_names_that_quote(tmp_path: Path) -> None:
    vectors = Vectors(str(tmp_path))
    state = vectors.rewrite("b_v1", owned(["p'1", "p2", "p3"], ["a\"'", "b", None]))
    side = Side("b", "b_v1", state, key="owner")
    assert ids_by(vectors, side, ["p'1", "p3", "none"]) == {"a\"'"}
    assert own_by(vectors, side, ["b", "a\"'"]) == {"p2", "p'1"}


def test_a_state_that_is_gone(tmp_path: Path) -> None:
    vectors = Vectors(str(tmp_path))
    vectors.rewrite("a_v1", reader(["a"]))
    with pytest.raises(StorageError, match="no Lance version 9"):
        Aligned(vectors, [Side("a", "a_v1", 9)])


def test_a_search_that_is_left_early_lets_go(tmp_path: Path) -> None:
    vectors = Vectors(str(tmp_path))
    state = vectors.rewrite("a_v1", reader([str(i) for i in range(20_000)]))
    tables = Aligned(vectors, [Side("a", "a_v1", state)])
    abandoned: Any = tables.stream(every=True)
    assert len(next(abandoned)) < 20_000
    abandoned.close()
    assert len(joined(tables, every=True)) == 20_000


@pytest.mark.parametrize("dims", [[slice(1, 2)], [slice(0, 1), slice(2, 4)]])
def test_nearest_within_some_dimensions(tmp_path: Path, dims: list[slice]) -> None:
    vectors = Vectors(str(tmp_path))
    ids = [str(i) for i in range(300)]
    state = vectors.rewrite("a_v1", reader(ids, seed=3))
    state = vectors.commit("a_v1", state, reader([]), [0, 7])
    query = np.linspace(-1, 1, DIM, dtype=np.float32)
    chosen = np.concatenate([np.arange(DIM)[one] for one in dims])
    whole = matrix(300, 3)[:, chosen].astype(np.float64)
    distances = ((whole - query[chosen]) ** 2).sum(axis=1)
    distances[[0, 7]] = np.inf
    expected = np.argsort(distances)[:9]
    found = nearest_within(vectors, ("a_v1", state), query, dims, 9)
    assert found["record_id"].to_pylist() == [ids[i] for i in expected]
    np.testing.assert_allclose(found["distance"].to_numpy(), distances[expected], rtol=1e-6)
    assert "vector" not in found.column_names
    assert found["label"].to_pylist() == expected.tolist()


def test_rows_with_nothing_there_are_no_neighbours(tmp_path: Path) -> None:
    vectors = Vectors(str(tmp_path))
    table = reader(["a", "b"]).read_all()
    flat = pa.array(np.array([0, 0, 1, 1, 5, 5, 0, 0], np.float32))
    rows = table.set_column(1, "vector", pa.FixedSizeListArray.from_arrays(flat, DIM))
    state = vectors.rewrite("a_v1", rows.to_reader())
    query = np.zeros(DIM, np.float32)
    found = nearest_within(vectors, ("a_v1", state), query, [slice(0, 2)], 5)
    assert found["record_id"].to_pylist() == ["b"]
