"""Records that are files of their own: images, recordings, texts.

Links to folders are not followed. Neither is a link to a file that leads out of the folder in
which the wildcards begin, unless ``follow_links`` is set: what is embedded should be what was
put there. Both are rejected, not passed over. Hidden files and folders are passed over, unless
the path names them with their dot.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from flows.sources import _params, _payload, _types
from flows.sources._glob import check_exists, find, named_by
from flows.sources._hashes import Hashes
from flows.sources._params import ParamError
from flows.sources._pattern import Pattern, check_template
from flows.sources._payload import FileError
from flows.sources._where import Local, stamp
from flows.sources.base import Chunk, Excerpt, Reject, SourceUsageError
from storage.nearest import perhaps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import polars as pl

    from flows.sources._glob import Found
    from flows.sources._payload import Payload
    from flows.sources._where import File
    from flows.sources.base import Modality

CHUNK_FILES = 512
"""How many files a chunk has at most; fewer where their texts are large."""

CHUNK_BYTES = 64 * 1024 * 1024
"""How much text a chunk has at most, unless a single file is larger."""

_WORKERS = 4
_PATH = "path"
_TEXT = "text"
_MTIME = "mtime"


@dataclass(frozen=True)
class Params:
    """The keys of a ``[sources.NAME]`` of kind ``files``.

    Attributes:
        path: a file or pattern (``*``, ``?``, ``[...]``, ``**``), or a list of them, relative to
            the root; or a URI such as ``s3://bucket/photos/**/*.jpg`` (``gs://``, ``az://``).
        pattern: what the end of each path looks like, as ``{label}/{name}.jpg``. A field takes
            what stands in its place, never a ``/``, and becomes a kept column. It takes no folder
            above the root, and none before the first wildcard of a path with ``**``.
        keep: the fields to keep; None keeps all. The column ``path`` is always kept. ``text``
            keeps of each text its beginning, unless a field is called so.
        keep_chars: how many characters of each text the column ``text`` holds.
        id: a template of fields; None is the path below the folder in which wildcards begin.
        event_time: ``mtime`` for the time of the last change, or a field that holds an ISO 8601
            date or time, or seconds or milliseconds since 1970.
        types: the types of fields that are not to be text: ``int``, ``float``, ``bool``, ``date``
            or ``datetime``.
        max_bytes: the largest text that is read; larger ones are rejected.
        follow_links: whether links may lead to files outside the folder.

    Raises:
        ParamError: if a value cannot be, or names a field that the pattern has not.
    """

    path: str | list[str]
    pattern: str | None = None
    keep: list[str] | None = None
    keep_chars: int = 10_000
    id: str | None = None
    event_time: str | None = None
    types: dict[str, str] = field(default_factory=dict)
    max_bytes: int = 64 * 1024 * 1024
    follow_links: bool = False

    def __post_init__(self) -> None:
        _params.check_paths(self.path)
        if self.max_bytes < 1:
            raise ParamError(f"max_bytes must be at least 1, got {self.max_bytes}")
        if self.keep_chars < 1:
            raise ParamError(
                f"keep_chars must be at least 1, got {self.keep_chars}; leave {_TEXT!r} out of "
                "keep to keep nothing of the texts"
            )
        fields = self._fields
        _params.check_once("keep", self.keep or [])
        for name in self.keep or []:
            if name not in {_PATH, _TEXT}:
                _check_field("keep", name, fields)
        for name in self.types:
            _check_field("types", name, fields)
        if self.event_time not in (None, _MTIME):
            _check_field("event_time", self.event_time, fields)
        if self.id is not None:
            check_template(self.id, fields)
        _params.check_kept(fields if self.keep is None else self.keep)
        _params.check_types(self.types, _types.NAMES)

    @property
    def keeps(self) -> list[str]:
        """The columns that are kept: fields of the pattern, ``path``, and the text as the last."""
        names = dict.fromkeys([*(self._fields if self.keep is None else self.keep), _PATH])
        if self.excerpt is not None:
            del names[_TEXT]
            names[_TEXT] = None
        return list(names)

    @property
    def excerpt(self) -> Excerpt | None:
        """What is kept of each text; None where that is nothing."""
        kept = _TEXT in (self.keep or []) and _TEXT not in self._fields
        return Excerpt(_TEXT, self.keep_chars) if kept else None

    @property
    def _fields(self) -> list[str]:
        return Pattern(self.pattern).fields if self.pattern is not None else []


def _check_field(key: str, name: str, fields: Sequence[str]) -> None:
    if name not in fields:
        known = ", ".join(fields) or "none, since pattern is not set"
        raise ParamError(
            f"{key} names {name!r}, which is no field of pattern{perhaps(name, fields)}; "
            f"its fields: {known}"
        )


def open(  # noqa: A001 - sources.open(...)
    params: Params, root: Path, modality: Modality, *, memory: Path | None = None
) -> FilesSource:
    """Open the files; they are listed when the source is scanned.

    With a ``memory``, media that have not been written since their last scan are not read.

    Raises:
        SourceError: if nothing matches, the modality is tabular, or the text is to be kept of what
            is none.
    """
    _params.check_modality(
        modality, ("text", "image", "audio"), "files", "use one of kind 'table' for rows of columns"
    )
    if params.excerpt is not None and modality != "text":
        raise SourceUsageError(
            f"keep names {_TEXT!r}, what is in a file of text, and these are files of {modality}; "
            "leave it out"
        )
    check_exists(params.path, root)
    return FilesSource(params, root, modality, memory)


def file_of(params: Params, root: Path, name: str) -> File | None:
    """The file that the column ``path`` of a record names; None where the source would not read it.

    Args:
        params: the keys of the source.
        root: that paths are relative to.
        name: what the column has; it may have come from elsewhere, so nothing else is opened by it.

    Raises:
        SourceError: if an object store cannot be asked.
    """
    found = named_by(params.path, root, name)
    if found is None or found.problem is not None:
        return None
    if not params.follow_links and _payload.leads_out(found.file, found.folder):
        return None
    if isinstance(found.file, Local) and not found.file.path.is_file():
        return None
    return found.file


class FilesSource:
    """Files as records, in the order of their paths."""

    def __init__(self, params: Params, root: Path, modality: Modality, memory: Path | None) -> None:
        self._memory = memory
        self._params = params
        self._root = root
        self._is_text = modality == "text"
        self._pattern = None if params.pattern is None else Pattern(params.pattern)

    @property
    def kept(self) -> dict[str, pl.DataType]:
        """The kept fields and ``path``, and their types."""
        given = {name: self._params.types.get(name, "str") for name in self._params.keeps}
        return {name: _types.dtype(kind) for name, kind in given.items()}

    @property
    def excerpt(self) -> Excerpt | None:
        """See `flows.sources.base.Excerpting`."""
        return self._params.excerpt

    @property
    def types(self) -> dict[str, str]:
        """None: a field of a path is text unless the configuration says otherwise."""
        return {}

    def scan(self) -> Iterator[Chunk]:
        """List the files afresh, and stream them.

        Raises:
            SourceError: if nothing matches any more.
        """
        found = find(self._params.path, self._root)
        key = repr((self._params.path, str(self._root)))
        hashes = Hashes(None if self._is_text else self._memory, key)
        try:
            with ThreadPoolExecutor(_WORKERS) as pool:
                for group in _groups(found, CHUNK_BYTES if self._is_text else None):
                    yield self._chunk(group, pool, hashes)
            hashes.keep()
        finally:
            hashes.close()

    def stamp(self) -> str | None:
        """See `flows.sources.base.Stamped`: of the names, sizes and times of all files."""
        found = find(self._params.path, self._root)
        return stamp((file.name, file.file) for file in found)

    def _chunk(self, group: Sequence[Found], pool: ThreadPoolExecutor, hashes: Hashes) -> Chunk:
        rows: list[_Row] = []
        rejects: list[Reject] = []
        for file, read in zip(group, pool.map(partial(self._read, hashes), group), strict=True):
            if isinstance(read, Reject):
                rejects.append(read)
            else:
                rows.append(_Row(file.name, *read))
        excerpt, kept = self.excerpt, self.kept
        if excerpt is not None:
            del kept[excerpt.column]
        records, misfits = _records(rows, kept, self._params.event_time)
        if excerpt is not None:
            records = excerpt.beside(records)
        return Chunk(records, [*rejects, *misfits])

    def _read(self, hashes: Hashes, file: Found) -> tuple[str, dict[str, str], Payload] | Reject:
        """The id, fields and payload of one file."""
        place = file.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        if place != file.name:
            return Reject(place, "the name is not UTF-8; rename the file", place)
        fields = self._pattern.match(file.file.text, file.free) if self._pattern else {}
        if fields is None:
            return Reject(place, f"the path does not match pattern {self._params.pattern!r}", place)
        record_id = self._params.id.format_map(fields) if self._params.id else file.inner
        if not record_id.strip():
            return Reject(place, f"no id: {self._params.id!r} gives a blank one", place)
        try:
            return record_id, {_PATH: file.name, **fields}, self._payload(file, hashes)
        except FileError as error:
            return Reject(place, str(error), record_id, error.passes)

    def _payload(self, file: Found, hashes: Hashes) -> Payload:
        if file.problem is not None:
            raise FileError(file.problem)
        if not self._params.follow_links and _payload.leads_out(file.file, file.folder):
            raise FileError(f"a link that leads out of {file.folder}; set follow_links to allow it")
        if self._is_text:
            return _payload.read_text(file.file, self._params.max_bytes)
        return _payload.read_hash(file.file, hashes)


@dataclass(frozen=True)
class _Row:
    name: str
    record_id: str
    fields: dict[str, str]
    payload: Payload


def _groups(found: Sequence[Found], max_bytes: int | None) -> Iterator[list[Found]]:
    """Split a list of files so that what is read at once stays small."""
    group: list[Found] = []
    size = 0
    for file in found:
        following = 0 if max_bytes is None else _payload.size(file.file)
        if group and (len(group) == CHUNK_FILES or size + following > (max_bytes or size)):
            yield group
            group, size = [], 0
        group.append(file)
        size += following
    yield group


def _records(
    rows: Sequence[_Row], kept: Mapping[str, pl.DataType], event_time: str | None
) -> tuple[pl.DataFrame, list[Reject]]:
    """The records of files that could be read, and rejects where a field has another type."""
    import polars as pl

    faults: dict[int, str] = {}
    columns = {
        "record_id": [row.record_id for row in rows],
        "place": [row.name for row in rows],
        "content": [row.payload.content for row in rows],
        "content_hash": [row.payload.content_hash for row in rows],
    }
    series = [pl.Series(name, values, dtype=pl.String) for name, values in columns.items()]
    if event_time == _MTIME:
        moments = pl.Series([row.payload.modified for row in rows], dtype=pl.Int64)
        series.append(moments.cast(pl.Datetime("us", "UTC")).alias("event_time"))
    else:
        given = [None if event_time is None else row.fields[event_time] for row in rows]
        texts = pl.Series("event_time", given, dtype=pl.String)
        series.append(_types.cast(texts, pl.Datetime("us", "UTC")))
        _note_misfits(faults, texts, series[-1])
    for name, wanted in kept.items():
        texts = pl.Series(name, [row.fields[name] for row in rows], dtype=pl.String)
        series.append(_types.cast(texts, wanted))
        _note_misfits(faults, texts, series[-1])
    good = pl.Series([row not in faults for row in range(len(rows))], dtype=pl.Boolean)
    rejects = [
        Reject(rows[row].name, reason, rows[row].record_id)
        for row, reason in sorted(faults.items())
    ]
    return pl.DataFrame(series).filter(good), rejects


def _note_misfits(faults: dict[int, str], texts: pl.Series, typed: pl.Series) -> None:
    for row in _types.misfit(texts, typed).arg_true().to_list():
        wanted = _types.named(typed.dtype)
        faults.setdefault(row, f"field {texts.name!r} wants {wanted}, got {texts[row]!r}")
