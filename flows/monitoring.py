"""Monitors applied to a feature: what the last run wrote, held against what stood before it."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

import flows.monitors.base
from flows.monitors.base import Sample
from flows.stores import Stores
from storage.ids import seed
from storage.model import FindingRow

if TYPE_CHECKING:
    import pyarrow as pa

    from flows.monitors.base import Finding
    from flows.progress import Reporter
    from flows.settings import Feature, Settings
    from storage.model import Manifest, Version

MAX_ROWS = 10_000
"""Rows a side that monitors are given at most, drawn evenly: memory stays flat."""


class MonitorError(Exception):
    """A feature cannot be monitored yet."""


def monitor(
    settings: Settings, name: str, reporter: Reporter, number: int | None = None
) -> list[FindingRow]:
    """Run the feature's monitors (all of them where it names none) and keep their findings.

    The current sample is what the last run that wrote new vectors to the version wrote; the
    reference is the version as published just before that run, or by its first run (``reference``
    in the feature's configuration), states without rows passed over. All chance is seeded by the
    run, so a finding can be had again; it then takes the place of the one before. Of a version
    that keeps a history both samples are of current rows: what readers of the feature see.

    Args:
        settings: the configuration.
        name: the feature.
        reporter: told of progress.
        number: the version to look at; the live one where none is given.

    Raises:
        MonitorError: if the version is not there, or nothing is published yet.
    """
    feature = settings.feature(name)
    stores = Stores.of(settings)
    version = _version(stores, name, number)
    reference_manifest, current_manifest = _manifests(stores, feature, version)
    run_id = current_manifest.run_id
    rng = np.random.default_rng(seed(run_id))
    plugins = feature.monitors or settings.default_monitors
    reporter.stage(name, "monitor", len(plugins))
    current = _sample(stores, version, current_manifest, rng, run_id)
    reference = _empty(current)
    if reference_manifest is not None:
        reference = _sample(stores, version, reference_manifest, rng, None)
    rows = []
    for plugin in plugins:
        own = np.random.default_rng(seed(f"{run_id} {plugin.name}"))
        finding = flows.monitors.base.compare(plugin.kind, reference, current, own, plugin.params)
        rows.append(_row(plugin.name, finding, reference_manifest))
        reporter.advance(1)
    stores.catalog.add_findings(name, version.version, run_id, rows)
    return rows


def _version(stores: Stores, name: str, number: int | None) -> Version:
    versions = stores.catalog.versions(name)
    for version in versions:
        if version.version == number or (number is None and version.standing == "live"):
            return version
    if number is None:
        raise MonitorError(f"{name} has no live version yet; run `vecmill run {name}` first")
    known = ", ".join(f"v{v.version}" for v in versions) or "none"
    raise MonitorError(f"{name} has no version v{number}; there are: {known}")


def _manifests(
    stores: Stores, feature: Feature, version: Version
) -> tuple[Manifest | None, Manifest]:
    """The manifests to compare: the reference, None if there is none, and the current one."""
    manifests = stores.catalog.manifests(version)
    wrote = [m for m in manifests if m.counts.new or m.counts.changed]
    if not wrote:
        raise MonitorError(f"{version.table} has no rows yet; there is nothing to monitor")
    readable = [m for m in manifests if m.forgotten_at is None]
    current = wrote[-1]
    if current.forgotten_at is not None and readable:
        # Its state was cleaned away; what it wrote and still stands is in the published one.
        current = replace(current, lance_version=readable[-1].lance_version)
    # Runs that only removed or updated rows count too: it is what readers saw just before.
    before = [m for m in readable if m.rows and m.lance_version < wrote[-1].lance_version]
    if not before:
        return None, current
    return before[0 if feature.reference == "first" else -1], current


def _sample(
    stores: Stores,
    version: Version,
    manifest: Manifest,
    rng: np.random.Generator,
    run_id: str | None,
) -> Sample:
    state = (version.table, manifest.lance_version)
    rows = stores.vectors.sample(*state, MAX_ROWS, rng, run_id, history=version.history)
    return Sample(
        _matrix(rows.column("vector"), version.dim),
        rows.column("record_id").to_pylist(),
        rows.column("content_hash").to_pylist(),
    )


def _matrix(column: pa.ChunkedArray, dim: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    flat = column.combine_chunks().flatten()
    matrix: np.ndarray[tuple[int, int], np.dtype[np.float32]] = flat.to_numpy().reshape(-1, dim)
    return matrix


def _empty(like: Sample) -> Sample:
    return Sample(like.vectors[:0], [], [])


def _row(name: str, finding: Finding, reference: Manifest | None) -> FindingRow:
    row = asdict(finding) | {"monitor": name}
    return FindingRow(**row, reference_run=reference.run_id if reference else None)
