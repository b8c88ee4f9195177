"""What a source is, and where sources are found.

A source streams records from where they live. Each file of this package that defines ``open`` is
one source *kind*, named in the configuration by the file's name. Such a module has two names:

* ``Params``: a frozen dataclass, the keys that ``[sources.NAME]`` takes,
* ``open(params, root, modality)``: the source; relative paths are taken from ``root``.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import polars as pl

Modality: TypeAlias = Literal["text", "image", "audio", "tabular"]

CHUNK_ROWS = 8192
"""How many records a source hands on at a time (fewer where they are large)."""

COLUMNS = ("record_id", "place", "content", "content_hash", "event_time")
"""The columns of `Chunk.records` that every source gives, before the kept ones."""


class SourceError(Exception):
    """A source cannot be read at all: no such file, no such column, no such database."""


@dataclass(frozen=True)
class Reject:
    """A record that could not be read: where it stands, and why it is refused."""

    place: str
    reason: str
    record_id: str | None = None


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

    @property
    def types(self) -> dict[str, str]:
        """The types that columns were inferred to have, in the words of the key ``types``."""

    def scan(self) -> Iterator[Chunk]:
        """Stream the records, in a stable order and in bounded memory.

        Raises:
            SourceError: if the source as a whole cannot be read.
        """


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

    Raises:
        SourceError: if its files or columns are missing, or it cannot give that modality.
    """
    source = cast("Source", _module(kind).open(params, root, modality))
    inferred = source.types
    kept = {k: t for k, t in (remembered or {}).items() if k in inferred and inferred[k] != t}
    if not kept:
        return source
    params = replace(params, types={**kept, **params.types})
    return cast("Source", _module(kind).open(params, root, modality))
