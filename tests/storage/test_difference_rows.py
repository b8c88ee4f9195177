"""The rows that a difference has written, and the places of those that go."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest

from storage import _difference_rows, _difference_scratch, assembly, keys, ordering
from storage.model import Counts
from storage.staging import Staged, write_staged
from tests.storage.compared import LABEL, NOW, OLD, Row, day, failures, source, staged, table
from tests.storage.conftest import DIM

if TYPE_CHECKING:
    from pathlib import Path

    from storage.difference import Difference
    from tests.storage.compared import Compare

BASE = [Row(name, name, n) for n, name in enumerate("abcde")]


def written(
    difference: Difference, files: list[Path], *, remove_vanished: bool = True
) -> list[dict[str, object]]:
    found = difference.rows(files, DIM, "now", remove_vanished=remove_vanished).read_all()
    rows: list[dict[str, object]] = found.to_pylist()
    return rows


def test_vectors_come_from_where_they_are(compare: Compare, tmp_path: Path) -> None:
    files = [
        staged(tmp_path / "it's-0.parquet", {"unused": 10}),
        staged(tmp_path / "it's-1.parquet", {"x": 11, "y": 12, "a": 13}, {"z": "no good"}),
        staged(tmp_path / "it's-2.parquet", {"z": 14, "x": 15}),
    ]
    difference = compare(table(*BASE, Row("f", "a", 5)), LABEL)
    difference.learn_dead(files[:1])
    difference.add(
        source(
            Row("new", "z"),
            Row("a", "y"),
            Row("b", "b", 9),
            Row("c", "a"),
            Row("newer", "x"),
            Row("d", "d", 3),
            Row("f", "a", 5),
            Row("newest", "b", 7),
        ),
        [],
    )
    assert difference.used(files) == files[1:]
    rows = written(difference, files)
    assert [(row["record_id"], row["label"], row["vector"]) for row in rows] == [
        ("newer", 0, [11] * DIM),
        ("a", 0, [12] * DIM),
        ("new", 0, [14] * DIM),
        ("c", 0, [0] * DIM),
        ("b", 9, [1] * DIM),
        ("newest", 7, [1] * DIM),
    ]
    assert [row["run_id"] for row in rows] == [*["now"] * 4, "old", "now"]
    assert [row["encoded_at"] for row in rows] == [*[NOW] * 3, *[OLD] * 3]
    assert [row["content_hash"] for row in rows] == [f"hash {c}" for c in "xyzabb"]
    assert [*difference.gone(remove_vanished=True)] == [0, 1, 2, 4]
    assert [*difference.gone(remove_vanished=False)] == [0, 1, 2]


def test_rows_of_many_batches_meet_their_vectors(
    compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_difference_rows, "_BATCH", 2048)
    monkeypatch.setattr(assembly, "_ROWS", 1000)
    n = 6000
    difference = compare(None, LABEL)
    difference.add(source(*(Row(f"r{at}", f"c{at}", at) for at in range(n))), [])
    file = staged(tmp_path / "staged-0.parquet", {f"c{at}": at for at in reversed(range(n))})
    rows = difference.rows([file], DIM, "now", remove_vanished=True).read_all()
    assert rows["label"].to_pylist() == [*reversed(range(n))]
    assert pc.list_element(rows["vector"], 0).to_pylist() == [*reversed(range(n))]


def test_what_failed_as_it_was_encoded_is_not_written(compare: Compare, tmp_path: Path) -> None:
    difference = compare(table(*BASE), LABEL)
    difference.add(source(Row("a", "bad"), Row("b", "good"), Row("n", "bad")), [])
    assert difference.counts(remove_vanished=False).encoded == 2
    file = staged(tmp_path / "staged-0.parquet", {"good": 9}, {"bad": "no good"})
    difference.learn_dead([file])
    assert difference.counts(remove_vanished=False) == Counts(
        records=3, changed=1, encoded=1, dead=2
    )
    assert [row["record_id"] for row in written(difference, [file])] == ["b"]
    assert [*difference.gone(remove_vanished=False)] == [1]
    assert [*difference.gone(remove_vanished=True)] == [1, 2, 3, 4]


def test_files_that_are_chosen_from_anew_are_looked_at_anew(
    compare: Compare, tmp_path: Path
) -> None:
    one, other = (staged(tmp_path / f"staged-{n}.parquet", {"x": n}) for n in (8, 9))
    difference = compare(None, LABEL)
    difference.add(source(Row("a", "x")), [])
    for file, number in ((one, 8), (other, 9)):
        assert difference.used([file]) == [file]
        assert [row["vector"] for row in written(difference, [file])] == [[number] * DIM]


@pytest.mark.parametrize("remove", [True, False])
def test_other_columns_have_every_row_written_again(compare: Compare, *, remove: bool) -> None:
    kept = pa.schema([("name", pa.string()), ("label", pa.int8())])
    difference = compare(table(*BASE, Row("f", "f", 1000), Row("g", "g", 7)), kept)
    assert difference.rewrites
    difference.know_dead(failures(["bad"]))
    rows = [Row("a", "a", 5), Row("b", "c", 6), Row("c", "bad", 7), Row("n", "d", 8)]
    given = source(*rows, Row("f", "bad"), Row("g", "bad"))
    named = given.with_columns(name=given["record_id"].str.to_uppercase())
    difference.add(named, [])
    counts = difference.counts(remove_vanished=remove)
    assert (counts.new, counts.changed, counts.updated, counts.unchanged) == (1, 1, 1, 0)
    found = written(difference, [], remove_vanished=remove)
    assert [(row["record_id"], row["name"], row["label"], row["run_id"]) for row in found] == [
        ("a", "A", 5, "old"),
        ("b", "B", 6, "now"),
        ("n", "N", 8, "now"),
        ("c", None, 2, "old"),
        *([] if remove else [("d", None, 3, "old"), ("e", None, 4, "old")]),
        ("f", None, None, "old"),
        ("g", None, 7, "old"),
    ]
    places = [0, 2, 3, 2, *([] if remove else [3, 4]), 5, 6]
    assert [row["vector"] for row in found] == [[place] * DIM for place in places]


def test_the_same_columns_rewrite_nothing(compare: Compare) -> None:
    assert not compare(table(*BASE), LABEL).rewrites
    assert not compare(None, LABEL).rewrites
    assert compare(table(*BASE), LABEL, thumbnails=True).rewrites
    assert compare(table(*BASE), pa.schema([("label", pa.int32())])).rewrites
    assert compare(table(*BASE), pa.schema([])).rewrites


def test_a_table_without_pictures_gets_an_empty_column(compare: Compare, tmp_path: Path) -> None:
    difference = compare(table(*BASE), LABEL, thumbnails=True)
    difference.add(source(*BASE[:2], Row("n", "new")), [])
    file = staged(tmp_path / "staged-0.parquet", {"new": 9})
    rows = written(difference, [file])
    assert [(row["record_id"], row["thumbnail"]) for row in rows] == [
        *(("n", None), ("a", None), ("b", None))
    ]


def pictured() -> ds.Dataset:
    whole = table(*BASE).to_table()
    pictures = pa.chunked_array([[b"%d" % n for n in range(5)]], pa.binary())
    return ds.dataset(whole.append_column("thumbnail", pictures))


@pytest.mark.parametrize("kind", [pa.int64(), pa.int32()])
def test_pictures_go_with_their_contents(
    compare: Compare, tmp_path: Path, kind: pa.DataType
) -> None:
    difference = compare(pictured(), pa.schema([("label", kind)]), thumbnails=True)
    assert difference.rewrites == (kind != LABEL.field("label").type)
    difference.add(source(BASE[0], Row("b", "a", 1), Row("c", "new"), Row("d", "d", 7)), [])
    file = tmp_path / "staged-0.parquet"
    vector = np.ones((1, DIM), np.float32)
    write_staged(file, Staged(["hash new"], vector, {}, NOW, thumbnails={"hash new": b"new"}))
    rows = written(difference, [file], remove_vanished=False)
    found = {row["record_id"]: row["thumbnail"] for row in rows}
    stay = {"a": b"0", "e": b"4"} if difference.rewrites else {}
    assert found == {"b": b"0", "c": b"new", "d": b"3", **stay}


def test_where_none_are_to_be_kept_pictures_go(compare: Compare) -> None:
    difference = compare(pictured(), LABEL)
    assert difference.rewrites
    difference.add(source(*BASE[:2]), [])
    assert [row.keys() & {"thumbnail"} for row in written(difference, [])] == [set(), set()]


def test_other_columns_of_a_history_leave_what_it_was(compare: Compare) -> None:
    base = [Row("a", "was", 1, day=1), Row("a", "is", 2, day=2), Row("b", "b", 3, day=1)]
    name = 'its "own" label'
    difference = compare(table(*base), pa.schema([(name, pa.int64())]), history=True)
    difference.add(source(Row("a", "is", 5, day=2)).rename({"label": name}), [])
    rows = written(difference, [], remove_vanished=False)
    assert [(row["content_hash"], row["event_time"], row[name]) for row in rows] == [
        ("hash is", day(2), 5),
        ("hash was", day(1), None),
        ("hash b", day(1), None),
    ]


def test_what_memory_is_not_to_hold_lies_beside_the_scratch_file(
    compare: Compare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_HELD", 1)
    monkeypatch.setattr(ordering, "_HELD", 1)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    difference = compare(None, LABEL)
    for content in ("s", "t"):
        difference.know_staged(source(Row("", content)))
    difference.add(source(Row("hash x", "x"), Row("a", "s"), Row("b", "y")), [])
    difference.add(source(Row("hash x", "x"), Row("c", "t"), Row("d", "z"), first=3), [])
    file = staged(tmp_path / "staged-0.parquet", {content: n for n, content in enumerate("zyxts")})
    names = [row["record_id"] for row in written(difference, [file])]
    assert names == ["d", "b", "hash x", "hash x#2", "c", "a"]


def limit(difference: Difference) -> float:
    """MiB that DuckDB may hold."""
    (found,) = difference._con.execute("SELECT current_setting('memory_limit')").fetchall()  # noqa: SLF001 - nobody else may ask
    number, unit = str(found[0]).split()
    assert unit == "MiB"
    return float(number)


def test_memory_grows_by_the_root_of_what_is_compared(
    compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert limit(compare(None, LABEL)) == 96
    monkeypatch.setattr(_difference_scratch, "_ROOMY", 4000)  # 20 published rows
    assert limit(compare(table(*BASE), LABEL, memory=64)) == 64
    rows = [Row(f"r{n}", "same") for n in range(180)]
    difference = compare(table(*rows), LABEL, memory=64)
    assert limit(difference) == 3 * 64
    difference.let_go()
    assert limit(difference) == 3 * 64
    difference.add(source(*rows), [])
    assert 3 * 64 < limit(difference) < 6 * 64
