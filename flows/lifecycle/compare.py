"""Compare two versions of a feature: their rows, their spaces, their cost, their drift."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import storage.dead_share
from flows.config.stores import Stores
from flows.lifecycle import similarity, unsettled
from flows.lifecycle.comparison import Comparison, Side, Space
from flows.lifecycle.similarity import Estimate
from storage.footprint import vector_bytes
from storage.ids import seed
from storage.model import UsageError
from storage.pairs import State, side_by_side
from storage.standings import no_version

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.config.settings import Settings
    from storage.catalog import Catalog
    from storage.model import Manifest, Version
    from storage.pairs import Pairs

SAMPLE = 2_000
"""Records that spaces are compared on, where no other number is asked for."""
_MOST = 10_000
_LISTED = 10
_LOOKS = """
SELECT monitor, verdict, summary, blocks FROM findings WHERE feature = ? AND version = ?
AND run_id IN (SELECT run_id FROM manifests) -- not of a run that an alarm kept from being published
QUALIFY run_id = max(run_id) OVER () ORDER BY monitor
"""
_RATE = """
SELECT sum(encoded) / nullif(sum(encode_seconds), 0) AS rate FROM (
    SELECT encoded, encode_seconds FROM runs WHERE feature = ? AND version = ?
    AND status = 'done' AND encoded > 0 ORDER BY finished_at DESC LIMIT 5)
