"""Interactions to users and items: grouped, combined, refused where they say nothing, bounded."""

from __future__ import annotations

import gzip
import tempfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from flows.sources import _meetings, base, interactions
from flows.sources._params import ParamError
from tests.flows.sources.reading import Everything, everything

if TYPE_CHECKING:
    from pathlib import Path

    from flows.sources.interactions import Interactions

    Value = Any


def opened(folder: Path, text: str, **params: Value) -> Interactions:
    """The source of ``rows.csv`` with this text; the columns are called as the keys are."""
    (folder / "rows.csv").write_text(text, encoding="utf-8")
    given = {"path": "rows.csv", "user": "user", "item": "item", **params}
    return interactions.open(interactions.Params(**given), folder, "interactions")


def read(folder: Path, text: str, **params: Value) -> Everything:
    return everything(opened(folder, text, **params))


def met(found: Everything) -> dict[str, dict[str, float]]:
    """Whom each record has met, and their weights."""
    return {
        record_id: dict(zip(content["others"], content["weights"], strict=True))
        for record_id, content in zip(found.ids, found.contents, strict=True)
    }


def test_a_record_is_a_user_or_an_item_with_all_it_has_met(tmp_path: Path) -> None:
    found = read(tmp_path, "user,item\nb,x\na,x\na,007\n")
    assert met(found) == {
        "user:a": {"007": 1, "x": 1},
        "user:b": {"x": 1},
        "item:007": {"a": 1},
        "item:x": {"a": 1, "b": 1},
    }
    kept = found.records.select("side", "entity", "met", "place").rows()
    assert kept == [
        ("user", "a", 2, "rows.csv:3"),
        ("user", "b", 1, "rows.csv:2"),
        ("item", "007", 1, "rows.csv:4"),
        ("item", "x", 2, "rows.csv:2"),
    ]
    assert found.contents[0]["side"] == "user"
    assert found.contents[0]["entity"] == "a"


def test_counts_add_up_and_ratings_are_the_newest(tmp_path: Path) -> None:
    text = "user,item,n,at\na,x,2,2024-01-03\na,x,5,2024-01-01\na,x,4,\nb,x,1,\n"
    keys = {"weight": "n", "time": "at"}
    assert met(read(tmp_path, text, **keys))["user:a"] == {"x": 11}
    last = read(tmp_path, text, combine="last", **keys)
    assert met(last) == {"user:a": {"x": 2}, "user:b": {"x": 1}, "item:x": {"a": 2, "b": 1}}
    untimed = read(tmp_path, text, combine="last", weight="n")
    assert met(untimed)["item:x"] == {"a": 4, "b": 1}
    times = dict(zip(last.ids, last.records["event_time"], strict=True))
    newest = datetime(2024, 1, 3, tzinfo=UTC)
    assert times == {"user:a": newest, "user:b": None, "item:x": newest}


def test_a_hash_changes_with_whom_one_has_met_and_with_nothing_else(tmp_path: Path) -> None:
    def hashes(text: str) -> dict[str, str]:
        found = read(tmp_path, text, weight="n").records
        return dict(found.select("record_id", "content_hash").iter_rows())

    before = hashes("user,item,n\na,x,1\na,y,2\nb,y,1\nc,z,1\n")
    assert hashes("n,item,user,more\n1,z,c,?\n1,y,b,?\n2.0,y,a,?\n1,x,a,?\n") == before
    after = hashes("user,item,n\na,x,1\na,y,2\nb,y,1\nc,z,1\nb,x,1\n")
    assert {k for k in after if after[k] != before[k]} == {"user:b", "item:x"}
    more = hashes("user,item,n\na,x,1\na,y,3\nb,y,1\nc,z,1\n")
    assert {k for k in more if more[k] != before[k]} == {"user:a", "item:y"}


def test_a_row_that_says_nothing_is_refused_with_its_place(tmp_path: Path) -> None:
    text = (
        "user,item,n,at\na,x,1,\n,x,1,\na,  ,1,\na,y,many,\na,y,nan,\na,y,,\na,y,1e16,\n"
        "a,y,1,soon\na,y\nb,z,-2.5,\n"
    )
    found = read(tmp_path, text, weight="n", time="at")
    assert met(found) == {
        "user:a": {"x": 1}, "user:b": {"z": -2.5}, "item:x": {"a": 1}, "item:z": {"b": -2.5},
    }  # fmt: skip
    expected = {
        3: "no user: column 'user' is blank",
        4: "no item: column 'item' is blank",
        5: "wants float, got 'many'; mend it, or add the value to `null_values`",
        6: "wants float, got 'nan'",
        7: "no weight: column 'n' is blank; mend it, or leave out the key weight",
        8: "column 'n' wants a number of at most 1e15 in size, got 1e+16",
        9: "the event time 'soon' in column 'at' is neither",
        10: "2 fields, expected 4",
    }
    assert set(found.refused) == {f"rows.csv:{line}" for line in expected}
    for line, words in expected.items():
        assert words in found.refused[f"rows.csv:{line}"]
    # They hold back no deletion, as records without an id do.
    assert [reject.record_id for reject in found.rejects] == list(found.refused)


