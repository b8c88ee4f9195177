"""Point-in-time joins against a search of every row: never a vector from the future."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import query
from storage.joins import point_in_time
from storage.model import UsageError
from tests.storage.conftest import DIM, NOW, begun

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import duckdb

    from tests.storage.conftest import Store

Row = tuple[str, "datetime | None", str, str]
"""Id, event time, content and run of a row of a history."""

START = datetime(2026, 1, 1, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def table(rows: Sequence[Row], names: Sequence[str] = ("label",)) -> pa.RecordBatchReader:
    """Rows as a run commits them; the vector of each holds its number, as its kept columns do."""
    n = len(rows)
    vectors = pa.array(np.repeat(np.arange(n, dtype=np.float32), DIM))
    ids, times, contents, runs = ([row[i] for row in rows] for i in range(4))
    columns = {
        "record_id": pa.array(ids, pa.string()),
        "vector": pa.FixedSizeListArray.from_arrays(vectors, DIM),
        "content_hash": pa.array(contents, pa.string()),
        "event_time": pa.array(times, pa.timestamp("us", tz="UTC")),
        "encoded_at": pa.array([NOW] * n, pa.timestamp("us", tz="UTC")),
        "run_id": pa.array(runs, pa.string()),
        **{name: pa.array(range(n), pa.int64()) for name in names},
    }
    return pa.table(columns).to_reader()


def session(
    store: Store, rows: Sequence[Row], names: Sequence[str] = ("label",), *, history: bool = True
) -> duckdb.DuckDBPyConnection:
    version = store.version()
    if history:
        store.catalog.keep_history(version)
    lance_version = store.vectors.rewrite(version.table, table(rows, names))
    store.publish(replace(version, history=history), f"r{lance_version}", lance_version)
    return query.connect(store.catalog, store.vectors)


def oracle(rows: Sequence[Row], entity: str | None, moment: datetime | None) -> int | None:
    """The number of the row that answers, by looking at each."""
    best: tuple[datetime, str, int] | None = None
    for number, (record_id, at, _, run_id) in enumerate(rows):
        if record_id != entity or at is None or moment is None or at > moment:
            continue
        if best is None or (at, run_id) > best[:2]:
            best = (at, run_id, number)
    return None if best is None else best[2]


MOMENTS = st.one_of(st.none(), st.integers(-2, 6).map(lambda n: START + n * TICK))
ROWS = st.lists(
    st.tuples(st.sampled_from(["1", "b", "it's"]), MOMENTS, st.sampled_from("xyz")),
    max_size=12,
    unique=True,
)
QUESTIONS = st.lists(
    st.tuples(st.sampled_from(["1", "b", "it's", "nobody", None]), MOMENTS), max_size=12
)


@pytest.mark.slow
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=ROWS, asked=QUESTIONS)
def test_the_answer_is_the_last_row_that_was_valid(
    store: Store,
    drawn: list[tuple[str, datetime | None, str]],
    asked: list[tuple[str | None, datetime | None]],
) -> None:
    # One run a row, so that of rows of one time each order is drawn.
    rows = [(i, at, f"hash {text}", f"run {n:02}") for n, (i, at, text) in enumerate(drawn)]
    questions = pa.table(
        {
            "who": pa.array([who for who, _ in asked], pa.string()),
            "when": pa.array([when for _, when in asked], pa.timestamp("us", tz="UTC")),
            "label": pa.array(range(len(asked)), pa.int64()),
        }
    )
    with session(store, rows) as con:
        found = point_in_time(con, "notes", questions, "who", "when")
        con.register("questions", questions)
        by_join = con.sql(
            "SELECT q.label, h.label AS n FROM questions q ASOF LEFT JOIN "
            "(FROM notes_history WHERE valid_from IS NOT NULL) h "
            'ON q.who = h.record_id AND q."when" >= h.valid_from ORDER BY 1'
        ).fetchall()
        by_range = con.sql(
            "SELECT q.label, h.label AS n FROM questions q LEFT JOIN notes_history h "
            'ON q.who = h.record_id AND q."when" >= h.valid_from '
            'AND (q."when" < h.valid_until OR h.valid_until IS NULL) ORDER BY 1'
        ).fetchall()
        moments = {when for _, when in asked if when is not None}
        at = {
            (who, when): n
            for when in moments
            for who, n in con.execute("SELECT record_id, label FROM notes_at(?)", [when]).fetchall()
        }
        current = con.sql("SELECT record_id, label FROM notes ORDER BY 1").fetchall()
        unended = con.sql(
            "SELECT record_id, label FROM notes_history WHERE valid_until IS NULL ORDER BY 1"
        ).fetchall()
    expected = [oracle(rows, who, when) for who, when in asked]
    assert found["label_1"].to_pylist() == expected
    assert found.select(questions.column_names).to_pylist() == questions.to_pylist()
    for n, answer, moment in zip(expected, found.to_pylist(), asked, strict=True):
        assert answer["vector"] == (None if n is None else [float(n)] * DIM)
        assert answer["valid_from"] == (None if n is None else rows[n][1])
        assert answer["valid_from"] is None or moment[1] is not None
        assert answer["valid_from"] is None or answer["valid_from"] <= moment[1]
    assert [n for _, n in by_join] == expected
    assert [n for _, n in by_range] == expected
    assert [at.get((str(who), when)) if when else None for who, when in asked] == expected
    assert current == unended
    assert [who for who, _ in current] == sorted({row[0] for row in rows})


@pytest.fixture(scope="module")
def numbers(
    tmp_path_factory: pytest.TempPathFactory, empty_catalog: Path
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Records 1 and 007, each with a row at the first and one at the second of January."""
    store = begun(tmp_path_factory.mktemp("numbers"), empty_catalog)
    rows = [
        (who, START + timedelta(days=n), f"hash {n}", "run") for who in ("1", "007") for n in (0, 1)
    ]
    names = ("nth", "valid from", 'odd "name"', "q0")
    with session(store, rows, names) as con:
        yield con


