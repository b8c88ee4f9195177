"""What a run compares: how its source is read, and what of it the store has already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.pipeline.chunking import cutter_of
from flows.pipeline.reading import Reading
from storage.difference import Difference
from storage.frames import gathered
from storage.model import Counts
from storage.staging import staged_files, staged_hashes

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from flows.config.settings import Feature
    from flows.config.stores import Stores
    from flows.pipeline.scope import Scope
    from flows.sources.base import Source
    from storage.model import Version


def read(
    feature: Feature, stores: Stores, version: Version | None, source: Source, scope: Scope
) -> Reading:
    """How a run over this scope reads its source."""
    published, known = (None, None) if version is None else stores.catalog.last_read(version)
    # A version that has not seen the whole source has nothing to build upon.
    if version is not None and not version.complete:
        known = None
    cutter = cutter_of(feature, version)
    return Reading.of(feature, source, scope, known, cutter, published)


def compare(
    stores: Stores, version: Version | None, reading: Reading, folder: Path, *, thumbnails: bool
) -> Difference:
    """The difference to the published rows, told of all that need not be encoded again.

    Where nothing will be read there is nothing to compare, so the rows are left where they are.
    """
    published, base = reading.published, None
    if version and published and not reading.unchanged:
        base = stores.vectors.dataset(version.table, published.lance_version)
    history = version is not None and version.history
    parts = None if reading.cutter is None else reading.cutter.parts
    difference = Difference(
        folder / "scratch.duckdb",
        base,
        _arrow_schema(reading),
        history=history,
        parts=parts,
        thumbnails=thumbnails,
    )
    if version:
        if not reading.scope.retry_dead:
            difference.know_dead(stores.catalog.known_dead(version))
        staged = staged_hashes(staged_files(stores.staging / version.table))
        for contents in gathered(staged):
            if not reading.scope.retry_dead:
                difference.know_dead(contents.filter(contents["lasting"]), staged=True)
            difference.know_staged(contents.filter(contents["reason"].is_null()))
    return difference


def as_they_stand(stores: Stores, version: Version) -> Counts:
    """The counts of a run whose source said that nothing has changed since a run read it."""
    read = stores.catalog.read_counts(version)
    return Counts(records=read.records, unchanged=read.records - read.dead, dead=read.dead)


def _arrow_schema(reading: Reading) -> pa.Schema:
    import polars as pl

    return pl.DataFrame(schema=reading.kept).to_arrow().schema