def test_a_blank_id_is_one_whatever_stands_for_no_value(tmp_path: Path) -> None:
    found = read(tmp_path, "user,item\nNA,x\n,y\nb,NA \nc,z\n", null_values=["NA"])
    assert set(met(found)) == {"user:c", "item:z"}
    assert len(found.rejects) == 3


def test_many_interactions_give_the_same_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(9)
    rows = [f"{u},{i},{n}" for u, i, n in rng.integers(0, [60, 40, 9], (6_000, 3))]
    source = opened(tmp_path, "\n".join(["user,item,n", *rows]), weight="n")
    held = everything(source).records
    pairs = {tuple(row.split(",")[:2]) for row in rows}
    assert held.group_by("side").agg(pl.col("met").sum())["met"].to_list() == [len(pairs)] * 2
    monkeypatch.setattr(interactions, "_HELD", 1000)
    monkeypatch.setattr(_meetings, "_CHUNK_MEETINGS", 50)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spilt"))
    (tmp_path / "spilt").mkdir()
    chunks = list(source.scan())
    spilt = pl.concat([chunk.records for chunk in chunks])
    assert not list((tmp_path / "spilt").iterdir())
    assert spilt.sort("record_id").equals(held.sort("record_id"), null_equal=True)
    sizes = [chunk.records["met"].sum() for chunk in chunks]
    assert max(sizes) < 50 + 60
    again = pl.concat([chunk.records for chunk in source.scan()])
    assert again.equals(spilt, null_equal=True)


def test_one_user_is_read_without_the_others(tmp_path: Path) -> None:
    text = "user,item,n\na,x,1\nb,x,1\na,y,2\na,x,3\n,x,1\n"
    source = opened(tmp_path, text, weight="n")
    assert source.met("user", "a") == {"x": 4, "y": 2}
    assert source.met("item", "x") == {"a": 4, "b": 1}
    assert source.met("user", "nobody") == {}


def test_every_format_gives_the_same(tmp_path: Path) -> None:
    expected = met(read(tmp_path, "user,item,n\n1,7,2\n2,7,0.5\n", weight="n"))
    frame = pl.DataFrame({"user": [1, 2], "item": [7, 7], "n": [2.0, 0.5]})
    frame.write_parquet(tmp_path / "rows.parquet")
    (tmp_path / "rows.jsonl").write_text(
        '{"user": 1, "item": 7, "n": 2}\n{"user": "2", "item": "7", "n": 0.5}\n'
    )
    (tmp_path / "rows.tsv.gz").write_bytes(gzip.compress(b"1\t7\t2\n2\t7\t0.5\n"))
    plain = {"header": False, "columns": ["user", "item", "n"]}
    for path, keys in {"rows.parquet": {}, "rows.jsonl": {}, "rows.tsv.gz": plain}.items():
        params: Value = {"path": path, "user": "user", "item": "item", "weight": "n", **keys}
        source = interactions.open(interactions.Params(**params), tmp_path, "interactions")
        assert met(everything(source)) == expected, path


def test_no_row_is_no_record(tmp_path: Path) -> None:
    assert list(opened(tmp_path, "user,item\n").scan()) == []
    assert opened(tmp_path, "user,item\n").met("user", "a") == {}


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"user": "usr"}, r"no column 'usr', which `user`, `item` or `weight` names \(did you"),
        ({"time": "when"}, r"no column 'when', which `time` names"),
    ],
)
def test_a_column_that_is_not_there_is_told_by_its_key(
    tmp_path: Path, params: dict[str, Value], told: str
) -> None:
    with pytest.raises(base.SourceUsageError, match=told):
        opened(tmp_path, "user,item\na,x\n", **params)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"item": "user"}, "user and item both name the column 'user'"),
        ({"weight": "n", "time": "n"}, "weight and time both name the column 'n'"),
        ({"combine": "mean"}, "combine must be one of sum, last, got 'mean'"),
        ({"path": []}, "path must name at least one file"),
    ],
)
def test_keys_that_cannot_be_are_refused(params: dict[str, Value], told: str) -> None:
    given = {"path": "rows.csv", "user": "user", "item": "item", **params}
    with pytest.raises(ParamError, match=told):
        interactions.Params(**given)
