"""The vector tables: commits that can be repeated, reads that are pinned, samples that are even."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from storage.model import StorageError
from storage.vectors import Effort, Vectors
from tests.flows.sources.servers import s3
from tests.processes import python
from tests.storage.conftest import matrix, reader

if TYPE_CHECKING:
    from pathlib import Path

    from tests.storage.conftest import Store

IDS = ["a", "it's", "ü\n2", "') OR ('1'='1", "-- x", "back\\slash", "%"]


def ids(vectors: Vectors, version: int) -> list[str]:
    rows = vectors.dataset("t", version).to_table(columns=["record_id"])
    return sorted(rows["record_id"].to_pylist())


def test_rows_are_replaced_and_go_whatever_they_hold(store: Store) -> None:
    base = store.vectors.commit("t", None, reader(IDS), [])
    assert ids(store.vectors, base) == sorted(IDS)
    for n, record_id in enumerate(IDS):
        found = store.vectors.vector("t", base, record_id)
        assert found is not None
        np.testing.assert_array_equal(found, matrix(len(IDS))[n])
    after = store.vectors.commit("t", base, reader(["new", "a"], 5), range(len(IDS)))
    assert ids(store.vectors, after) == ["a", "new"]
    np.testing.assert_array_equal(store.vectors.vector("t", after, "a"), matrix(2, 5)[1])
    assert ids(store.vectors, base) == sorted(IDS), "a pinned version has changed"


def test_what_was_not_published_is_dropped_by_the_next_commit(store: Store) -> None:
    base = store.vectors.commit("t", None, reader(["a", "b"]), [])
    store.vectors.commit("t", base, reader(["lost"]), [0])
    for _ in range(2):
        after = store.vectors.commit("t", base, reader(["c"]), [1])
        assert ids(store.vectors, after) == ["a", "c"]


def test_many_rows_go_at_once_and_places_are_those_of_the_base(store: Store) -> None:
    many = [f"record {n}" for n in range(110_000)]
    base = store.vectors.commit("t", None, reader(["first", *many, "left"]), [])
    base = store.vectors.commit("t", base, reader(["more"]), [0])
    after = store.vectors.commit("t", base, reader([]), iter(range(len(many))))
    assert ids(store.vectors, after) == ["left", "more"]


def test_lancedb_reads_and_goes_on_with_what_is_written(store: Store, tmp_path: Path) -> None:
    import lancedb

    base = store.vectors.commit("t", None, reader(IDS), [])
    after = store.vectors.commit("t", base, reader(["new"], 5), [0])
    folder = next(tmp_path.rglob("t.lance")).parent
    opened = lancedb.connect(folder).open_table("t")
    assert (opened.version, opened.count_rows()) == (after, len(IDS))
    found = opened.search(matrix(1, 5)[0]).limit(1).to_list()
    assert [row["record_id"] for row in found] == ["new"]
    opened.delete("record_id = 'new'")
    again = store.vectors.commit("t", after, reader(["last"], 6), [])
    assert ids(store.vectors, again) == sorted([*IDS[1:], "new", "last"])
    assert lancedb.connect(folder).open_table("t").version == again


def test_a_table_or_version_that_is_not_there_is_named(store: Store) -> None:
    base = store.vectors.rewrite("t", reader(["a"]))
    with pytest.raises(StorageError, match=r"'other' cannot be opened .* one backup"):
        store.vectors.rows("other", 1)
    with pytest.raises(StorageError, match=f"'t' has no Lance version {base + 7}"):
        store.vectors.rows("t", base + 7)


def test_rows_of_wider_types_are_cast_to_those_of_the_table(store: Store) -> None:
    base = store.vectors.commit("t", None, reader(["a"]), [])
    rows = reader(["b"], 5)
    schema = rows.schema.set(0, pa.field("record_id", pa.large_string()))
    after = store.vectors.commit("t", base, rows.cast(schema), [])
    assert ids(store.vectors, after) == ["a", "b"]
    assert store.vectors.dataset("t", after).schema.field("record_id").type == pa.string()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_vector_that_is_not_finite_is_refused_by_its_record(store: Store, bad: float) -> None:
    base = store.vectors.commit("t", None, reader(["a"]), [])
    vectors = matrix(3)
    vectors[1, 2] = bad

    def rows() -> pa.RecordBatchReader:
        table = reader(["b", "c", "d"]).read_all()
        column = pa.FixedSizeListArray.from_arrays(vectors.reshape(-1), vectors.shape[1])
        return table.set_column(1, table.schema.field(1), column).to_reader()

    with pytest.raises(StorageError, match="record 'c' has a number that is not finite"):
        store.vectors.commit("t", base, rows(), [])
    with pytest.raises(StorageError, match="record 'c' has a number that is not finite"):
        store.vectors.rewrite("other", rows())
    assert ids(store.vectors, base) == ["a"]


def test_a_bucket_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with s3() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        wanted = r"^s3://nobucket/pre cannot be read: .*bucket.* \(NoSuchBucket\); check that"
        with pytest.raises(StorageError, match=wanted):
            Vectors("s3://nobucket/pre").rewrite("t", reader(["a"]))
        assert not Vectors("s3://mill/pre").is_there("t")
        wanted = (
            r"^s3://nobucket/pre cannot be written: .*\(NoSuchBucket\).*Check `vectors`.*bucket"
        )
        with pytest.raises(StorageError, match=wanted):
            Vectors("s3://nobucket/pre").check_writable("t")
        server.keep_versions()
        Vectors("s3://mill/pre").check_writable("t")
        assert list(server.keys()) == []
        assert server.deleted() == ["pre/t.lance/data/.vecmill-probe"]


def test_a_folder_that_takes_no_tables_is_named(tmp_path: Path) -> None:
    Vectors(str(tmp_path / "new" / "folder")).check_writable("t")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    for place in ("file", "file/folder"):
        wanted = rf"{place} cannot be written: Not a directory; nothing .* that it is a folder"
        with pytest.raises(StorageError, match=wanted):
            Vectors(str(tmp_path / place)).check_writable("t")


ASKED = """
import sys
from storage.model import OutageError
from storage.vectors import Vectors
try:
    Vectors("s3://bucket/vectors").rows("t", 1)
