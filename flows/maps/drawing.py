"""Maps of features: which records, where they lie, and keeping them there from map to map.

The first map of a version is kept (`storage.maps`). Later ones leave what it holds where it is, and
place what is new or changed by what was laid out, as if it had been there alone: so the place of a
record does not hang on when, and with what others, it came.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.config.stores import Stores
from flows.lifecycle.chosen import chosen
from flows.lifecycle.compare import published
from flows.maps import projection
from flows.output import units
from flows.output.units import moment
from flows.pipeline.held import drawing
from storage import current_rows, query
from storage.entries import code_version
from storage.maps import KeptMap
from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa

    from flows.config.settings import Settings
    from flows.maps.projection import Matrix, Method
    from flows.output.progress import Reporter
    from storage.model import Version

SAMPLE = 20_000
"""Records that a map shows, at most, where no other number is asked for."""

MUCH = 0.5
"""The share of points that were added to a map above which it is no picture of what is there."""

_SEED = 0


@dataclass(frozen=True)
class Asked:
    """What to draw.

    Attributes:
        method: how records are laid out.
        number: the version; the live one where none is given.
        size: how many records to show, at most.
        anew: lay out all of them, whatever map is kept.
    """

    method: Method = "tsne"
    number: int | None = None
    size: int = SAMPLE
    anew: bool = False


@dataclass(frozen=True)
class Map:
    """Records and their places.

    Attributes:
        version: whose records they are.
        method: how they were laid out.
        rows: the records by id, with all columns but the vectors.
        places: ``(n, 2)`` float32.
        total: how many the version has.
        left_out: how many were drawn and have NaN or infinity in their vector.
        kept: how many lie where an earlier map had them.
        added: how many of those shown were placed among others, by this map or an earlier one.
        laid_out: when the map was laid out, in ISO 8601.
        trust: trustworthiness of the picture; None of next to no records.
        neighbours: how many it asks for.
    """

    version: Version
    method: Method
    rows: pa.Table
    places: Matrix
    total: int
    left_out: int
    kept: int
    added: int
    laid_out: str
    trust: float | None
    neighbours: int

    @property
    def stale(self) -> bool:
        """Whether so much was added that it had better be laid out afresh."""
        return self.added > MUCH * len(self.places)

    def row(self) -> dict[str, Any]:
        """As one flat row of plain values."""
        return {
            "feature": self.version.feature,
            "version": self.version.version,
            "method": self.method,
            "records": len(self.places),
            "of": self.total,
            "kept": self.kept,
            "added": self.added,
            "laid_out": self.laid_out,
            "trustworthiness": self.trust,
            "neighbours": self.neighbours,
        }

    def sentences(self) -> list[str]:
        """What there is to say of it."""
        name, n = self.version.table, len(self.places)
        shown = (
            units.several(n, "record") if n == self.total else f"{n:,} of {self.total:,} records"
        )
        new = n - self.kept
        laid = moment(datetime.fromisoformat(self.laid_out)) if self.laid_out else "some time ago"
        found = [f"{name} by {projection.NAMES[self.method]}: {shown}, laid out {laid}"]
        if self.kept:
            found.append(
                f"{self.kept:,} lie where the map that is kept had them, {new:,} are new or "
                "changed and were placed among them"
            )
        if self.trust is not None:
            found.append(
                f"trustworthiness {self.trust:.3f}: 1 says that each point's {self.neighbours} "
                "nearest in the picture are its nearest in truth, about 0.5 that they are any"
            )
        if self.left_out:
            found.append(f"{self.left_out:,} have NaN or infinity in their vector: left out")
        return found


def draw(settings: Settings, name: str, asked: Asked, reporter: Reporter) -> Map:
    """Lay out the records of a version, or place new ones on the map that is kept, and keep it.

    Args:
        settings: the configuration.
        name: the feature.
        asked: what to draw.
        reporter: told of stages, and of what a person should know of the map.

    Raises:
        UsageError: if there is no such version, or it has too few records.
        StorageError: if the map that is kept is damaged.
    """
    if asked.size < projection.LEAST:
        raise UsageError(f"--sample must be {projection.LEAST} or more, got {asked.size}")
    stores = Stores.of(settings)
    version = chosen(settings, stores, name, asked.number)
    published(stores.catalog, version)
    kept = None if asked.anew else stores.maps.load(version.table, asked.method)
    with query.connect(stores.catalog, stores.vectors) as con:
        keys, read = current_rows.keys(con, version), partial(current_rows.some, con, version)
        found, after = _Work(version, asked, kept, keys, read, reporter).done()
    if after is not None:
        _keep(settings, version, asked.method, after, reporter)
    if found.stale:
        reporter.note(
            f"{found.added:,} of {len(found.places):,} records came after the map was laid out, "
            "and lie where what was there put them; --anew lays out all of them afresh"
        )
    return found


class _Work:
    """One map, from the keys of the records to their places."""

    def __init__(
        self,
        version: Version,
        asked: Asked,
        kept: KeptMap | None,
        keys: dict[str, str],
        read: Callable[[Sequence[str]], pa.Table],
        reporter: Reporter,
    ) -> None:
        self._version, self._reporter = version, reporter
        self._method: Method = asked.method
        self._rows_of = read
        self._total = len(keys)
        self._hashes = dict(list(keys.items())[: asked.size])
        self._kept = None if kept is None else _still(kept, keys)
        self._fewer = kept is not None and self._kept is not None and len(kept) > len(self._kept)

    def done(self) -> tuple[Map, KeptMap | None]:
        """The map, and what is to be kept of it where that is not what was."""
        known: dict[str, int] = {}
        if self._kept is not None:
            known = {i: row for row, i in enumerate(self._kept.ids)}
        new = [i for i in self._hashes if i not in known]
        enough = self._kept is not None and (~self._kept.added).sum() >= projection.LEAST
        if not enough and (new or not self._hashes):
            if self._kept is not None:
                self._reporter.note(
                    f"next to nothing of the map of {self._version.table} is there any more, so it "
                    "is laid out afresh"
                )
            return self._afresh()
        assert self._kept is not None  # noqa: S101 - where nothing is new there is a map
        return self._added(self._kept, new, known)

    def _afresh(self) -> tuple[Map, KeptMap]:
        rows, vectors = self._read(set(self._hashes))
        if len(rows) < projection.LEAST:
            raise UsageError(
                f"{self._version.table} has {len(rows)} records with a vector; a map needs "
                f"{projection.LEAST} or more"
            )
        self._stage(len(rows))
        places = projection.lay_out(vectors, self._method, _SEED)
        meta = {
            "laid_out": datetime.now(UTC).isoformat(timespec="seconds"),
            "method": self._method,
            "metric": self._version.metric,
            "vecmill": code_version(),
        }
        ids = rows["record_id"].to_pylist()
        hashes = rows["content_hash"].to_pylist()
        after = KeptMap(ids, hashes, places, np.zeros(len(ids), bool), meta)
        return self._map(rows, vectors, after, kept=0), after

    def _added(
        self, kept: KeptMap, new: list[str], known: dict[str, int]
    ) -> tuple[Map, KeptMap | None]:
        laid = {i for i, added in zip(kept.ids, kept.added, strict=True) if not added}
        rows, vectors = self._read({*self._hashes, *(laid if new else ())})
        ids = rows["record_id"].to_pylist()
        after = kept
        fresh = np.array([i not in known for i in ids], bool)
        if fresh.any():
            self._stage(int(fresh.sum()))
            by = np.array([i in laid for i in ids], bool)
            at = kept.places[[known[i] for i, is_by in zip(ids, by, strict=True) if is_by]]
            found = projection.place(vectors[fresh], vectors[by], at, self._method, _SEED)
            theirs = [i for i, is_fresh in zip(ids, fresh, strict=True) if is_fresh]
            after = KeptMap(
                [*kept.ids, *theirs],
                [*kept.hashes, *(self._hashes[i] for i in theirs)],
                np.concatenate([kept.places, found]),
                np.concatenate([kept.added, np.ones(len(theirs), bool)]),
                kept.meta,
            )
        shown = np.flatnonzero([i in self._hashes for i in ids])
        count = int((~fresh[shown]).sum())
        found_map = self._map(rows.take(shown), vectors[shown], after, kept=count)
        return found_map, after if fresh.any() or self._fewer else None

    def _read(self, ids: set[str]) -> tuple[pa.Table, Matrix]:
        """Rows by id, and their vectors as `projection` takes them; only finite ones."""
        import pyarrow as pa

        table = self._rows_of(sorted(ids))
        flat = table["vector"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        vectors = flat.reshape(len(table), self._version.dim)
        finite = np.isfinite(vectors).all(axis=1)
        table = table.drop_columns("vector").filter(pa.array(finite))
        return table, projection.prepared(vectors[finite], self._version.metric)

    def _stage(self, records: int) -> None:
        """Say what is done, and to how many: the libraries tell nothing of how far they are."""
        name = projection.NAMES[self._method]
        self._reporter.stage(self._version.feature, f"{name} of {records:,} records", None)

    def _map(self, rows: pa.Table, vectors: Matrix, after: KeptMap, *, kept: int) -> Map:
        known = {i: row for row, i in enumerate(after.ids)}
        drawn = [known[i] for i in rows["record_id"].to_pylist()]
        places = after.places[drawn]
        self._reporter.stage(self._version.feature, "trustworthiness", None)
        trust = projection.trustworthiness(vectors, places, np.random.default_rng(_SEED))
        return Map(
            *(self._version, self._method, rows, places, self._total),
            left_out=len(self._hashes) - len(rows),
            kept=kept,
            added=int(after.added[drawn].sum()),
            laid_out=str(after.meta.get("laid_out", "")),
            trust=trust,
            neighbours=min(projection.K, (len(rows) - 1) // 2),
        )


def columns(settings: Settings, name: str, number: int | None) -> list[str]:
    """The columns of a version.

    Raises:
        UsageError: if there is no such version.
    """
    stores = Stores.of(settings)
    version = chosen(settings, stores, name, number)
    state = published(stores.catalog, version)
    return list(stores.vectors.dataset(version.table, state.lance_version).schema.names)


def _still(kept: KeptMap, keys: dict[str, str]) -> KeptMap:
    """The rows of a map that are there as they were when they were put in their places."""
    pairs = zip(kept.ids, kept.hashes, strict=True)
    return kept.where(np.fromiter((keys.get(i) == h for i, h in pairs), bool, len(kept.ids)))


def _keep(
    settings: Settings, version: Version, method: Method, after: KeptMap, reporter: Reporter
) -> None:
    """Keep a map, of those rows that are there now: some may have been erased meanwhile."""
    stores = Stores.of(settings)
    with drawing(settings, version.feature, reporter):
        now = chosen(settings, stores, version.feature, version.version)
        if now.dropped_at is not None:
            return
        with query.connect(stores.catalog, stores.vectors) as con:
            keys = current_rows.keys(con, now)
        stores.maps.save(version.table, method, _still(after, keys))


def kept_places(settings: Settings, version: Version) -> tuple[Method, KeptMap] | None:
    """The map that is kept of a version, by the first method that there is one of."""
    stores = Stores.of(settings)
    for method in projection.METHODS:
        kept = stores.maps.load(version.table, method)
        if kept is not None:
            return method, kept
    return None
