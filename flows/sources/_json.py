"""JSON Lines: one object a line. Blank lines are no rows."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any

from flows.sources import _text
from flows.sources._lines import Lines, RowError, open_lines
from flows.sources._text import Broken
from flows.sources.base import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from flows.sources._rows import Raw
    from flows.sources._where import File

HEAD_ROWS = 1000
"""Objects that are looked at for the names of columns."""


class JsonTable:
    """One file of JSON objects; an object may leave out a column, which makes it null."""

    loose = True

    def __init__(self, file: File, name: str) -> None:
        """Look at the first objects for the names of columns.

        Raises:
            SourceError: if there is no object among the first rows.
        """
        self.name = name
        self._file = file
        with open_lines(file, name) as lines:
            head = [row for _, row in islice(_objects(lines), HEAD_ROWS)]
        objects = [row for row in head if not isinstance(row, Broken)]
        if not head:
            raise SourceError(f"{name} is empty; remove it, or leave it out of `path`")
        if not objects:
            raise SourceError(
                f"{name} holds no JSON object in its first {len(head)} lines; "
                f"the first: {next(row.reason for row in head if isinstance(row, Broken))}"
            )
        names = dict.fromkeys(key for row in objects for key in row)
        self.columns: dict[str, pl.DataType | None] = dict.fromkeys(names)

    def batches(self, columns: Sequence[str]) -> Iterator[Raw]:
        """Stream these columns as text: strings as they are, all else as its JSON."""
        import polars as pl

        def frame(rows: list[dict[str, Any]]) -> tuple[pl.DataFrame, frozenset[str]]:
            values = {column: [row.get(column) for row in rows] for column in columns}
            texts = frozenset(c for c in columns if any(isinstance(v, str) for v in values[c]))
            series = [
                pl.Series(column, [_as_text(value) for value in given], dtype=pl.String)
                for column, given in values.items()
            ]
            return pl.DataFrame(series), texts

        return _text.read(self._file, self.name, _objects, frame)


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _objects(lines: Lines) -> Iterator[tuple[int, dict[str, Any] | Broken]]:
    while True:
        number = lines.begin()
        try:
            line = next(lines)
        except StopIteration:
            return
        except RowError as error:
            yield number, Broken(str(error))
            continue
        if lines.garbled:
            yield number, Broken("invalid UTF-8; save the file as UTF-8")
        elif line.strip():
            yield number, _object(line)


def _object(line: str) -> dict[str, Any] | Broken:
    try:
        value = json.loads(line, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return Broken(f"invalid JSON: {error}")
    if not isinstance(value, dict):
        return Broken(f"a JSON object is expected, got {type(value).__name__}")
    if "\\u" in line and not _is_unicode(value):
        return Broken(r"invalid JSON: half of a surrogate pair, such as \ud800")
    return value


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON; write null for no value")


def _is_unicode(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
