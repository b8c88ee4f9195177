"""Tables that hold vectors in 8 bits or 1: read as float32 by all that reads, and as small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from storage import picked, upkeep
from storage.aligned import Aligned, Side
from storage.codes import Codes, codes_of, dim_of
from storage.footprint import footprint
from storage.model import StorageError
from storage.vectors import Vectors
from storage.within import nearest_within
from tests.storage.conftest import NOW, Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

DIM = 20
BITS = [8, 1]
METRICS = ["cosine", "l2", "dot"]


def codes(bits: int, seed: int = 0) -> Codes:
    rng = np.random.default_rng(seed)
    if bits == 1:
        return Codes(1, np.ones(DIM), np.zeros(DIM))
    return Codes(8, rng.uniform(0.01, 0.1, DIM), rng.integers(-9, 9, DIM).astype(np.float64))


def values(how: Codes, n: int, seed: int = 1) -> Matrix:
    """Vectors that the codes can hold."""
    rng = np.random.default_rng(seed)
    held = rng.integers(-127, 128, (n, DIM)) if how.bits == 8 else rng.choice([-1, 1], (n, DIM))
    return (how.scale * (held - how.zero)).astype(np.float32)


def reader(ids: Sequence[str], vectors: Matrix, label: str = "x", run: str = "r1") -> Any:  # noqa: ANN401 - a reader
    n = len(ids)
    flat = pa.array(vectors.reshape(-1))
    times = [NOW.replace(day=2 + (run == "r2"))] * n
    return pa.table(
        {
            "record_id": pa.array(ids, pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]),
            "content_hash": pa.array([f"{run} {one}" for one in ids], pa.string()),
            "event_time": pa.array(times, pa.timestamp("us", tz="UTC")),
            "encoded_at": pa.array(times, pa.timestamp("us", tz="UTC")),
            "run_id": pa.array([run] * n, pa.string()),
            "label": pa.array([label] * n, pa.string()),
        }
    ).to_reader()


def names(n: int) -> list[str]:
    return [f"r{i:04d}" for i in range(n)]


@pytest.fixture
def vectors(tmp_path: Path) -> Vectors:
    return Vectors(str(tmp_path / "vectors"))


@pytest.mark.parametrize("bits", BITS)
def test_every_reader_gets_the_vectors_that_were_written(store: Store, bits: int) -> None:
    how, ids = codes(bits), names(60)
    expected = values(how, 60)
    state = store.vectors.rewrite("t", reader(ids, expected), how)
    table = store.vectors.dataset("t", state)
    kind = pa.list_(pa.float32(), DIM)
    assert table.schema.field("vector").type == kind
    assert table.to_table().schema.field("vector").type == kind
    rows = table.to_table(columns=["vector", "record_id"], filter="record_id >= 'r0030'")
    np.testing.assert_array_equal(rows["vector"].to_pylist(), expected[30:])
    taken: Any = table.take([7, 3, 7])
    np.testing.assert_array_equal(taken["vector"].to_pylist(), expected[[7, 3, 7]])
    np.testing.assert_array_equal(store.vectors.vector("t", state, "r0009"), expected[9])
    np.testing.assert_array_equal(
        store.vectors.of("t", state, "record_id", "r0009")[0], expected[9]
    )
    blocks = list(store.vectors.blocks("t", state, ["vector"], 16))
    found = np.concatenate([np.array(block["vector"].to_pylist()) for block in blocks])
    np.testing.assert_array_equal(found, expected)
    drawn = store.vectors.sample("t", state, 10, np.random.default_rng(2))
    places = [ids.index(one) for one in drawn["record_id"].to_pylist()]
    np.testing.assert_array_equal(drawn["vector"].to_pylist(), expected[places])
    some = picked.vectors_of(store.vectors, ("t", state), ["r0003", "gone", "r0001"])
    assert sorted(some) == ["r0001", "r0003"]
    np.testing.assert_array_equal(some["r0003"], expected[3])
    joined = Aligned(store.vectors, [Side("t", "t", state)])
    np.testing.assert_array_equal(joined.vectors("t", np.array([5, 2])), expected[[5, 2]])


@pytest.mark.parametrize("bits", BITS)
def test_sql_shows_float_vectors(vectors: Vectors, bits: int) -> None:
    how, ids = codes(bits), names(30)
    expected = values(how, 30)
    state = vectors.rewrite("t", reader(ids, expected), how)
    with duckdb.connect() as con:
        con.register("t", vectors.dataset("t", state))
        [(kind,)] = con.sql("SELECT DISTINCT typeof(vector) FROM t").fetchall()
        assert kind == f"FLOAT[{DIM}]"
        found = con.sql("SELECT vector FROM t WHERE record_id = 'r0004' AND label = 'x'").fetchall()
        np.testing.assert_array_equal(np.array(found[0][0], np.float32), expected[4])
        assert con.sql("SELECT count(*), min(label) FROM t").fetchall() == [(30, "x")]
        assert con.sql("SELECT record_id FROM t ORDER BY 1 LIMIT 1").fetchall() == [("r0000",)]


@pytest.mark.parametrize("bits", BITS)
def test_commits_keep_to_the_codes_of_the_table(vectors: Vectors, bits: int) -> None:
    how = codes(bits)
    first, second = values(how, 5), values(how, 3, seed=9)
    base = vectors.commit("t", None, reader(names(5), first), [], codes=how)
    state = vectors.commit("t", base, reader(["r0001", "new", "newer"], second), [1, 4])
    held = vectors.state("t", state).schema
    assert held.field("vector").type.value_type == (pa.int8() if bits == 8 else pa.uint8())
    found = picked.vectors_of(vectors, ("t", state), [*names(5), "new", "newer"])
    assert sorted(found) == ["new", "newer", "r0000", "r0001", "r0002", "r0003"]
    np.testing.assert_array_equal(found["r0001"], second[0])
    np.testing.assert_array_equal(found["newer"], second[2])
    np.testing.assert_array_equal(found["r0003"], first[3])
    again = codes_of(held)
    assert again is not None
    np.testing.assert_array_equal(again.unpacked(again.packed(first)), first)


@pytest.mark.parametrize("bits", BITS)
def test_a_table_takes_as_much_less_on_the_disk(
    vectors: Vectors, tmp_path: Path, bits: int
) -> None:
    how, n = codes(bits), 20_000
    rows = values(how, n)
    plain = vectors.rewrite("whole", reader(names(n), rows))
    small = vectors.rewrite("small", reader(names(n), rows), how)
    whole, held = (footprint(vectors, state) for state in (("whole", plain), ("small", small)))
    assert (whole.vector, held.vector) == (4 * DIM, DIM if bits == 8 else 3)
    assert held.total <= 1.02 * held.vector * n

    def size(table: str) -> int:
        files = (tmp_path / "vectors" / f"{table}.lance" / "data").glob("*")
        return sum(file.stat().st_size for file in files)

    assert size("whole") - size("small") >= 0.98 * (whole.total - held.vector * n)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bits", BITS)
def test_a_search_is_that_of_the_vectors_as_float32(
    vectors: Vectors, bits: int, metric: str
) -> None:
    how, n = codes(bits), 9_000
    rows = values(how, n)
    query = values(how, 1, seed=5)[0]
    plain = vectors.rewrite("whole", reader(names(n), rows))
    small = vectors.rewrite("small", reader(names(n), rows), how)
    expected = vectors.nearest("whole", plain, query, 50, metric)
    found = vectors.nearest("small", small, query, 50, metric)
    assert found.schema.names == expected.schema.names
    far = np.array(expected["distance"].to_pylist())
    np.testing.assert_allclose(found["distance"].to_pylist(), far, rtol=1e-4, atol=1e-4)
    assert found["record_id"].to_pylist()[0] == expected["record_id"].to_pylist()[0]
    if bits == 1:
        differ = (rows != query).sum(axis=1)
        assert [differ[int(one[1:])] for one in found["record_id"].to_pylist()] == sorted(differ)[
            :50
        ]
    some = nearest_within(vectors, ("small", small), query, [slice(0, 4)], 5)
    best = np.sort(((rows[:, :4] - query[:4]).astype(np.float64) ** 2).sum(axis=1))[:5]
    np.testing.assert_allclose(some["distance"].to_pylist(), best, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("bits", BITS)
def test_a_search_leaves_out_what_it_is_told_to(vectors: Vectors, bits: int) -> None:
    how = codes(bits)
    rows = values(how, 6)
    state = vectors.commit("t", None, reader(names(6), rows), [], how)
    before = reader(["r0002"], values(how, 1, seed=4), run="r2")
    state = vectors.commit("t", state, before, [])
    found = vectors.nearest("t", state, rows[2], 9, "cosine", history=True)
    assert sorted(found["record_id"].to_pylist()) == names(6)
    [now] = [row for row in found.to_pylist() if row["record_id"] == "r0002"]
    assert now["run_id"] == "r2"
    but = vectors.nearest("t", state, rows[3], 9, "cosine", where="record_id <> 'r0003'")
    assert "r0003" not in but["record_id"].to_pylist()
    assert len(but) == 6
    assert len(vectors.nearest("t", state, rows[3], 2, "cosine")) == 2
    part = ("t", state), rows[3], [slice(0, 4)], 9
    every = nearest_within(vectors, *part)["record_id"].to_pylist()
    some = nearest_within(vectors, *part, "record_id <> 'r0003'")["record_id"].to_pylist()
    assert some == [name for name in every if name != "r0003"] != every


@pytest.mark.parametrize("bits", BITS)
def test_a_check_knows_their_width(store: Store, bits: int) -> None:
    how = codes(bits)
    version = store.version()
    state = store.vectors.rewrite(version.table, reader(names(3), values(how, 3)), how)
    manifest = store.publish(version, "r1", state)
    assert dim_of(store.vectors.state(version.table, state).schema) == DIM
    faults = upkeep.faults(store.vectors, version, manifest)
    assert faults == [f"its vectors are {DIM} wide, the catalog says {version.dim}"]


def test_a_state_that_is_not_there(vectors: Vectors) -> None:
    vectors.rewrite("t", reader(names(3), values(codes(1), 3)), codes(1))
    with pytest.raises(StorageError, match="'t' has no Lance version 9"):
        vectors.nearest("t", 9, np.zeros(DIM, np.float32), 3, "cosine")
