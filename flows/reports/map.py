"""The map of a report: reference and current records by the same axes, so that a shift is seen.

Where a map of the version is kept (`flows.maps.drawing`), records lie where it has them, and those
that it has not are placed among these; so one report can be held against the next. Without one the
axes are the two principal components of the reference: fixed by it, whatever the current records
are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flows.lifecycle.chosen import kept_columns
from flows.maps import projection
from flows.maps.drawing import kept_places
from flows.matrices import matrix, usable
from flows.monitoring import references
from flows.output.console import cell
from flows.reports.model import Places, Points
from storage.ids import seed
from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from flows.config.settings import Settings
    from flows.config.stores import Stores
    from flows.maps.projection import Matrix, Method
    from flows.monitoring.references import Reference
    from flows.reports.model import Watched
    from storage.maps import KeptMap
    from storage.model import Manifest, Version

MOST = 2_000
"""Records a side that a map shows, drawn evenly."""

_ENOUGH = 0.1
"""The share of records that a kept map must know, for others to be placed among them."""

_SEED = 0
_LABEL = 80


@dataclass(frozen=True)
class _Side:
    """Records to draw: ``rows`` is ``(n, d)``, as `projection` takes them."""

    ids: list[str]
    hashes: list[str]
    labels: list[str]
    rows: Matrix

    def points(self, places: Matrix) -> Points:
        """The records where they lie, ``(n, 2)`` from 0 to 1."""
        x, y = (tuple(round(float(v), 4) for v in places[:, axis]) for axis in (0, 1))
        return Points(tuple(self.ids), x, y, tuple(self.labels))


def places(
    settings: Settings,
    stores: Stores,
    version: Version,
    manifests: Sequence[Manifest],
    findings: Sequence[Watched],
    left: list[str],
) -> Places | None:
    """Lay out what was looked at last, and what it was held against.

    Args:
        settings: the configuration.
        stores: its stores.
        version: the version.
        manifests: what was published of it, oldest first.
        findings: what its monitors said; the run that they looked at last is shown.
        left: told of what is not shown.

    Returns:
        None where there is nothing to show.
    """
    current = _current(manifests, findings)
    if current is None:
        left.append("There is no map: no state of the run can be read any more.")
        return None
    try:
        reference = _reference(settings, version, manifests, current)
        rng = np.random.default_rng(seed(f"{current.run_id} map"))
        before = None
        if reference is not None:
            before = _side(stores, version, reference.manifest, reference.runs, rng)
        now = _side(stores, version, current, [current.run_id], rng)
        return _laid_out(settings, version, before, now, left)
    except StorageError as error:
        left.append(f"There is no map: {error}.")
        return None


def _current(manifests: Sequence[Manifest], findings: Sequence[Watched]) -> Manifest | None:
    """The run that was looked at last, or else the last that wrote, at a state that can be read."""
    readable = [m for m in manifests if m.forgotten_at is None]
    last = max(findings, key=lambda w: (w.now.at, w.now.run_id), default=None)
    named = [m for m in manifests if last is not None and m.run_id == last.now.run_id]
    wrote = named or [m for m in manifests if m.counts.new or m.counts.changed]
    if not wrote or not readable:
        return None
    if wrote[-1].forgotten_at is None:
        return wrote[-1]
    return replace(wrote[-1], lance_version=readable[-1].lance_version)


def _reference(
    settings: Settings, version: Version, manifests: Sequence[Manifest], current: Manifest
) -> Reference | None:
    """What monitors hold the run against, as the feature is configured now."""
    feature = settings.features.get(version.feature)
    try:
        return references.find(feature.reference if feature else "previous", manifests, current)
    except LookupError:
        return None  # the findings say so


def _side(
    stores: Stores,
    version: Version,
    manifest: Manifest,
    runs: Sequence[str] | None,
    rng: np.random.Generator,
) -> _Side:
    kept = kept_columns(stores, version, manifest)
    table = stores.vectors.sample(
        *(version.table, manifest.lance_version, MOST, rng, runs),
        columns=kept,
        history=version.history,
    )
    vectors = matrix(table.column("vector"), version.dim)
    good = usable(vectors, version.metric)
    table = table.filter(good)
    ids, hashes = (table.column(n).to_pylist() for n in ("record_id", "content_hash"))
    rows = projection.prepared(vectors[good], version.metric)
    return _Side(ids, hashes, _labels(table, kept), rows)


def _labels(table: pa.Table, kept: Sequence[str]) -> list[str]:
    """What each record is, by its first kept columns."""
    columns = [table.column(name).to_pylist() for name in kept[:2]]
    told = [" · ".join(filter(None, map(cell, values))) for values in zip(*columns, strict=True)]
    found = told or [""] * len(table)
    return [text if len(text) <= _LABEL else f"{text[:_LABEL]}…" for text in found]


def _laid_out(
    settings: Settings, version: Version, before: _Side | None, now: _Side, left: list[str]
) -> Places | None:
    base = before if before is not None and len(before.ids) >= projection.LEAST else now
    if len(base.ids) < projection.LEAST:
        left.append(
            f"There is no map: {len(base.ids)} records have a vector that can be compared, and "
            f"{projection.LEAST} or more are needed."
        )
        return None
    known = _by_kept(settings, version, before, now)
    if known is None:
        method: Method = "pca"
        axes = "reference's" if base is before else "records'"
        told = f"the axes are the two main directions in which the {axes} vectors differ (PCA)"
        laid = projection.lay_out(base.rows, "pca", _SEED)
        then = laid if base is before else _among(before, base, laid)
        after = laid if base is now else _among(now, base, laid)
    else:
        method, then, after = known
        name = projection.NAMES[method]
        told = f"they lie as on the map that is kept of this version ({name}), near what is alike"
    theirs, ours = _scaled(then, after)
    nothing = Points((), (), (), ())
    reference = nothing if before is None else before.points(theirs)
    return Places(method, told, reference, now.points(ours))


def _among(side: _Side | None, base: _Side, laid: Matrix) -> Matrix:
    if side is None:
        return np.zeros((0, 2), np.float32)
    return projection.place(side.rows, base.rows, laid, "pca", _SEED)


def _by_kept(
    settings: Settings, version: Version, before: _Side | None, now: _Side
) -> tuple[Method, Matrix, Matrix] | None:
    """Where the map that is kept has the records, and others among them; None without a map."""
    found = kept_places(settings, version)
    if found is None:
        return None
    method, kept = found
    sides = [side for side in (before, now) if side is not None]
    ids = [i for side in sides for i in side.ids]
    hashes = [h for side in sides for h in side.hashes]
    at = _rows_of(kept, ids, hashes)
    known = at >= 0
    if known.sum() < max(projection.LEAST, _ENOUGH * len(ids)):
        return None
    rows = np.concatenate([side.rows for side in sides])
    every = np.empty((len(ids), 2), np.float32)
    every[known] = kept.places[at[known]]
    every[~known] = projection.place(rows[~known], rows[known], every[known], method, _SEED)
    first = 0 if before is None else len(before.ids)
    return method, every[:first], every[first:]


def _rows_of(kept: KeptMap, ids: Sequence[str], hashes: Sequence[str]) -> NDArray[np.int64]:
    """The place of each record in a map, -1 where it is not there as it is now."""
    pairs = enumerate(zip(kept.ids, kept.hashes, strict=True))
    known = {key: row for row, key in pairs}
    return np.array([known.get(key, -1) for key in zip(ids, hashes, strict=True)], np.int64)


def _scaled(first: Matrix, second: Matrix) -> tuple[Matrix, Matrix]:
    """Both from 0 to 1, by one scale for both axes, so that distances stay what they are."""
    both = np.concatenate([first, second])
    low, high = both.min(axis=0), both.max(axis=0)
    size = float((high - low).max()) or 1.0
    shift = (low + high) / 2 - size / 2
    return (first - shift) / size, (second - shift) / size
