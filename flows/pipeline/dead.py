"""The dead letters of a run, and the shares of its records that decide whether it is refused."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.output.redact import redact
from storage import lookups
from storage.model import DeadLetter, StorageError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pyarrow as pa

    from flows.config.stores import Stores
    from flows.pipeline.reading import Reading
    from flows.sources.base import Reject
    from storage.difference import Difference
    from storage.model import Counts, Version


def letters(rejects: Sequence[Reject]) -> list[DeadLetter]:
    """What could not be read, as dead letters."""
    return [DeadLetter(r.place, redact(r.reason), "read", r.record_id) for r in rejects]


def dead_letters(
    stores: Stores, version: Version | None, reading: Reading, difference: Difference
) -> pa.Table:
    """All dead letters of a version as of this run: met now, or before and not looked at now."""
    import pyarrow as pa

    found = difference.dead_letters()
    if version is None or (reading.whole and not reading.unchanged):
        return found
    before = stores.catalog.dead_letters(version)
    return pa.concat_tables([found, difference.still_dead(before).cast(found.schema)])


def keeping(stores: Stores, version: Version) -> set[str]:
    """The records whose new content is a dead letter, so that they keep the vector they had.

    Of a version whose rows are chunks none is told: what is left of a record is not one row.
    """
    ids = {str(name) for name in stores.catalog.dead_letters(version)["record_id"].to_pylist()}
    if version.chunked or stores.catalog.published(version) is None:
        return set()
    found = lookups.values(
        stores.catalog, stores.vectors, version.table, "record_id", sorted(ids - {"None"})
    )
    return {*found}


def keepers(stores: Stores, keys: Collection[tuple[str, int]]) -> set[tuple[str, int, str]]:
    """Feature, version and id of each record that `keeping` tells.

    Args:
        stores: where versions and their dead letters are.
        keys: features and numbers of versions; of one whose table cannot be read none is told.
    """
    found: set[tuple[str, int, str]] = set()
    for feature in sorted({name for name, _ in keys}):
        for version in stores.catalog.versions(feature):
            if (feature, version.version) in keys and version.dropped_at is None:
                with suppress(StorageError):
                    kept = keeping(stores, version)
                    found |= {(feature, version.version, record) for record in kept}
    return found


@dataclass(frozen=True)
class Shares:
    """What a run is refused by, in records, however many rows each of them has.

    Attributes:
        records: those that the dead are a share of.
        dead: dead letters, one a record.
        gone: published records that the source no longer has.
        ids: published records.
    """

    records: int
    dead: pa.Table
    gone: int
    ids: int


def shares(
    stores: Stores,
    version: Version | None,
    reading: Reading,
    counts: Counts,
    dead: pa.Table,
    difference: Difference,
) -> Shares:
    """What of a run's records is dead, and what gone.

    A run that reads a part of its source holds all that are known to be dead against all that the
    version has: one bad record among two new ones is no reason to stop.
    """
    gone, ids = difference.gone_records(), difference.published_ids()
    if reading.cutter is not None:
        dead = _one_a_record(dead)
    if reading.whole or version is None:
        return Shares(difference.given_records(), dead, gone, ids)
    if not version.history:
        return Shares(difference.known_records(dead), dead, gone, ids)
    published = stores.catalog.published(version)
    return Shares((published.rows if published else 0) + counts.new + len(dead), dead, gone, ids)


def _one_a_record(dead: pa.Table) -> pa.Table:
    """Of the dead letters of a record's parts the first."""
    import polars as pl

    return (
        pl.DataFrame(dead)
        .unique(["record_id", "place"], keep="first", maintain_order=True)
        .to_arrow()
    )
