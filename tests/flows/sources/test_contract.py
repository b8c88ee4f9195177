"""What every kind of source keeps, whichever it is."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING, get_args

import polars as pl
import pytest

from flows.sources import base
from tests.flows.sources.examples import EXAMPLES, Example
from tests.flows.sources.reading import everything

if TYPE_CHECKING:
    from pathlib import Path

KINDS = base.kinds()
TYPES = {
    "record_id": pl.String(),
    "place": pl.String(),
    "content_hash": pl.String(),
    "event_time": pl.Datetime("us", "UTC"),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def example(kind: str, tmp_path: Path) -> Example:
    return EXAMPLES[kind](tmp_path)


@pytest.fixture
def source(kind: str, example: Example, tmp_path: Path) -> base.Source:
    return base.open(kind, example.params, tmp_path, example.modality)


def test_every_kind_has_an_example_and_no_example_is_left_over() -> None:
    assert set(EXAMPLES) == set(KINDS)
    assert {"table", "files", "query", "lance"} <= set(KINDS)


def test_params_are_a_frozen_dataclass(kind: str, example: Example) -> None:
    assert isinstance(example.params, base.params_type(kind))
    name = dataclasses.fields(base.params_type(kind))[0].name
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign"):
        setattr(example.params, name, "other")


def test_columns_come_in_order_with_their_types(source: base.Source) -> None:
    for chunk in source.scan():
        assert chunk.records.columns == [*base.COLUMNS, *source.kept]
        schema = chunk.records.schema
        assert {name: schema[name] for name in TYPES} == TYPES
        assert {name: schema[name] for name in source.kept} == source.kept


def test_what_must_not_be_null_is_not(source: base.Source) -> None:
    records = everything(source).records
    assert records.select("record_id", "place", "content", "content_hash").null_count().row(0) == (
        (0,) * 4
    )


def test_chunks_are_bounded(source: base.Source) -> None:
    sizes = [len(chunk.records) + len(chunk.rejects) for chunk in source.scan()]
    assert max(sizes) <= base.CHUNK_ROWS
    assert min(sizes) > 0


def test_nothing_is_lost(source: base.Source, example: Example) -> None:
    found = everything(source)
    assert len(found.records) + len(found.rejects) == example.n
    assert set(found.refused) == example.broken
    assert not set(found.places) & example.broken
    assert all(found.refused.values())


def test_scanning_twice_gives_the_same(source: base.Source) -> None:
    first, second = everything(source), everything(source)
    assert first.records.equals(second.records, null_equal=True)
    assert first.rejects == second.rejects


def test_a_scan_that_is_left_early_does_not_disturb_the_next(source: base.Source) -> None:
    abandoned = source.scan()
    next(abandoned)
    whole = everything(source)
    assert len(whole.records) > 0


def test_equal_contents_have_equal_hashes_and_others_do_not(source: base.Source) -> None:
    hashes = everything(source).records["content_hash"]
    assert hashes.str.len_chars().unique().to_list() == [32]
    assert hashes.n_unique() == len(hashes)


def test_a_modality_that_it_cannot_give_is_refused(
    kind: str, example: Example, tmp_path: Path
) -> None:
    able = []
    modalities = get_args(base.Modality)
    for modality in modalities:
        try:
            base.open(kind, example.params, tmp_path, modality)
        except base.SourceError as error:
            assert modality in str(error)  # noqa: PT017 - only some of them may fail
        else:
            able.append(modality)
    assert example.modality in able
    assert len(able) < len(modalities)


def test_a_stamp_tells_that_nothing_changed_or_that_it_cannot_tell(source: base.Source) -> None:
    assert isinstance(source, base.Stamped)
    first = source.stamp()
    everything(source)
    assert first == source.stamp()
    assert first is None or len(first) >= 16


def test_a_scan_from_its_own_cursor_begins_with_its_last_records(source: base.Source) -> None:
    if not isinstance(source, base.Incremental):
        pytest.skip("not incremental: it has no cursor, or none with these keys")
    assert source.cursor is None
    whole = everything(source)
    cursor = source.cursor
    assert cursor is not None
    again = [chunk.records for chunk in source.scan_from(cursor)]
    assert source.cursor == cursor
    assert set(pl.concat(again)["record_id"]) == {whole.ids[-1]}


def test_a_scan_that_is_left_early_has_no_cursor(source: base.Source) -> None:
    if not isinstance(source, base.Incremental):
        pytest.skip("not incremental: it has no cursor, or none with these keys")
    next(source.scan())
    assert source.cursor is None


def test_a_window_leaves_out_nothing_that_is_inside(source: base.Source) -> None:
    if not isinstance(source, base.Windowed):
        pytest.skip("not windowed: what it reads has no type for moments")
    since, until = (datetime(2024, 1, day, tzinfo=UTC) for day in (2, 4))
    inside = pl.col("event_time").is_between(since, until, closed="left")
    expected = everything(source).records.filter(inside)
    found = pl.concat([chunk.records for chunk in source.scan_window(since, until)])
    assert len(expected) > 0
    assert found.filter(inside)["record_id"].to_list() == expected["record_id"].to_list()
    whole = pl.concat([chunk.records for chunk in source.scan_window(None, None)])
    assert whole.equals(everything(source).records, null_equal=True)
