"""How much of a source a run reads: all, what lies in a window, what came since, or nothing."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.output import units
from flows.pipeline.chunking import kept_columns
from flows.sources.base import (
    Chunk,
    Deferred,
    Excerpting,
    Incremental,
    Remarking,
    SourceUsageError,
    Stamped,
    Windowed,
)
from storage.ids import hash_text
from storage.model import Cursor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import polars as pl

    from flows.config.settings import Feature
    from flows.pipeline.chunking import Cutter
    from flows.pipeline.scope import Scope
    from flows.sources.base import Excerpt, Source
    from storage.model import Manifest

_CREDENTIALS = re.compile(r"//[^/@\"]*@")
_FETCHED_ROWS = 2048
_GATHERED_ROWS, _GATHERED_BYTES = 65_536, 32 * 2**20


@dataclass
class Reading:
    """One reading of a source for a version.

    Attributes:
        known: how far the version's earlier runs have read, None where that is of no use now.
        whole: whether, once read, all records of the source have been seen.
        unchanged: whether the source says that it is what it was, so that nothing is read.
        outside: records that the window leaves out since they have no event time, or cannot be
            read; known once read.
        passing: records that could not be read for a reason that may pass; known once read.
        cutter: how records are cut into the rows of the version; None where each is a row.
        published: what readers of the version see as it begins, which nobody else changes before it
            ends; None where they see nothing.
        records: records that could be read, before they were cut; known once read.
        rows: what they were cut into, or the records themselves; known once read.
        shortened: rows beside which not all of their text is kept; known once read.
    """

    source: Source
    scope: Scope
    identity: str
    known: Cursor | None = None
    unchanged: bool = False
    whole: bool = True
    outside: int = 0
    passing: int = 0
    cutter: Cutter | None = None
    published: Manifest | None = None
    records: int = 0
    rows: int = 0
    shortened: int = 0
    _stamp: str | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        feature: Feature,
        source: Source,
        scope: Scope,
        known: Cursor | None,
        cutter: Cutter | None = None,
        published: Manifest | None = None,
    ) -> Reading:
        """Decide how to read, without reading yet.

        Args:
            feature: what the source is read for.
            source: the source, opened.
            scope: what the run is to take on.
            known: what the last run noted; None where its result cannot be built upon.
            cutter: how records are cut; None where each is a row.
            published: see there.
        """
        mark = _identity(feature)
        usable = known if known is not None and known.source == mark else None
        reading = cls(source, scope, mark, cutter=cutter, published=published)
        if scope.partial:
            reading.whole = False
            reading.known = usable
            return reading
        if isinstance(source, Stamped):
            reading._stamp = source.stamp()
        if usable is None or scope.full or scope.retry_dead:
            return reading
        reading.known = usable
        if reading._stamp is not None and reading._stamp == usable.stamp:
            reading.unchanged = True
        elif isinstance(source, Incremental) and usable.cursor is not None:
            reading.whole = False
        return reading

    @property
    def kept(self) -> dict[str, pl.DataType]:
        """The columns that are kept beside the vectors, and their types."""
        return kept_columns(self.source, self.cutter)

    def chunks(self) -> Iterator[Chunk]:
        """What the source gives, in chunks large enough to be worth comparing."""
        if self.unchanged:
            return iter(())
        return _gathered(self._cut(self._within(self._scan())))

    def fetched(self, records: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """Records of `chunks` with all of their content, as it is to be encoded; few at a time."""
        if not isinstance(self.source, Deferred):
            yield records
            return
        for some in records.iter_slices(_FETCHED_ROWS):
            yield self.source.fetch(some)

    @property
    def remarks(self) -> list[str]:
        """What is to be said of what was read."""
        told = self.source.remarks() if isinstance(self.source, Remarking) else []
        if self._excerpt is not None and self.shortened:
            texts = units.several(self.shortened, "text")
            told.append(
                f"of {texts} the first {self._excerpt.chars:,} characters are kept in the column "
                f"{self._excerpt.column!r} (keep_chars of its source); what is encoded does not "
                "hang on that"
            )
        return told

    @property
    def _excerpt(self) -> Excerpt | None:
        return self.source.excerpt if isinstance(self.source, Excerpting) else None

    def cursor(self, *, passing: int) -> Cursor:
        """What to note once all chunks are read.

        Args:
            passing: how many contents failed for a reason that may pass. A source that has not
                changed must then be read again all the same.
        """
        if self.scope.partial:
            # What this run wrote may not be what a whole one would have: the next one has to look.
            return Cursor(self.identity, None, self.known.cursor if self.known else None)
        stamp = self._stamp if self.unchanged or self._same_stamp() else None
        cursor = self.source.cursor if isinstance(self.source, Incremental) else None
        if cursor is None and self.known is not None:
            cursor = self.known.cursor
        if passing or self.passing:
            # What failed lies before the cursor, and would not be met again.
            return Cursor(self.identity)
        return Cursor(self.identity, stamp, cursor)

    def _same_stamp(self) -> bool:
        """Whether the source is still what it was when the reading began."""
        if self._stamp is None or not isinstance(self.source, Stamped):
            return False
        return self.source.stamp() == self._stamp

    def _scan(self) -> Iterator[Chunk]:
        source, window = self.source, self.scope.window
        if window is not None and isinstance(source, Windowed):
            return source.scan_window(*window)
        if self.whole or self.scope.partial:
            return source.scan()
        if not isinstance(source, Incremental) or self.known is None or self.known.cursor is None:
            raise TypeError("a source without a cursor cannot be read from one")
        return source.scan_from(self.known.cursor)

    def _within(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        """Leave out what is not in the window; what has no time is in none."""
        window = self.scope.window
        for chunk in chunks:
            self.passing += sum(reject.passes for reject in chunk.rejects)
            if window is not None or not (self.whole or self.scope.partial):
                _check_named(chunk)
            if window is None:
                yield chunk
                continue
            self.outside += len(chunk.rejects) + chunk.records["event_time"].null_count()
            yield Chunk(chunk.records.filter(inside(window)))

    def _cut(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        excerpt = self._excerpt
        for chunk in chunks:
            rows = chunk if self.cutter is None else self.cutter.cut(chunk)
            if excerpt is not None:
                if self.cutter is not None:
                    rows = Chunk(excerpt.beside(rows.records), rows.rejects)
                self.shortened += excerpt.cuts(rows.records)
            uncut = rows.rejects[len(chunk.rejects) :]
            self.passing += sum(reject.passes for reject in uncut)
            self.records += len(chunk.records) - len(uncut)
            self.rows += len(rows.records)
            yield rows


def _check_named(chunk: Chunk) -> None:
    """Refuse a part of records that go by their content: equal ones are numbered over all."""
    if (chunk.records["record_id"] == chunk.records["content_hash"]).any():
        raise SourceUsageError(
            "records without ids go by their content, and equal ones by their number among all, so "
            "a part of the source cannot be told from the rest: name the column of ids (id = ...), "
            "or read the whole source, without a cursor or a window"
        )


def inside(window: tuple[datetime | None, datetime | None]) -> pl.Expr:
    """Which records have an event time within a window; those without one have none."""
    import polars as pl

    since, until = window
    at = pl.col("event_time")
    inside = at.is_not_null()
    if since is not None:
        inside &= at >= since
    if until is not None:
        inside &= at < until
    return inside


def _identity(feature: Feature) -> str:
    """A digest of all that decides which records a source gives, and what becomes of them."""
    plugin = feature.source
    params = dataclasses.asdict(plugin.params)
    given = [plugin.kind, params, feature.vanished, feature.history]
    if feature.thumbnails:
        given.append("thumbnails")  # so that the column comes and goes though no record changed
    # By what the environment says now, since another database has other records; but a password
    # may change, and even its digest has no business in a catalog.
    return hash_text(_CREDENTIALS.sub("//", json.dumps(given, sort_keys=True, default=str)))


def _gathered(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Small chunks as larger ones: each costs some statements, however small it is."""
    held: list[Chunk] = []
    rows = size = 0
    for chunk in chunks:
        held.append(chunk)
        rows += len(chunk.records)
        size += int(chunk.records.estimated_size())
        if rows >= _GATHERED_ROWS or size >= _GATHERED_BYTES:
            yield _joined(held)
            held, rows, size = [], 0, 0
    if held:
        yield _joined(held)


def _joined(chunks: Sequence[Chunk]) -> Chunk:
    import polars as pl

    records = pl.concat([chunk.records for chunk in chunks])
    return Chunk(records, [reject for chunk in chunks for reject in chunk.rejects])
