"""Comma- and tab-separated files, a broken row at a time.

The csv module parses, in strict mode. A row whose quoting is broken, or that runs over several
lines and then has the wrong number of fields (an open quote that another quote happened to
close), costs one reject: its first line. Reading goes on with the next physical line. A blank
line is no row. Invalid UTF-8 rejects the whole row, since its bounds are not in doubt.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING

from flows.sources import _text
from flows.sources._lines import ROW_BYTES, Lines, RowError, open_lines
from flows.sources._text import Broken
from flows.sources.base import SourceAwayError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from flows.sources._rows import Raw
    from flows.sources._where import File


@dataclass(frozen=True)
class Dialect:
    """How a file is laid out: ``names`` are its columns where it has no header."""

    separator: str = ","
    quote: str = '"'
    names: tuple[str, ...] | None = None

    def reader(self, lines: Iterator[str]) -> Iterator[list[str]]:
        """Parse lines; strict, so that broken quoting is an error and not a guess."""
        if self.quote:
            return csv.reader(lines, delimiter=self.separator, quotechar=self.quote, strict=True)
        return csv.reader(lines, delimiter=self.separator, quoting=csv.QUOTE_NONE, strict=True)


class CsvTable:
    """One file of separated values; all its columns are text."""

    loose = False

    def __init__(self, file: File, name: str, dialect: Dialect, id_column: str | None) -> None:
        """Read the header.

        Raises:
            SourceError: if the file is empty, or its header broken or ambiguous.
        """
        self.name = name
        self._file = file
        self._dialect = dialect
        self._names = self._header()
        self.columns: dict[str, pl.DataType | None] = dict.fromkeys(self._names)
        # in a row that lacks a field or has one too many, only the first is where it should be
        self._id_first = id_column is not None and self._names[0] == id_column

    def batches(self, columns: Sequence[str]) -> Iterator[Raw]:
        """Stream these columns as text; a field that is not there at all is a broken row."""
        import polars as pl

        places = [self._names.index(column) for column in columns]
        pick = itemgetter(*places) if len(places) > 1 else lambda row: (row[places[0]],)

        def frame(rows: list[list[str]]) -> tuple[pl.DataFrame, frozenset[str]]:
            values = list(zip(*map(pick, rows), strict=True)) or [()] * len(columns)
            texts = [
                pl.Series(column, list(value), dtype=pl.String)
                for column, value in zip(columns, values, strict=True)
            ]
            return pl.DataFrame(texts), frozenset()

        return _text.read(self._file, self.name, self._rows, frame)

    def _header(self) -> list[str]:
        with open_lines(self._file, self.name) as lines:
            first = next((row for _, row in split(lines, self._dialect)), None)
        if first is None:
            raise SourceError(f"{self.name} is empty; remove it, or leave it out of `path`")
        if self._dialect.names is not None:
            return list(self._dialect.names)
        if isinstance(first, Broken):
            raise SourceError(f"the header of {self.name} cannot be read: {first.reason}")
        doubled = sorted({name for name in first if first.count(name) > 1})
        if doubled:
            raise SourceError(
                f"the header of {self.name} names {', '.join(map(repr, doubled))} more than once; "
                "rename all but one"
            )
        return first

    def _rows(self, lines: Lines) -> Iterator[tuple[int, list[str] | Broken]]:
        rows = split(lines, self._dialect, len(self._names), id_first=self._id_first)
        if self._dialect.names is None:
            _, header = next(rows, (0, None))
            if header != self._names:
                raise SourceAwayError(f"{self.name} changed while it was read; run again")
        yield from rows


def split(
    lines: Lines, dialect: Dialect, width: int | None = None, *, id_first: bool = False
) -> Iterator[tuple[int, list[str] | Broken]]:
    """Rows of ``width`` fields (of any number where it is None), and the line each begins at."""
    # a limit of the process, 128 KiB unless someone raised it; ours is kept by Lines
    csv.field_size_limit(max(csv.field_size_limit(), ROW_BYTES))
    reader = dialect.reader(lines)
    while True:
        number = lines.begin()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except (csv.Error, RowError) as error:
            lines.give_back()
            reader = dialect.reader(lines)
            yield number, Broken(_reason(error))
            continue
        if not fields:
            continue
        if lines.garbled:
            yield number, Broken("invalid UTF-8; save the file as UTF-8")
        elif width is None or len(fields) == width:
            yield number, fields
        else:
            if lines.number > number:
                lines.give_back()
            known = fields[0] if id_first and lines.number == number and fields[0].strip() else None
            yield number, Broken(f"{len(fields)} fields, expected {width}", known)


def _reason(error: Exception) -> str:
    if isinstance(error, RowError):
        return str(error)
    if "new-line character" in str(error):
        return "broken line end: a carriage return outside quotes"
    return f"broken quoting: {error}"
