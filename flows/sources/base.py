"""What a source is, and where sources are found.

A source streams records from where they live. Each file of this package that defines ``open`` is
one source *kind*, named in the configuration by the file's name. Such a module has two names:

* ``Params``: a frozen dataclass, the keys that ``[sources.NAME]`` takes,
* ``open(params, root, modality)``: the source; relative paths are taken from ``root``. One that
  also takes ``memory`` is given a folder for what saves time.

A source that need not be read whole says so by being `Stamped`, `Incremental` or `Windowed` too.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    import polars as pl

Modality: TypeAlias = Literal[
    "text", "image", "audio", "tabular", "vector", "graph", "interactions"
]

CHUNK_ROWS = 8192
"""How many records a source hands on at a time (fewer where they are large)."""

COLUMNS = ("record_id", "place", "content", "content_hash", "event_time")
"""The columns of `Chunk.records` that every source gives, before the kept ones."""


class SourceError(Exception):
    """A source cannot be read at all: no such file, no such column, no such database."""


class SourceUsageError(SourceError):
    """A source cannot be as its section says: another column, value or modality is needed."""


class SourceAwayError(SourceError, ConnectionError):
    """A source cannot be read now, and may be the next time: it is away, or is being written."""


@dataclass(frozen=True)
class Reject:
    """A record that could not be read: where it stands, and why it is refused.

    Attributes:
        passes: whether it may be read the next time, though nothing shows that it has changed.
    """

    place: str
    reason: str
    record_id: str | None = None
    passes: bool = False


@dataclass(frozen=True)
class Chunk:
    """Some records of a source, in order, and those among them that could not be read.

    ``records`` has the columns

    ============  ===================  =====================================================
    record_id     String, not null     unique by the user's word; the pipeline checks it
    place         String, not null     ``file.csv:17`` or ``file.parquet#3``, for a person
    content       by modality          text: String; image, audio: String, the file's path;
                                       tabular: Struct of the content columns
    content_hash  String, not null     `storage.ids`, of what the encoder will be given
    event_time    Datetime(us, UTC)    null where the record has none
    ...           any                  the kept columns, in the order of `Source.kept`
    ============  ===================  =====================================================
    """

    records: pl.DataFrame
    rejects: list[Reject] = field(default_factory=list)


class Source(Protocol):
    """A stream of records that can be read again and again."""

    @property
    def kept(self) -> dict[str, pl.DataType]:
        """The kept columns and their types; known before the first record is read."""
        ...

    @property
    def types(self) -> dict[str, str]:
        """The types that columns were inferred to have, in the words of the key ``types``."""
        ...

    def scan(self) -> Iterator[Chunk]:
        """Stream the records, in a stable order and in bounded memory.

        Raises:
            SourceError: if the source as a whole cannot be read.
            SourceAwayError: if that may pass, such as a server that went away.
        """
        ...


@runtime_checkable
class Stamped(Protocol):
    """A source that can tell, without reading its records, that they are the same as before."""

    def stamp(self) -> str | None:
        """A short digest that differs whenever the records may have changed; cheap.

        None where it cannot be told, such as for a file written a moment ago: another write in
        the same tick of the clock would not show.

        Raises:
            SourceError: if the source as a whole cannot be read.
            SourceAwayError: if that may pass, such as a server that went away.
        """
        ...


@runtime_checkable
class Incremental(Protocol):
    """A source that can be read from where the last scan ended.

    A source that is incremental only with some key set is given by ``open`` as a class without
    these members where the key is not.
    """

    @property
    def cursor(self) -> str | None:
        """The highest cursor value of the last scan, once it is exhausted; None before.

        Text that `scan_from` reads back as exactly the value it was; a scan that met no record
        leaves the cursor that it began with.
        """
        ...

    def scan_from(self, cursor: str) -> Iterator[Chunk]:
        """Stream the records at or after a cursor: including it, since rows may share a value.

        Raises:
            SourceError: if the source cannot be read, or the cursor is none of its values.
            SourceAwayError: if that may pass, such as a server that went away.
        """
        ...


@runtime_checkable
class Windowed(Protocol):
    """A source that can leave out what lies outside a window of event times."""

    def scan_window(self, since: datetime | None, until: datetime | None) -> Iterator[Chunk]:
        """Stream at least the records whose event time is in ``[since, until)``.

        This prunes, it does not select: others may come too, and so may those without an event
        time and those that could not be read.

        Args:
            since: with a zone; None is from the beginning.
            until: with a zone; None is without an end.

        Raises:
            SourceError: if the source as a whole cannot be read.
            SourceAwayError: if that may pass, such as a server that went away.
        """
        ...


@runtime_checkable
class Deferred(Protocol):
    """A source whose content is large, and stands elsewhere until a record is to be encoded."""

    def fetch(self, records: pl.DataFrame) -> pl.DataFrame:
        """Records of a scan with their content in the place of what stood for it.

        Args:
            records: any columns, ``content`` among them.

        Raises:
            SourceError: if it cannot be read.
        """
        ...


@dataclass(frozen=True)
class Excerpt:
    """A kept column that holds the beginning of each content.

    Attributes:
        column: its name.
        chars: how many characters it holds at most.
    """

    column: str
    chars: int

    def beside(self, records: pl.DataFrame) -> pl.DataFrame:
        """Records of texts with this column of their content."""
        import polars as pl

        return records.with_columns(pl.col("content").str.slice(0, self.chars).alias(self.column))

    def cuts(self, records: pl.DataFrame) -> int:
        """How many of the records have a content that goes on behind what the column holds."""
        return int((records["content"].str.len_chars() > self.chars).sum())


@runtime_checkable
class Excerpting(Protocol):
    """A source that keeps of each text its beginning.

    Where texts are cut into chunks, what is kept beside each is its own text.
    """

    @property
    def excerpt(self) -> Excerpt | None:
        """Which column that is, the last of `Source.kept`; None where nothing is kept."""


@runtime_checkable
class Remarking(Protocol):
    """A source that has something to say of what it has read."""

    def remarks(self) -> list[str]:
        """Sentences on the last scan, once it is exhausted."""
        ...


@cache
def kinds() -> tuple[str, ...]:
    """The source kinds, by file name."""
    import flows.sources as package

    names = (
        m.name
        for m in pkgutil.iter_modules(package.__path__)
        if m.name != "base" and m.name[0] != "_"
    )
    return tuple(sorted(name for name in names if hasattr(_module(name), "open")))


def _module(kind: str) -> Any:  # noqa: ANN401 - a module with the two names above
    return importlib.import_module(f"flows.sources.{kind}")


def params_type(kind: str) -> type[Any]:
    """The dataclass of the keys that this kind takes."""
    return cast("type[Any]", _module(kind).Params)


def open(  # noqa: A001 - sources.open(...)
    kind: str,
    params: Any,  # noqa: ANN401 - the kind's own dataclass
    root: Path,
    modality: Modality,
    remembered: Mapping[str, str] | None = None,
    memory: Path | None = None,
    name: str | None = None,
) -> Source:
    """Open a source for an encoder of the given modality; cheap, nothing is read through yet.

    Args:
        kind: the kind of source.
        params: its keys.
        root: where relative paths begin.
        modality: what the encoder reads.
        remembered: the types that columns had before (`Source.types`). Inference must not change
            its mind over one odd row: a value that does not fit its column is a dead letter. Types
            that ``params`` name go before.
        memory: a folder where the source may keep what only ever saves time, such as the hashes
            of files that have not been written since; None keeps and takes nothing.
        name: what its section is called, for errors.

    Raises:
        SourceError: if its files or columns are missing.
        SourceUsageError: if its section asks for what cannot be, or it cannot give that modality.
    """
    try:
        return _open_as_before(kind, params, root, modality, remembered or {}, memory)
    except SourceUsageError as error:
        if name is None:
            raise
        raise SourceUsageError(f"[sources.{name}]: {error}") from error


def keeps(params: object) -> list[str] | None:
    """The columns that a source with these keys keeps beside vectors; None where they do not say.

    A kind whose ``keep`` is not all there is to it has the property ``keeps`` instead.
    """
    found = getattr(params, "keeps", getattr(params, "keep", None))
    return None if found is None else list(found)


def _open_as_before(
    kind: str,
    params: Any,  # noqa: ANN401 - the kind's own dataclass
    root: Path,
    modality: Modality,
    remembered: Mapping[str, str],
    memory: Path | None,
) -> Source:
    source = _open(kind, params, root, modality, memory)
    inferred = source.types
    kept = {k: t for k, t in remembered.items() if k in inferred and inferred[k] != t}
    if not kept:
        return source
    params = replace(params, types={**kept, **params.types})
    return _open(kind, params, root, modality, memory)


def _open(
    kind: str,
    params: Any,  # noqa: ANN401 - the kind's own dataclass
    root: Path,
    modality: Modality,
    memory: Path | None,
) -> Source:
    opener = _module(kind).open
    if "memory" in inspect.signature(opener).parameters:
        return cast("Source", opener(params, root, modality, memory=memory))
    return cast("Source", opener(params, root, modality))
