"""Point-in-time joins: for each question the vector that was valid when it was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage import views
from storage.damage import told
from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import duckdb
    import pyarrow as pa

_HIDDEN = frozenset({"record_id", "event_time", "encoded_at"})


def point_in_time(
    con: duckdb.DuckDBPyConnection,
    view: str,
    questions: pa.Table,
    entity: str = "record_id",
    time: str = "event_time",
) -> pa.Table:
    """For each (entity, time) asked for, the vector that was valid then; never a later one.

    A row is valid from its event time on, until the record's next one. Rows without an event time
    are never taken: nothing shows that they are not from the future.

    Args:
        con: of `storage.query.connect`.
        view: a feature, or a version such as ``articles_v3``; with a history of its records for
            answers from the past, else only the current row can answer.
        questions: the columns named by the next two, and any others.
        entity: the column of record ids; whole numbers are taken as their digits.
        time: the column of moments, with a zone, or in UTC.

    Returns:
        A row a question, in their order: the columns of the questions, then ``vector``,
        ``content_hash``, ``run_id`` and the kept columns of the row found, and ``valid_from``, its
        event time; null where none was valid. A column whose name the questions have too is
        numbered: ``vector_1``.

    Raises:
        UsageError: if the view or a column is not there, or a column is of a type that cannot be
            an id or a moment.
    """
    import duckdb

    version = _shown_as(con, view)
    table = version.table
    rows = f"({views.history(table)})" if version.history else table
    _check(questions, entity, time)
    wanted = [name for name, *_ in con.execute(f"DESCRIBE {table}").fetchall()]
    wanted = [name for name in wanted if name not in _HIDDEN]
    # Columns go by their number in here, so that any names may meet. A space is in no feature's.
    asked = questions.rename_columns([f"q{i}" for i in range(questions.num_columns)])
    asked = asked.append_column("nth", [list(range(len(asked)))] if len(asked) else _no_numbers())
    id_, at = (f"q{questions.column_names.index(name)}" for name in (entity, time))
    asked = asked.append_column("moment", _whole_microseconds(asked.column(at)))
    con.register("the questions", asked)
    taken = ", ".join(f"r.{_quoted(name)} AS r{i}" for i, name in enumerate(wanted))
    # The times are compared without the vectors, which are fetched for the rows found alone.
    statement = (
        f"WITH found AS (SELECT q.*, k.record_id, k.event_time, k.content_hash "
        f'FROM "the questions" q ASOF LEFT JOIN (SELECT record_id, event_time, content_hash '
        f"FROM {rows} WHERE event_time IS NOT NULL) k ON q.{id_}::VARCHAR = k.record_id "
        "AND q.moment::TIMESTAMPTZ >= k.event_time) "
        f"SELECT f.* EXCLUDE (nth, moment, record_id, event_time, content_hash), "
        f"{taken}, f.event_time "
        f"FROM found f LEFT JOIN {table} r ON f.record_id = r.record_id "
        "AND f.event_time = r.event_time AND f.content_hash = r.content_hash ORDER BY f.nth"
    )
    try:
        joined = con.sql(statement).to_arrow_table()
    except duckdb.Error as error:
        raise (told(error) or UsageError(f"the questions cannot be joined: {error}")) from error
    finally:
        con.unregister("the questions")
    names = _numbered(questions.column_names, [*wanted, "valid_from"])
    return joined.rename_columns([*questions.column_names, *names])


def _shown_as(con: duckdb.DuckDBPyConnection, view: str) -> views.Shown:
    """The version that a name stands for."""
    known = {name: version for version in views.shown(con) for name in version.names}
    if view in known:
        return known[view]
    why = views.missing(con).get(view)
    if why is not None:
        raise UsageError(f"{view} cannot be had: {why}")
    raise UsageError(
        f"there is no feature or version {view!r}; there are: {', '.join(sorted(known)) or 'none'}"
    )


def _check(questions: pa.Table, entity: str, time: str) -> None:
    import pyarrow as pa

    for column in (entity, time):
        if column not in questions.column_names:
            raise UsageError(
                f"the questions have no column {column!r}; they have: "
                f"{', '.join(questions.column_names) or 'none'}"
            )
    id_type, time_type = (_plain(questions.schema.field(name).type) for name in (entity, time))
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if not any(is_a(id_type) for is_a in (*texts, pa.types.is_integer, pa.types.is_null)):
        raise UsageError(
            f"the column {entity!r} is {id_type}, and record ids are text; cast it to text or to "
            "whole numbers, as the ids are written"
        )
    moments = (pa.types.is_timestamp, pa.types.is_date, *texts, pa.types.is_null)
    if not any(is_a(time_type) for is_a in moments):
        raise UsageError(
            f"the column {time!r} is {time_type}, and questions are asked at moments; cast it to a "
            "timestamp"
        )


def _plain(kind: Any) -> Any:  # noqa: ANN401 - pyarrow ships no types
    import pyarrow as pa

    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _whole_microseconds(moments: Any) -> Any:  # noqa: ANN401 - as above
    """Moments of nanoseconds, cut: DuckDB rounds them, and so up into the future."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_timestamp(moments.type) or moments.type.unit != "ns":
        return moments
    return pc.floor_temporal(moments, unit="microsecond")


def _no_numbers() -> Any:  # noqa: ANN401 - as above
    import pyarrow as pa

    return pa.array([], pa.int64())


def _numbered(taken: Iterable[str], names: Iterable[str]) -> Iterator[str]:
    """The names, each with the first number that makes it one of its own."""
    met = set(taken)
    for name in names:
        number, chosen = 0, name
        while chosen in met:
            number += 1
            chosen = f"{name}_{number}"
        met.add(chosen)
        yield chosen


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