@pytest.mark.parametrize(
    "whos",
    [
        pa.array([1, 7, None], pa.int64()),
        pa.array([1, 7, None], pa.uint8()),
        pa.array(["1", "7", None], pa.large_string()),
        pa.array(["1", "7", None]).dictionary_encode(),
        pa.array(["1", "7", None], pa.string_view()),
    ],
    ids=str,
)
def test_ids_may_be_of_other_types(numbers: duckdb.DuckDBPyConnection, whos: Any) -> None:  # noqa: ANN401 - pyarrow ships no types
    questions = pa.table({"record_id": whos, "event_time": [START] * 3})
    assert point_in_time(numbers, "notes_v1", questions)["nth"].to_pylist() == [0, None, None]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (pa.array([1767308400000000, None], pa.timestamp("us")), 0),
        (pa.array([date(2026, 1, 2), None]), 1),
        (pa.array(["2026-01-01 23:59:59.999999", None]), 0),
        (pa.array(["2026-01-02T01:00:00+02:00", None]), 0),
        (pa.array([datetime(2026, 1, 2, 1, tzinfo=timezone(timedelta(hours=2))), None]), 0),
        (pa.array([1767311999999999999, None], pa.timestamp("ns", "UTC")), 0),
        (pa.array([1767311999999999999, None], pa.timestamp("ns")), 0),
        (pa.array([1767312000000000000, None], pa.timestamp("ns", "UTC")), 1),
        (pa.array([1767312000, None], pa.timestamp("s")), 1),
        (pa.nulls(2), None),
    ],
)
def test_moments_may_be_of_other_types(
    numbers: duckdb.DuckDBPyConnection,
    when: Any,  # noqa: ANN401 - pyarrow ships no types
    expected: int | None,
) -> None:
    questions = pa.table({"record_id": ["1", "1"], "event_time": when})
    found = point_in_time(numbers, "notes", questions)
    assert found["nth"].to_pylist() == [expected, None]


def test_columns_of_any_names_stand_beside_each_other(numbers: duckdb.DuckDBPyConnection) -> None:
    questions = pa.table(
        {
            'an "id"': ["1"], "vector": [7], "nth": [8], "NTH": [9], "valid_from": [10],
            "q1": [11], "record_id": ["x"], "a time": [START], "nth_1": [12],
        }
    )  # fmt: skip
    found = point_in_time(numbers, "notes", questions, 'an "id"', "a time")
    assert found.column_names == [
        *questions.column_names, "vector_1", "content_hash", "run_id", "nth_2", "valid from",
        'odd "name"', "q0", "valid_from_1",
    ]  # fmt: skip
    assert found.select(questions.column_names).to_pylist() == questions.to_pylist()
    assert found["vector_1"].to_pylist() == [[0.0] * DIM]
    assert found["valid_from_1"].to_pylist() == [START]


def test_without_a_history_the_current_row_answers_from_its_time_on(store: Store) -> None:
    rows = [("a", START, "hash x", "run"), ("b", None, "hash y", "run")]
    asked = [("a", START - TICK), ("a", START), ("b", START)]
    questions = pa.table({"record_id": [a for a, _ in asked], "event_time": [t for _, t in asked]})
    with session(store, rows, history=False) as con:
        assert point_in_time(con, "notes", questions)["label"].to_pylist() == [None, 0, None]
        none = point_in_time(con, "notes", questions.slice(0, 0))
    assert (len(none), none.schema.field("vector").type) == (0, pa.list_(pa.float32(), DIM))


def test_what_cannot_be_joined_is_told(numbers: duckdb.DuckDBPyConnection) -> None:
    good = pa.table({"record_id": ["1"], "event_time": [START]})
    for view in ("note", "notes_history", "runs", "notes; DROP TABLE runs"):
        with pytest.raises(
            UsageError, match=r"no feature or version .*; there are: notes, notes_v1"
        ):
            point_in_time(numbers, view, good)
    with pytest.raises(UsageError, match="no column 'who'; they have: record_id, event_time"):
        point_in_time(numbers, "notes", good, "who")
    floats = good.set_column(0, "record_id", pa.array([1.0]))
    with pytest.raises(UsageError, match="'record_id' is double, and record ids are text; cast it"):
        point_in_time(numbers, "notes", floats)
    ints = good.set_column(1, "event_time", pa.array([1767312000]))
    with pytest.raises(
        UsageError, match="'event_time' is int64, and questions are asked at moments"
    ):
        point_in_time(numbers, "notes", ints)
    words = good.set_column(1, "event_time", pa.array(["soon"]))
    with pytest.raises(UsageError, match="questions cannot be joined: Conversion Error"):
        point_in_time(numbers, "notes", words)
    assert len(point_in_time(numbers, "notes", good)) == 1
