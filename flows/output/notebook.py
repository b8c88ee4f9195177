"""Rows as a notebook shows them: Arrow tables as HTML, pictures in them as pictures."""

from __future__ import annotations

import sys
from base64 import b64encode
from typing import TYPE_CHECKING

from flows.output import console
from flows.output.markup import Html, el, put

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_ROWS = 20
_MOST_LETTERS = 200
_LEADING = 3
"""Numbers of a vector that are shown."""


def html(table: pa.Table) -> Html:
    """The first rows of a table, and how many there are."""
    head = el("tr", *(el("th", name) for name in table.column_names))
    columns = [column.to_pylist() for column in table.slice(0, _MOST_ROWS).columns]
    body = [el("tr", *(el("td", _cell(one)) for one in row)) for row in zip(*columns, strict=True)]
    rows = f"{len(table):,} row{'' if len(table) == 1 else 's'}"
    shown = f"the first {_MOST_ROWS} of {rows}" if len(table) > _MOST_ROWS else rows
    return put(el("table", el("thead", head), el("tbody", *body)), el("p", shown))


def show_tables_as_html() -> None:
    """Have the notebook that this runs in, if it does, show Arrow tables so."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None:
        return
    import pyarrow as pa

    shell.display_formatter.formatters["text/html"].for_type(pa.Table, html)


def _cell(value: object) -> str:
    if isinstance(value, bytes) and value[:4] == b"RIFF" and value[8:12] == b"WEBP":
        return el("img", src=f"data:image/webp;base64,{b64encode(value).decode()}")
    if isinstance(value, list) and len(value) > _LEADING + 1:
        leading = ", ".join(console.cell(one) for one in value[:_LEADING])
        return f"[{leading}, … of {len(value):,}]"
    text = console.cell(value)
    return text if len(text) <= _MOST_LETTERS else f"{text[:_MOST_LETTERS]}…"
