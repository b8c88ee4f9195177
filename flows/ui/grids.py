"""Rows of plain values as a table, or as text for a file."""

from __future__ import annotations

import csv
import io
import json
import math
from base64 import b64encode
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from encoders.thumbnail import TYPE
from flows.output.console import cell as told
from flows.output.markup import Html, el
from flows.output.visible import visible
from flows.reports.grid import Cell, Column, cell, heading, table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pyarrow as pa

    from flows.output.markup import Child

LONGEST = 400
"""Characters of a text that a cell shows."""

_LINE = 80
"""Characters above which a text in a cell is kept to a few lines."""

_TITLE = 4_000
"""Characters of it that are shown where one points at the cell."""

_NUMBERS = 4
"""Numbers of a vector that a cell shows."""


def rows_table(
    rows: Sequence[Mapping[str, Any]],
    columns: Mapping[str, Column],
    caption: str,
    made: Mapping[str, Callable[[Mapping[str, Any]], Child]] | None = None,
) -> Html:
    """A table of rows.

    Args:
        rows: the rows.
        columns: what is shown of them, in order; the first heads its row.
        caption: what the table is, for those who hear it.
        made: how columns are shown that `value` does not suffice for.
    """
    made = made or {}
    show = {name: made.get(name) or _of(name) for name in columns}
    cells = [[_cell(place, show[name](row)) for place, name in enumerate(columns)] for row in rows]
    return table([*columns.values()], cells, caption)


def value(given: object) -> Child:
    """A value as a person reads it: cut where it is long, a picture where it is one."""
    if isinstance(given, datetime):
        return moment(given)
    if is_picture(given):
        return picture(given, "thumbnail")
    if isinstance(given, list | dict):
        return short(_nested(given))
    if isinstance(given, str) and len(given) > _LINE:
        # All of it, as far as that goes, where one points at it.
        return el("span", short(given), class_="clamp", title=visible(given[:_TITLE]))
    return short(given if isinstance(given, str) else told(given)) or None


def _nested(given: list[Any] | dict[str, Any]) -> str:
    """A list or a struct; of a vector its first numbers."""
    if isinstance(given, list) and len(given) > _NUMBERS and isinstance(given[0], float):
        shown = ", ".join(f"{number:.4g}" for number in given[: _NUMBERS - 1])
        return f"[{shown}, … of {len(given):,}]"
    return json.dumps(given, default=str, ensure_ascii=False)


def short(text: str) -> str:
    """A text, cut where it is long."""
    text = visible(text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def moment(given: datetime) -> Html:
    """A time, to the minute, in UTC where it says so itself."""
    return el("time", f"{given:%Y-%m-%d %H:%M}", datetime=given.isoformat())


def is_picture(given: object) -> bool:
    """Whether these are the bytes of a thumbnail."""
    return isinstance(given, bytes) and given[:4] == b"RIFF" and given[8:12] == b"WEBP"


def picture(given: object, words: str) -> Html:
    """A thumbnail."""
    assert isinstance(given, bytes)  # noqa: S101 - told by who calls
    return el("img", src=f"data:{TYPE};base64,{b64encode(given).decode()}", alt=words)


def record_link(feature: str, record_id: str) -> Html:
    """A record's id, which leads to what made its vectors."""
    address = f"/features/{feature}/record?id={quote(record_id, safe='')}"
    return el("a", short(record_id), href=address, class_="long")


def columns_of(schema: pa.Schema) -> dict[str, Column]:
    """A column of a table for each of Arrow's."""
    import pyarrow.types as kinds

    def is_number(kind: pa.DataType) -> bool:
        return bool(kinds.is_integer(kind) or kinds.is_floating(kind) or kinds.is_decimal(kind))

    return {one.name: Column(one.name, is_number=is_number(one.type)) for one in schema}


def as_csv(rows: pa.Table) -> Iterator[str]:
    """Rows as CSV, a piece at a time: bytes in base64, what is nested as JSON."""
    yield _line(rows.column_names)
    for batch in rows.to_batches(max_chunksize=500):
        lists = [column.to_pylist() for column in batch.columns]
        yield "".join(_line([_plain(one) for one in row]) for row in zip(*lists, strict=True))


def _plain(given: object) -> object:
    if isinstance(given, bytes):
        return b64encode(given).decode()
    if isinstance(given, list | dict):
        return json.dumps(given, default=_text, ensure_ascii=False)
    if isinstance(given, float) and not math.isfinite(given):
        return str(given)
    return _text(given) if isinstance(given, datetime | date | timedelta) else given


def _text(given: object) -> str:
    if isinstance(given, bytes):
        return b64encode(given).decode()
    return given.isoformat() if isinstance(given, datetime | date) else str(given)


def _line(values: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()


def _of(name: str) -> Callable[[Mapping[str, Any]], Child]:
    return lambda row: value(row.get(name))


def _cell(place: int, inside: Child) -> Cell:
    return heading(inside) if place == 0 else cell(inside)
