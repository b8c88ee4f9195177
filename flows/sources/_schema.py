"""Which columns are read and with which types; settled before the first record is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.sources import _types
from flows.sources._params import listed
from flows.sources._rows import Layout, as_null
from flows.sources.base import SourceUsageError
from storage.nearest import perhaps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from flows.sources._params import RowKeys
    from flows.sources._rows import Table
    from flows.sources.base import Modality

SAMPLE_ROWS = 10_000
"""How many rows the types of columns are inferred from, where the format has no types."""

_SAMPLE_BYTES = 64 * 1024 * 1024


def resolve(tables: Sequence[Table], params: RowKeys, modality: Modality) -> Layout:
    """Settle columns and types for all files of a source.

    Raises:
        SourceUsageError: if a column is missing from a file, or cannot be what it is asked to be.
    """
    content = _content_columns(tables, params)
    untyped = all(kind is None for kind in tables[0].columns.values())
    null_values = tuple(params.null_values) if untyped and not tables[0].loose else ()
    typed = list(dict.fromkeys([*(content if modality == "tabular" else ()), *params.keep]))
    stray = sorted(set(params.types) - set(typed))
    if stray:
        why = (
            "event times are read by rules of their own; leave it out of types"
            if stray[0] == params.event_time
            else "ids and text are taken as they are written"
        )
        raise SourceUsageError(
            f"types names {stray[0]!r}, which is neither kept nor tabular content"
            f"{perhaps(stray[0], typed)}; {why}"
        )
    wanted = [params.id, *content, params.event_time, *params.keep]
    _check_columns(tables, [name for name in wanted if name is not None], params, content)
    types = _column_types(tables, typed, params, null_values)
    casts = _casts(params, content if modality == "text" else (), types)
    _check_casts(tables, casts, params.event_time)
    return Layout(
        id=params.id,
        content=content,
        joiner=params.joiner if modality == "text" else None,
        event_time=params.event_time,
        kept=tuple(params.keep),
        types=types,
        null_values=null_values,
    )


def _content_columns(tables: Sequence[Table], params: RowKeys) -> tuple[str, ...]:
    if params.content is not None:
        return tuple(listed(params.content))
    taken = {params.id, params.event_time, *params.keep}
    every = dict.fromkeys(name for table in tables for name in table.columns)
    content = tuple(name for name in every if name not in taken)
    if not content:
        raise SourceUsageError(
            f"{tables[0].name} has no column left for the content: {_names(every)} are all id, "
            "event_time or kept; name the content columns under `content`"
        )
    return content


def _check_columns(
    tables: Sequence[Table], wanted: Sequence[str], params: RowKeys, content: Sequence[str]
) -> None:
    every = dict.fromkeys(name for table in tables for name in table.columns)
    for table in tables:
        # objects may leave out a key, but a file without ids or content is another kind of file
        found = every if table.loose else table.columns
        missing = [name for name in wanted if name not in found]
        if table.loose and params.id is not None and params.id not in table.columns:
            missing = [params.id]
        if table.loose and not set(content) & set(table.columns):
            missing = [content[0]]
        if missing:
            near = perhaps(missing[0], table.columns).replace("; did", " (did").replace("?", "?)")
            raise SourceUsageError(
                f"{table.name} has no column {missing[0]!r}, {_asking(missing[0], params)}"
                f"{near}; it has {_names(table.columns)}"
            )


def _asking(column: str, params: RowKeys) -> str:
    """Words for what asks for a column."""
    keys: dict[str, Sequence[str | None]] = {
        "id": [params.id],
        "event_time": [params.event_time],
        "keep": params.keep,
    }
    keys["content"] = listed(params.content or ())
    key = next((key for key, names in keys.items() if column in names), None)
    return f"which `{key}` names" if key else "which another file of the source has"


def _names(columns: Sequence[str] | dict[str, None] | dict[str, pl.DataType | None]) -> str:
    return ", ".join(map(repr, columns))


def _casts(
    params: RowKeys, texts: Sequence[str], types: Mapping[str, pl.DataType]
) -> list[tuple[str, pl.DataType]]:
    """Each column that is read, with the type it will be read as."""
    casts = [(name, _types.dtype("str")) for name in (params.id, *texts) if name is not None]
    if params.event_time is not None:
        casts.append((params.event_time, _types.dtype("datetime")))
    return [*casts, *types.items()]


def _check_casts(
    tables: Sequence[Table], casts: Sequence[tuple[str, pl.DataType]], event_time: str | None
) -> None:
    for table in tables:
        for name, wanted in casts:
            native = table.columns.get(name)
            if native is not None and not _types.can_cast(native, wanted):
                mend = (
                    "let event_time name a column of dates or times, or leave it out"
                    if name == event_time
                    else "leave it out, or cast it where it is written"
                )
                raise SourceUsageError(
                    f"column {name!r} of {table.name} is {native}, which cannot be read as "
                    f"{_types.named(wanted)}; {mend}"
                )


def _column_types(
    tables: Sequence[Table], typed: Sequence[str], params: RowKeys, null_values: Sequence[str]
) -> dict[str, pl.DataType]:
    types = {name: _types.dtype(given) for name, given in params.types.items()}
    for name in typed:
        native = tables[0].columns.get(name)
        if name not in types and native is not None:
            types[name] = _types.plain(native)
    unknown = [name for name in typed if name not in types]
    types |= _inferred(tables, unknown, null_values)
    return {name: types[name] for name in typed}


def _inferred(
    tables: Sequence[Table], columns: Sequence[str], null_values: Sequence[str]
) -> dict[str, pl.DataType]:
    import polars as pl

    if not columns:
        return {}
    frames: list[pl.DataFrame] = []
    texts: set[str] = set()
    rows = size = 0
    for raw in (raw for table in tables for raw in table.batches(columns)):
        frames.append(raw.rows.head(SAMPLE_ROWS - rows))
        texts |= raw.texts
        rows += len(frames[-1])
        size += int(frames[-1].estimated_size())
        if rows >= SAMPLE_ROWS or size >= _SAMPLE_BYTES:
            break
    sample = pl.concat(frames) if frames else pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    nulled = [as_null(column, null_values, strip=True) for column in sample.iter_columns()]
    return _types.infer(pl.DataFrame(nulled), texts)
