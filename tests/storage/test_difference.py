"""The difference between a source and a table: by itself, at size, and over odd values."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from storage import _difference_sql as sql
from storage import query
from storage.difference import Difference
from storage.ids import hash_text
from storage.model import DeadLetter
from storage.staging import Staged, write_staged
from tests.storage.conftest import DIM, matrix, reader

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.storage.conftest import Store

KEPT = pa.schema([("label", pa.int64())])
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def records(ids: Sequence[str], contents: Sequence[str], labels: Sequence[int]) -> pl.DataFrame:
    n = len(ids)
    return pl.DataFrame(
        {
            "record_id": ids,
            "place": [f"f:{i}" for i in ids],
            "content": contents,
            "content_hash": [f"hash {c}" for c in contents],
            "event_time": pl.Series([None] * n, dtype=pl.Datetime("us", "UTC")),
            "label": labels,
        }
    )


def published(ids: Sequence[str]) -> ds.Dataset:
    """Rows whose content is their id and whose label is their number."""
    return ds.dataset(reader(ids).read_all())


def test_rows_carry_vectors_from_wherever_they_are(tmp_path: Path) -> None:
    difference = Difference(tmp_path / "scratch", published(["a", "b", "c", "d"]), KEPT)
    wanted = difference.add(
        records([*"abce", "f"], ["a", "b", "new", "new", "d"], [0, 7, 2, 4, 5]),
        [DeadLetter("f:9", "why", "read", "d")],
    )
    assert wanted["content"].to_list() == ["new"]
    staged = tmp_path / "staged-0.parquet"
    write_staged(staged, Staged(["hash new"], np.ones((1, DIM), np.float32), {}, NOW))
    counts = difference.counts(remove_vanished=True)
    assert (counts.new, counts.changed, counts.updated, counts.unchanged) == (2, 1, 1, 1)
    assert (counts.deleted, counts.encoded, counts.deduplicated, counts.dead) == (0, 1, 2, 1)
    table = difference.rows([staged], DIM, "now", remove_vanished=True).read_all()
    rows = {row["record_id"]: row for row in table.to_pylist()}
    assert sorted(rows) == ["b", "c", "e", "f"]
    old = matrix(4)
    for record_id, vector in (("b", old[1]), ("c", [1] * 4), ("e", [1] * 4), ("f", old[3])):
        np.testing.assert_array_equal(np.array(rows[record_id]["vector"], np.float32), vector)
    assert {k: row["run_id"] for k, row in rows.items()} == {
        "b": "run",
        **dict.fromkeys("cef", "now"),
    }
    assert [rows[k]["label"] for k in "bcef"] == [7, 2, 4, 5]
    difference.close()


def test_an_earlier_failure_does_not_kill_a_content_that_is_published(tmp_path: Path) -> None:
    difference = Difference(tmp_path / "scratch", published(["a"]), KEPT)
    hashes = ["hash a", "hash x"]
    failed = {"content_hash": hashes, "reason": ["r", "s"], "lasting": [True, True]}
    difference.know_dead(pa.table(failed))
    wanted = difference.add(records(["a", "b", "c"], ["a", "a", "x"], [0, 1, 2]), [])
    assert len(wanted) == 0
    counts = difference.counts(remove_vanished=True)
    assert (counts.unchanged, counts.new, counts.deduplicated, counts.dead) == (1, 1, 1, 1)
    assert difference.dead_letters().to_pylist() == [
        {
            "record_id": "c",
            "place": "f:c",
            "reason": "s",
            "stage": "encode",
            "content_hash": "hash x",
        }
    ]
    difference.close()


def test_an_old_scratch_file_is_made_anew(tmp_path: Path) -> None:
    for _ in range(2):
        difference = Difference(tmp_path / "made" / "too" / "scratch", None, KEPT)
        assert len(difference.add(records(["a"], ["a"], [0]), [])) == 1
        assert difference.counts(remove_vanished=True).records == 1
        difference.close()


@pytest.mark.slow
def test_what_a_difference_lets_go_of_leaves_memory_and_is_read_again(tmp_path: Path) -> None:
    difference = Difference(tmp_path / "scratch", None, KEPT)
    for start in range(0, 6_000, 2_000):
        ids = [f"{i:05}{hash_text(str(i)) * 60}" for i in range(start, start + 2_000)]
        difference.add(records(ids, ids, [0] * len(ids)), [])
    difference.counts(remove_vanished=True)
    assert held(difference) > 10 * 2**20
    difference.let_go()
    assert held(difference) < 6 * 2**20
    assert difference.counts(remove_vanished=True).new == 6_000
    difference.close()


def test_what_was_read_is_not_held_while_more_is(tmp_path: Path) -> None:
    difference = Difference(tmp_path / "scratch", None, KEPT)
    most, rows = 0, 2_000
    for start in range(0, 6 * rows, rows):
        ids = [f"{i:05}{hash_text(str(i)) * 60}" for i in range(start, start + rows)]
        difference.add(records(ids, ids, [0] * rows), [])
        most = max(most, held(difference))
    assert most < 24 * 2**20
    assert difference.counts(remove_vanished=True).new == 6 * rows
    difference.close()


def held(difference: Difference) -> int:
    """Bytes of the scratch file's tables that DuckDB holds."""
    tags = "SELECT sum(memory_usage_bytes) FROM duckdb_memory() WHERE tag = 'BASE_TABLE'"
    (found,) = difference._con.execute(tags).fetchall()  # noqa: SLF001 - nobody else may ask
    return int(found[0])


