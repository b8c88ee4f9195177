"""Lance tables as sources: versions, pushdown, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import lancedb
import pyarrow as pa
import pytest

from flows.sources import base, lance
from flows.sources._params import ParamError
from flows.sources.base import SourceAwayError, SourceUsageError
from tests.flows.sources.reading import everything
from tests.flows.sources.servers import free_port

if TYPE_CHECKING:
    from pathlib import Path

Table: TypeAlias = Any
"""What lancedb gives; it ships no types."""

DAYS = [datetime(2024, 1, day, tzinfo=UTC) for day in range(1, 11)]


def rows(*ids: int) -> pa.Table:
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "body": [f"text {i}" for i in ids],
            "at": [DAYS[i % 10] for i in ids],
            "vector": pa.array([[0.0, 1.0]] * len(ids), pa.list_(pa.float32(), 2)),
        }
    )


def opened(root: Path, **keys: Any) -> base.Source:  # noqa: ANN401 - whatever a key takes
    given = {"uri": "db", "table": "t", "id": "id", "content": "body", **keys}
    return base.open("lance", lance.Params(**given), root, "text")


def stamp(source: base.Source) -> str | None:
    assert isinstance(source, base.Stamped)
    return source.stamp()


@pytest.fixture
def made(tmp_path: Path) -> Table:
    (tmp_path / "db").mkdir()
    return lancedb.connect(str(tmp_path / "db")).create_table("t", data=rows(*range(10)))


def test_one_state_is_read_whatever_is_written_meanwhile(tmp_path: Path, made: Table) -> None:
    source = opened(tmp_path)
    first = stamp(source)
    made.add(rows(10))
    made.delete("id = 3")
    assert len(everything(source).ids) == 10
    assert stamp(source) == first
    now = opened(tmp_path)
    assert stamp(now) not in {None, first}
    found = everything(now)
    assert found.ids == [str(i) for i in range(11) if i != 3]
    assert len(set(found.places)) == 10


def test_a_version_or_tag_can_be_named(tmp_path: Path, made: Table) -> None:
    made.tags.create("release", made.version)
    made.add(rows(10))
    for name in (1, "release"):
        assert len(everything(opened(tmp_path, version=name)).ids) == 10
    for name in (99, "nothing"):
        with pytest.raises(SourceUsageError, match="mend `uri`, `table` or `version`"):
            opened(tmp_path, version=name)


def test_a_table_made_anew_has_another_stamp(tmp_path: Path, made: Table) -> None:
    before = made.version, stamp(opened(tmp_path))
    db = lancedb.connect(str(tmp_path / "db"))
    db.drop_table("t")
    again = db.create_table("t", data=rows(*range(10)))
    assert again.version == before[0]
    assert stamp(opened(tmp_path)) != before[1]


@pytest.mark.parametrize("column", ["id", "at", "body"])
def test_a_cursor_goes_on_where_the_last_scan_ended(
    tmp_path: Path,
    made: Table,
    column: str,
) -> None:
    source = opened(tmp_path, cursor=column)
    assert isinstance(source, base.Incremental)
    everything(source)
    cursor = source.cursor
    assert cursor is not None
    made.add(rows(9))
    again = opened(tmp_path, cursor=column)
    assert isinstance(again, base.Incremental)
    assert [c.records["record_id"].to_list() for c in again.scan_from(cursor)] in (
        [["9", "9"]],
        [["9"], ["9"]],
    )
    assert again.cursor == cursor


def test_a_cursor_of_another_column_is_refused(tmp_path: Path, made: Table) -> None:
    del made
    source = opened(tmp_path, cursor="id")
    assert isinstance(source, base.Incremental)
    with pytest.raises(SourceUsageError, match=r"the cursor 'text 9' is no int64"):
        list(source.scan_from("text 9"))


def test_a_window_is_left_to_lance(tmp_path: Path, made: Table) -> None:
    del made
    source = opened(tmp_path, event_time="at")
    assert isinstance(source, base.Windowed)
    found = [c.records["record_id"].to_list() for c in source.scan_window(DAYS[2], DAYS[5])]
    assert found == [["2", "3", "4"]]
    assert not isinstance(opened(tmp_path, event_time="id"), base.Windowed)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"table": "nope"}, "Table 'nope' was not found"),
        ({"uri": "nowhere"}, "there is no folder"),
        ({"content": "vector"}, "'vector' of t is Array"),
        ({"content": "bdoy"}, r"no column 'bdoy', which `content` names \(did you mean 'body'\?"),
        ({"cursor": "att"}, r"cursor names 'att', which is no column of t; did you mean 'at'"),
    ],
)
def test_what_is_not_there_is_told(
    tmp_path: Path,
    made: Table,
    keys: dict[str, Any],
    reason: str,
) -> None:
    del made
    with pytest.raises(SourceUsageError, match=reason):
        opened(tmp_path, **keys)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("keys", [{"uri": " "}, {"table": ""}])
def test_parameters_that_cannot_be_are_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ParamError, match="must not be empty"):
        lance.Params(**{"uri": "db", "table": "t", **keys})


@pytest.mark.slow
def test_a_store_that_is_away_may_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_REGION": "x",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SourceAwayError, match="cannot be reached just now"):
        opened(tmp_path, uri="s3://mill/vectors")