"""


def compare(
    settings: Settings, name: str, first: int, second: int, *, k: int = 10, size: int = SAMPLE
) -> Comparison:
    """Hold one version of a feature against another.

    All chance is seeded by the two published states, so that the same states compare the same.

    Args:
        settings: the configuration.
        name: the feature; one that is in the catalog alone will do.
        first: the version to compare with.
        second: the version to compare.
        k: how many nearest neighbours are compared.
        size: how many records the spaces are compared on, at most.

    Raises:
        UsageError: if a version is not there, or has nothing published.
    """
    if k < 1:
        raise UsageError(f"-k must be at least 1, got {k}")
    if not k + 2 <= size <= _MOST:
        raise UsageError(f"--sample must be {k + 2} to {_MOST:,} for k = {k}, got {size}")
    stores = Stores.of(settings)
    versions = {version.version: version for version in stores.catalog.versions(name)}
    for number in (first, second):
        if number not in versions:
            raise UsageError(no_version(name, number, versions))
    return contrast(stores, versions[first], versions[second], k=k, size=size)


def pair(settings: Settings, name: str, first: int | None, second: int | None) -> tuple[int, int]:
    """The numbers of the versions to compare: the live one and the candidate where none are named.

    Args:
        settings: the configuration.
        name: the feature.
        first: the version to compare with; or, where it is named alone, the one to compare.
        second: the version to compare.

    Raises:
        UsageError: if what is left out is not one version alone.
        SettingsError: if there is no such feature.
    """
    if first is not None and second is not None:
        return first, second
    versions = Stores.of(settings).catalog.versions(name)
    if not versions:
        settings.feature(name)
    live = [v.version for v in versions if v.standing == "live"]
    if not live:
        from flows.lifecycle.unlive import unlive

        raise UsageError(unlive(settings, name))
    if first is not None:
        return live[0], first
    candidates = [v.version for v in versions if v.standing == "candidate" and v.dropped_at is None]
    if len(candidates) != 1:
        many = f"{len(candidates)} candidates" if candidates else "no candidate"
        there = ", ".join(f"v{v.version} ({v.standing})" for v in versions)
        raise UsageError(f"{name} has {many}; name the versions to compare. There are: {there}")
    return live[0], candidates[0]


def contrast(
    stores: Stores, first: Version, second: Version, *, k: int = 10, size: int = SAMPLE
) -> Comparison:
    """Hold one version against another; with ``size`` 0 only rows, and no vector is read."""
    one, two = side_of(stores, first), side_of(stores, second)
    space = None
    with side_by_side(stores.vectors, _state(first, one), _state(second, two)) as both:
        shared = both.shared()
        if size:
            rng = np.random.default_rng(seed(f"{first.table} {one.run} {second.table} {two.run}"))
            space = space_of(both.sample(size, rng), (first.metric, second.metric), k, rng)
    return Comparison(first.feature, one, two, shared, space)


def space_of(pairs: Pairs, metrics: tuple[str, str], k: int, rng: np.random.Generator) -> Space:
    """Compare the two spaces of a sample.

    Args:
        pairs: the sample; rows with NaN or infinity on a side are left out.
        metrics: each version's own.
        k: how many nearest neighbours are compared.
        rng: all chance comes from here.
    """
    finite = np.isfinite(pairs.first).all(axis=1) & np.isfinite(pairs.second).all(axis=1)
    one, two = pairs.first[finite], pairs.second[finite]
    n = len(one)
    if n < k + 2:
        return Space(k, n)
    # A reader who goes on with this probability looks, on average, at the k nearest and one more.
    depth, persistence = min(3 * k, n - 1), k / (k + 1)
    before = similarity.neighbours(one, metrics[0], depth)
    after = similarity.neighbours(two, metrics[1], depth)
    same = similarity.overlap(before, after, k)
    churn = 1 - similarity.rank_biased_overlap(before, after, persistence)
    ids = np.array(pairs.record_ids, object)[finite]
    most = np.lexsort((ids.astype(str), -churn))[:_LISTED]
    return Space(
        k=k,
        sampled=n,
        depth=depth,
        persistence=persistence,
        overlap=_mean(same, k / (n - 1)),
        churn=_mean(churn, 1 - similarity.rbo_by_chance(n, depth, persistence)),
        cka=similarity.cka(one, two),
        procrustes=similarity.procrustes(one, two, rng),
        moved=tuple((str(ids[row]), round(float(same[row]) * k)) for row in most),
    )


def published(catalog: Catalog, version: Version) -> Manifest:
    """The state that readers of a version see.

    Raises:
        UsageError: if its table was dropped, or nothing is published.
    """
    if version.dropped_at is not None:
        raise UsageError(
            f"{version.table} was dropped on {version.dropped_at:%Y-%m-%d}, so its vectors are "
            f"gone; a run with the encoder that `vecmill recipe {version.feature} "
            f"{version.version}` shows makes a new version"
        )
    manifest = catalog.published(version)
    if manifest is None:
        raise UsageError(
            f"{version.table} has no published run, so readers would see nothing; finish a run of "
            f"{version.feature} first"
        )
    return manifest


def dead_share(stores: Stores, version: Version, side: Side) -> float:
    """The share of a version's records that are dead, of each record once.

    Raises:
        StorageError: if its table cannot be read.
    """
    letters = stores.catalog.dead_letters(version)
    return storage.dead_share.dead_share(stores.vectors, _state(version, side), letters)


def side_of(stores: Stores, version: Version) -> Side:
    """A version as it is published.

    Raises:
        UsageError: if nothing of it can be read.
    """
    catalog, manifest = stores.catalog, published(stores.catalog, version)
    key = (version.feature, version.version)
    looks = catalog.query(_LOOKS, *key).to_pylist()
    manifests = catalog.manifests(version)
    reads = [m.published_at for m in manifests if m.kind in {"run", "replay"}]
    changes = [
        m.published_at
        for m in manifests
        if m.counts.new or m.counts.changed or m.counts.updated or m.counts.deleted
    ]
    pace = catalog.pace(*key)
    return Side(
        version=version.version,
        table=version.table,
        standing=version.standing,
        kind=version.kind,
        metric=version.metric,
        dim=version.dim,
        bytes_per_vector=vector_bytes(stores.vectors, (version.table, manifest.lance_version)),
        complete=version.complete,
        run=manifest.run_id,
        lance_version=manifest.lance_version,
        read_at=max(reads, default=manifest.published_at),
        changed_at=max(changes, default=manifest.published_at),
        rows=manifest.rows,
        dead=len(catalog.dead_letters(version)),
        rate=None if pace is None else 1 / pace.per_record,
        monitors={look["monitor"]: (look["verdict"], look["summary"]) for look in looks},
        harmless=frozenset(look["monitor"] for look in looks if look["blocks"] == "nothing"),
        unsettled=unsettled.of(catalog, version),
        chunked=version.chunked,
    )


def _state(version: Version, side: Side) -> State:
    return State(version.table, side.lance_version, version.history, version.chunked)


def _mean(values: NDArray[np.float64], by_chance: float) -> Estimate:
    """A mean over records, with its standard error as if each record were drawn by itself."""
    error = float(values.std(ddof=1)) / float(np.sqrt(len(values)))
    return Estimate(float(values.mean()), error, by_chance)
