"""Samples of rows: the head of a file or of a query, by what reads the whole in a run."""

from __future__ import annotations

import gzip
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO, cast

from flows.guessing import layout
from flows.guessing.columns import nulls
from flows.guessing.kinds import form
from flows.guessing.model import GuessError
from flows.guessing.schema import quoted
from flows.output import units
from flows.sources import _arrow, query, table
from flows.sources._where import Local

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from flows.sources._where import File
    from flows.sources.base import Chunk, Source

HEAD = 256 * 1024
"""Bytes of a text file by which its layout is told."""
ROWS = 2000
"""Rows of Parquet and of queries; of other files it is a chunk of a source."""
LINE = "\x1f"
"""A separator that no line has, so that each is a field."""
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Sample:
    """The first rows of a table.

    Attributes:
        frame: typed columns; those of bytes and nested ones are empty.
        form: ``csv``, ``tsv``, ``jsonl``, ``parquet``, ``lines`` or ``query``.
        told: whether the ending of the file says so.
        separator: between fields where it is not the usual one of the format.
        names: of the columns where the file has none.
        null_values: marks for no value.
        whole: whether these are all rows.
        notes: what is wrong with rows.
    """

    frame: pl.DataFrame
    form: str
    told: bool = True
    separator: str | None = None
    names: tuple[str, ...] = ()
    null_values: tuple[str, ...] = ()
    whole: bool = False
    notes: tuple[str, ...] = ()


def head(file: File, size: int = HEAD) -> bytes:
    """The first bytes of a file, unpacked.

    Raises:
        OSError: if it cannot be read.
    """
    with file.open() as raw:
        if not file.text.endswith(".gz"):
            return raw.read(size)
        with gzip.GzipFile(fileobj=raw) as packed:
            return cast("BinaryIO", packed).read(size)


def of_file(file: File, path: str, root: Path) -> Sample:
    """Read the head of a table.

    Args:
        file: the table.
        path: as a source names it.
        root: that relative paths are taken from.

    Raises:
        GuessError: if it is no text in UTF-8.
        SourceError: if a source would refuse the file.
        OSError: if it cannot be read.
    """
    found = form(file.text)
    if found == "parquet":
        return _of_parquet(file)
    if found == "jsonl":
        return _typed(table.Params(path=path, format=found), root, Sample(_nothing(), found))
    data = head(file)
    if data[:2] in _UTF_16:
        raise GuessError(
            f"{path} is UTF-16, and UTF-8 is what is read: "
            f"iconv -f UTF-16 -t UTF-8 {path} > NEW.csv, and take that in"
        )
    text = data.decode("utf-8-sig", "replace")
    return _of_text(text, found, path, root)


def _of_text(text: str, found: str | None, path: str, root: Path) -> Sample:
    by = layout.separator(text)
    width = max(map(len, layout.parsed(text, by)), default=0) if text.strip() else 0
    if found is None and (by == "," or width < 2):  # noqa: PLR2004 - a comma stands in prose too
        sample = Sample(_nothing(), "lines", told=False, separator=LINE, names=("text",))
        keys = table.Params(
            path=path, format="csv", separator=LINE, quote="", header=False, columns=["text"]
        )
        return _typed(keys, root, sample)
    form_, usual = found or "csv", "\t" if found == "tsv" else ","
    by = by if width > 1 else usual
    rows = layout.parsed(text, by)
    names = () if layout.has_header(rows) or not rows else tuple(layout.numbered(len(rows[0])))
    sample = Sample(
        _nothing(),
        form_,
        told=found is not None,
        separator=None if by == usual else by,
        names=names,
    )
    keys = table.Params(
        path=path, format=form_, separator=by, header=not names, columns=list(names)
    )
    return _typed(keys, root, sample)


def _typed(keys: table.Params, root: Path, sample: Sample) -> Sample:
    """Fill in the rows; where a mark for no value has made text of numbers, read them again."""
    frame, whole, notes = _rows(table.open(keys, root, "tabular"))
    marks = nulls(frame) if sample.form in {"csv", "tsv"} else []
    if marks:
        keys = replace(keys, null_values=["", *marks])
        frame, whole, notes = _rows(table.open(keys, root, "tabular"))
    return replace(sample, frame=frame, null_values=tuple(marks), whole=whole, notes=notes)


def _rows(source: Source) -> tuple[pl.DataFrame, bool, tuple[str, ...]]:
    """The first chunk of rows, whether there are no more, and what cannot be read of them."""
    with closing(source.scan()) as scanned:  # type: ignore[type-var] # a generator
        chunks = list(islice(scanned, 2))
    if not chunks:
        return _nothing(), True, ()
    first: Chunk = chunks[0]
    frame = first.records["content"].struct.unnest()
    notes: tuple[str, ...] = ()
    if first.rejects:
        one = first.rejects[0]
        seen = len(frame) + len(first.rejects)
        many = f"{len(first.rejects):,} of the first {units.several(seen, 'row')} cannot be read"
        notes = (f"{many} and would be dead letters, such as {one.place}: {one.reason}",)
    return frame, len(chunks) == 1, notes


def _of_parquet(file: File) -> Sample:
    import polars as pl
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = file.path if isinstance(file, Local) else file.open()
    try:
        with pq.ParquetFile(source) as parquet:
            schema = parquet.schema_arrow
            plain = [f.name for f in schema if not _odd(f.type)]
            batch = next(parquet.iter_batches(ROWS, columns=plain), None)
            whole = parquet.metadata.num_rows <= ROWS
    except pa.ArrowException as error:
        raise GuessError(f"{file.text} cannot be read as Parquet: {error}") from error
    kinds = _arrow.types(schema)
    rows = _nothing() if batch is None else _arrow.raw(batch, plain, [""] * len(batch)).rows
    columns = []
    for name, kind in kinds.items():
        if name in plain and batch is not None:
            column = rows[name]
            columns.append(
                column.cast(pl.String) if column.dtype in (pl.Categorical, pl.Enum) else column
            )
        else:
            columns.append(pl.Series(name, [None] * len(rows), dtype=kind))
    return Sample(pl.DataFrame(columns), "parquet", whole=whole)


def _odd(kind: object) -> bool:
    """Whether values of a type are no content of a table, and may be large."""
    import pyarrow as pa

    types = pa.types
    binary = types.is_binary(kind) or types.is_large_binary(kind)
    return bool(binary or types.is_fixed_size_binary(kind) or types.is_nested(kind))


def of_query(url: str, name: str, root: Path) -> Sample:
    """Read the head of a table of a database; columns of bytes are left out and named.

    Raises:
        SourceError: if it cannot be read.
    """
    sql = f"SELECT * FROM {quoted(name)} LIMIT {ROWS}"  # noqa: S608 - a quoted name
    frame, _, notes = _rows(query.open(query.Params(url=url, sql=sql), root, "tabular"))
    return Sample(frame, "query", whole=len(frame) < ROWS, notes=notes)


def _nothing() -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame()
