"""Records that are rows of CSV, TSV, JSON Lines or Parquet files.

Files are streamed in bounded memory. What must be known before the first record, columns and
types, comes from their headers and from a sample of their first rows. Ids and text are taken
exactly as they are written: ``00123`` stays ``00123``.

A row that cannot be read is rejected with its place: ``news.csv:17`` is the physical line on
which the row begins, ``news.parquet#3`` the row counted from 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from flows.sources import _params, _types
from flows.sources._csv import CsvTable, Dialect
from flows.sources._glob import find
from flows.sources._json import JsonTable
from flows.sources._params import ParamError
from flows.sources._parquet import ParquetTable
from flows.sources._records import source_of
from flows.sources._schema import resolve
from flows.sources._where import stamp
from flows.sources.base import SourceError, SourceUsageError

if TYPE_CHECKING:
    from pathlib import Path

    from flows.sources._glob import Found
    from flows.sources._records import RowSource
    from flows.sources._rows import Table
    from flows.sources.base import Modality

FORMATS = ("csv", "tsv", "jsonl", "parquet")

_EXTENSIONS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True)
class Params:
    r"""The keys of a ``[sources.NAME]`` of kind ``table``.

    Attributes:
        path: a file or pattern (``*``, ``?``, ``**``), or a list of them, relative to the root;
            files are read in the order of their names. A URI such as ``s3://bucket/news/*.csv``
            (``gs://``, ``az://``) may stand in its place.
        format: ``csv``, ``tsv``, ``jsonl`` or ``parquet``; None goes by the extension. All but
            Parquet may end in ``.gz``.
        id: the column of ids; None makes the content hash the id. The pipeline numbers equal
            rows, ``HASH`` and ``HASH#2``, so that none is lost.
        content: the column or columns to encode; None takes all that have no other part.
        event_time: the column of event times: ISO 8601, taken as UTC where it has no zone, or
            seconds or milliseconds since 1970.
        keep: columns stored beside the vector.
        separator: between fields; None is a tab for ``tsv`` and a comma for ``csv``.
        quote: around fields that hold separators or line ends; empty for files that do not quote.
        header: whether the first row of a ``csv`` or ``tsv`` names the columns.
        columns: the names of the columns where there is no header.
        null_values: what stands for no value in ``csv`` and ``tsv``, spaces around it aside. In
            text content it must be the whole of a column, spaces and all.
        types: the types of kept columns and of tabular content where the inferred ones will not
            do: ``str``, ``int``, ``float``, ``bool``, ``date`` or ``datetime``.
        joiner: stands between content columns where they are joined to one text.

    Raises:
        ParamError: if a value cannot be, or two clash.
    """

    path: str | list[str]
    format: str | None = None
    id: str | None = None
    content: str | list[str] | None = None
    event_time: str | None = None
    keep: list[str] = field(default_factory=list)
    separator: str | None = None
    quote: str = '"'
    header: bool = True
    columns: list[str] = field(default_factory=list)
    null_values: list[str] = field(default_factory=lambda: [""])
    types: dict[str, str] = field(default_factory=dict)
    joiner: str = "\n\n"

    def __post_init__(self) -> None:
        _params.check_paths(self.path)
        if self.format is not None:
            _params.one_of("format", self.format, FORMATS)
        _params.check_once("columns", self.columns)
        _params.check_rows(self, _types.NAMES)
        _check_layout(self)


def _check_layout(params: Params) -> None:
    """Check the keys that say how a text file is laid out."""
    separator, quote = params.separator, params.quote
    if separator is not None and (len(separator) != 1 or separator in "\r\n"):
        raise ParamError(f"separator must be one character on the line, got {separator!r}")
    if len(quote) > 1 or (quote and quote in "\r\n"):
        raise ParamError(f"quote must be one character, or empty for none, got {quote!r}")
    if quote and quote == separator:
        raise ParamError(f"separator and quote must differ, both are {quote!r}")
    if not params.header and not params.columns:
        raise ParamError("header = false needs the names of the columns: columns = [...]")
    if params.header and params.columns:
        raise ParamError(
            "columns is for files without a header; set header = false, or leave columns out"
        )


def open(params: Params, root: Path, modality: Modality) -> RowSource:  # noqa: A001 - sources.open(...)
    """Open the files: read their headers, and a sample of rows where types are inferred.

    Raises:
        SourceError: if a file or column is missing, a file is empty or its header ambiguous, or
            the modality is not text or tabular.
    """
    _params.check_modality(
        modality, ("text", "tabular"), "table", "use one of kind 'files' for files of their own"
    )
    files = find(params.path, root)
    forms = {params.format or _format(file): file.name for file in files}
    if len(forms) > 1:
        names = " and ".join(f"{name} ({form})" for form, name in forms.items())
        raise SourceUsageError(
            f"a source has files of one format, got {names}; make a source of each"
        )
    form = next(iter(forms))
    tables = [_table(file, form, params) for file in files]
    stamped = partial(_stamp, params.path, root, [file.name for file in files])
    return source_of(tables, resolve(tables, params, modality), params.types, stamped)


def _stamp(path: str | list[str], root: Path, opened: list[str]) -> str | None:
    """Of the names, sizes and times of all files; None where they are not those opened."""
    files = find(path, root)
    if [file.name for file in files] != opened:
        return None
    return stamp((file.name, file.file) for file in files)


def _table(file: Found, form: str, params: Params) -> Table:
    if file.problem is not None:
        raise SourceError(f"{file.name} {file.problem}; leave it out of `path`")
    if form == "jsonl":
        return JsonTable(file.file, file.name)
    if form == "parquet":
        return ParquetTable(file.file, file.name)
    separator = params.separator or ("\t" if form == "tsv" else ",")
    names = None if params.header else tuple(params.columns)
    return CsvTable(file.file, file.name, Dialect(separator, params.quote, names), params.id)


def _format(file: Found) -> str:
    suffixes = [
        suffix.lower()
        for suffix in PurePosixPath(file.file.text).suffixes
        if suffix.lower() != ".gz"
    ]
    form = _EXTENSIONS.get(suffixes[-1]) if suffixes else None
    if form is None:
        raise SourceUsageError(
            f"{file.name}: the extension says no format ({', '.join(_EXTENSIONS)} do); "
            f"set format to {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        )
    return form