def test_what_is_ordered_is_numbered_in_that_order(tmp_path: Path) -> None:
    difference = Difference(tmp_path / "scratch", None, KEPT)
    con = difference._con  # noqa: SLF001 - nobody else may ask
    # Several threads' worth, the places and the numbers of rows both out of order.
    rows = "SELECT i * 31 % 400009 AS seq, i * 7919 % 400009 // 2 AS nth FROM range(400009) t(i)"
    con.execute(sql.PLACE.format(rows=rows, place="place"))
    found = con.execute("SELECT nth, seq FROM placed ORDER BY place").fetchnumpy()
    order = np.lexsort((found["seq"], found["nth"]))
    np.testing.assert_array_equal(order, np.arange(400_009))
    difference.close()


@pytest.mark.slow
def test_the_scratch_file_holds_what_memory_does_not(tmp_path: Path) -> None:
    """Records whose ids alone are more than DuckDB may hold, planned and put together."""
    difference = Difference(tmp_path / "scratch", None, KEPT)
    n, chunk, staged = 40_000, 2_000, []
    for start in range(0, n, chunk):
        ids = [f"{i:07}{'x' * 4000}" for i in range(start, start + chunk)]
        texts = [str(i // 2) for i in range(start, start + chunk)]
        wanted = difference.add(records(ids, texts, list(range(chunk))), [])
        assert len(wanted) == chunk // 2
        staged.append(tmp_path / f"staged-{start:06}.parquet")
        values = [[float(text)] * DIM for text in wanted["content"]]
        vectors = np.array(values, np.float32)[::-1].copy()
        write_staged(staged[-1], Staged(wanted["content_hash"].to_list()[::-1], vectors, {}, NOW))
    counts = difference.counts(remove_vanished=True)
    assert (counts.new, counts.encoded, counts.deduplicated) == (n, n // 2, n // 2)
    met = 0
    for batch in difference.rows(staged, DIM, "now", remove_vanished=True):
        numbers = [int(name[:7]) for name in batch["record_id"].to_pylist()]
        first = batch["vector"].flatten().to_numpy().reshape(-1, DIM)[:, 0]
        np.testing.assert_array_equal(first, [number // 2 for number in numbers])
        met += len(batch)
    assert met == n
    difference.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="to root no folder is read-only")
def test_a_catalog_in_a_read_only_folder_can_be_queried(store: Store) -> None:
    store.publish(store.version(), "r1", store.vectors.rewrite("notes_v1", reader(["a"])))
    for file in store.path.parent.iterdir():
        file.unlink() if file.suffix == ".lock" else file.chmod(0o444)
    store.path.parent.chmod(0o555)
    try:
        with query.connect(store.catalog, store.vectors) as con:
            assert con.sql("SELECT record_id FROM notes").fetchall() == [("a",)]
    finally:
        store.path.parent.chmod(0o755)