except OutageError as error:
    print(error, "lancedb" in sys.modules)
"""


def test_a_store_that_does_not_answer_is_asked_by_lance_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nobody = {"AWS_ENDPOINT": "http://127.0.0.1:1", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "x"}
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    for name, value in (nobody | keys).items():
        monkeypatch.setenv(name, value)
    told, _ = python(ASKED).communicate()
    assert told.startswith("s3://bucket/vectors cannot be reached just now")
    assert ".rs:" not in told, "a place in Lance's source"
    assert told.endswith("run again False\n")


def test_a_state_that_is_cut_off_is_told_whatever_lance_makes_of_it(
    store: Store, tmp_path: Path
) -> None:
    base = store.vectors.rewrite("t", reader(["a"]))
    (manifest,) = tmp_path.rglob("t.lance/_versions/*.manifest")
    whole = manifest.read_bytes()
    for length in range(0, len(whole), 50):
        manifest.write_bytes(whole[:length])
        with pytest.raises(StorageError, match=r"'t' cannot be opened .* one backup"):
            store.vectors.rows("t", base)


def test_samples_are_even_and_hang_on_the_seed_alone(store: Store) -> None:
    base = store.vectors.commit("t", None, reader([str(n) for n in range(20)]), [])
    more = reader([str(n) for n in range(15, 30)], 1, "two")
    base = store.vectors.commit("t", base, more, range(15, 20))
    drawn = np.zeros(30)
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows = store.vectors.sample("t", base, 10, rng)["record_id"].to_pylist()
        assert len(set(rows)) == 10
        drawn[[int(row) for row in rows]] += 1
    # each is drawn with a chance of 1/3: 20 of 60 times, give or take 4.5 standard deviations
    assert abs(drawn - 20).max() < 4.5 * np.sqrt(60 * 2 / 9)
    again = store.vectors.sample("t", base, 10, np.random.default_rng(59))
    assert again["record_id"].to_pylist() == rows
    of_run = store.vectors.sample("t", base, 100, np.random.default_rng(0), ["two"])
    assert sorted(map(int, of_run["record_id"].to_pylist())) == list(range(15, 30))
    assert len(store.vectors.sample("t", base, 5, np.random.default_rng(0), ["nobody"])) == 0


@pytest.mark.parametrize("history", [False, True])
def test_blocks_of_some_runs_below_some_hash(store: Store, history: bool) -> None:  # noqa: FBT001
    base = store.vectors.commit("t", None, reader(["a", "b", "c"], run_id="one"), [])
    after = store.vectors.commit("t", base, reader(["d", "e"], 3, run_id="two"), [])

    def found(runs: list[str] | None, below: str | None) -> list[str]:
        names = ["record_id"]
        given = {"runs": runs, "below": below, "history": history}
        blocks = store.vectors.blocks("t", after, names, 2, **given)  # type: ignore[arg-type]
        return sorted(name for block in blocks for name in block["record_id"].to_pylist())

    assert found(None, None) == ["a", "b", "c", "d", "e"]
    assert found(["two"], None) == ["d", "e"]
    assert found([], None) == []
    assert found(None, "hash c") == ["a", "b"]
    assert found(["one", "it's"], "hash b") == ["a"]


def test_the_more_cells_are_looked_into_the_more_is_found(store: Store) -> None:
    from lancedb.index import IvfFlat

    at = store.vectors.rewrite("t", reader([str(n) for n in range(2000)]))
    exact = [store.vectors.nearest("t", at, q, 20, "l2")["record_id"] for q in matrix(10, seed=1)]
    opened = store.vectors.open("t")
    opened.create_index("vector", config=IvfFlat(distance_type="l2", num_partitions=16))
    found = {}
    for probes in (1, 4, 16):
        effort = Effort(probes, 1)
        near = [
            store.vectors.nearest("t", opened.version, q, 20, "l2", effort=effort)["record_id"]
            for q in matrix(10, seed=1)
        ]
        both = (len({*a.to_pylist()} & {*b.to_pylist()}) for a, b in zip(exact, near, strict=True))
        found[probes] = sum(both)
    assert found[1] <= found[4] <= found[16] == 200
    assert found[1] < 200
