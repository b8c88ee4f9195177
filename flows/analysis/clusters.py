"""Group a feature's records: find clusters once, then assign what is new or changed to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.analysis import clustering
from flows.analysis.clustered import Asked, Clustered
from flows.analysis.clustering import NOISE, Model
from flows.analysis.noting import Notes
from flows.config.stores import Stores
from flows.lifecycle.chosen import check_kept, kept_columns, readable
from flows.matrices import comparable, matrix, usable
from storage import cluster_rows, clusters, query
from storage.cluster_drafts import Draft
from storage.clusters import Clustering
from storage.ids import seed
from storage.locks import exclusive
from storage.model import UsageError
from storage.parts import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from flows.analysis.clustering import Labels, Method, Rows
    from flows.config.settings import Settings
    from flows.output.progress import Reporter
    from storage.model import Manifest, Version

SAMPLES = {"kmeans": 20_000, "hdbscan": 10_000}
"""Records that clusters are looked for among, by method; k-means then sees all."""

LEAST = 10
_BLOCK, _DESCRIBED = 8_192, 20_000
_SMALLEST = 5
"""Rows that a cluster of HDBSCAN has in its sample at least."""


def cluster(
    settings: Settings, name: str, asked: Asked, reporter: Reporter, number: int | None = None
) -> Clustered:
    """Find the clusters of a feature's version, or assign what is new or changed to those known.

    All chance is seeded by the published state. Memory does not grow with the number of records.

    Args:
        settings: the configuration.
        name: the feature.
        asked: what is wanted.
        reporter: told of progress.
        number: the version; the live one where none is given.

    Raises:
        UsageError: if there are too few records, or other clusters are known and not to be found
            anew.
    """
    stores = Stores.of(settings, reporter)
    wait = settings.engine.wait_seconds
    with exclusive(stores.locks / f"{name}.lock", name, wait, reporter.note):
        version, manifest = readable(settings, stores, name, number)
        before = clusters.find(stores.catalog, version)
        if before is not None and not asked.anew:
            _check_same(before, asked, version)
        work = _Work(stores, version, manifest, reporter)
        known = None if asked.anew else before
        return work.again(known, asked) if known is not None else work.anew(asked)


def show(settings: Settings, name: str, number: int | None = None) -> Clustered:
    """The clusters of a version as they are known; nothing is written.

    Raises:
        UsageError: if there are none.
    """
    stores = Stores.of(settings)
    version, _ = readable(settings, stores, name, number)
    known = clusters.find(stores.catalog, version)
    if known is None:
        raise UsageError(
            f"{version.table} has no clusters yet; `vecmill cluster {name}` finds some"
        )
    with query.connect(stores.catalog, stores.vectors) as con:
        left = cluster_rows.unassigned(stores.catalog, version, known, con)
    groups = clusters.groups(stores.catalog, version)
    return Clustered(version, known, groups, fresh=False, new=None, changed=None, unassigned=left)


def _check_same(known: Clustering, asked: Asked, version: Version) -> None:
    """Refuse to take clusters for others: SQL and monitors rely on what a number means."""
    settings, k = known.settings, known.figures.get("k")
    pairs = [
        ("--method", asked.method, known.method),
        ("-k", asked.k, k),
        ("--min-size", asked.least, settings.get("least")),
    ]
    for option, wanted, had in pairs:
        if wanted is not None and wanted != had:
            what = f"{known.method} with k = {k}" if known.method == "kmeans" else known.method
            raise UsageError(
                f"{version.table} is grouped by {what} already, and {option} {wanted} would make "
                "other clusters of the same numbers; add --anew to put them in the place of these"
            )


@dataclass
class _Work:
    """Clusters one version."""

    stores: Stores
    version: Version
    manifest: Manifest
    reporter: Reporter

    def anew(self, asked: Asked) -> Clustered:
        """Find clusters, and assign every record."""
        method: Method = asked.method or ("hdbscan" if asked.least else "kmeans")
        rng = np.random.default_rng(seed(f"{self.version.table} {self.manifest.run_id}"))
        self.reporter.stage(self.version.feature, "find clusters", None)
        where = (self.version.table, self.manifest.lance_version)
        table = self.stores.vectors.sample(
            *where, SAMPLES[method], rng, history=self.version.history
        )
        rows, good = self._rows(table)
        if len(rows) < max(LEAST, asked.k or 0):
            raise UsageError(
                f"{self.version.table} has {len(rows):,} records whose vectors can be compared; "
                f"{max(LEAST, asked.k or 0)} or more are needed to group them"
            )
        drawn: dict[str, tuple[str, int]] = {}
        if method == "kmeans":
            model, figures = self._kmeans(rows, asked.k, rng)
        else:
            labels, model, figures = self._hdbscan(rows, asked.least)
            chosen = table.filter(good).to_pydict()
            hashed = zip(chosen["content_hash"], labels.tolist(), strict=True)
            drawn = dict(zip(chosen["record_id"], hashed, strict=True))
        wanted = {"k": asked.k, "least": asked.least, "words": asked.words}
        made = Clustering(
            *(self.version.feature, self.version.version, method, wanted, figures),
            run_id=self.manifest.run_id,
        )
        return self._assign(model, made, drawn, before=None, fresh=True)

    def again(self, known: Clustering, asked: Asked) -> Clustered:
        """Assign records to clusters that are known."""
        catalog = self.stores.catalog
        arrays = clusters.model(catalog, self.version, known.clustering)
        model = clustering.of_arrays(arrays, spherical=self._spherical)
        drawn: dict[str, tuple[str, int]] = {}
        if known.method == "hdbscan":
            drawn = cluster_rows.drawn(catalog, self.version, known.clustering)
            model = self._with_cores(model, drawn)
        words = asked.words or known.settings.get("words")
        settings = dict(known.settings) | {"words": words}
        made = replace(known, settings=settings, run_id=self.manifest.run_id)
        return self._assign(model, made, drawn, before=known.clustering, fresh=False)

    # --- finding --------------------------------------------------------------------------------

    @property
    def _spherical(self) -> bool:
        return self.version.metric != "l2"

    def _rows(self, table: pa.Table) -> tuple[Rows, NDArray[np.bool_]]:
        """The comparable vectors of some rows, and which rows have one."""
        vectors = matrix(table.column("vector"), self.version.dim)
        good = usable(vectors, self.version.metric)
        return comparable(vectors[good], self.version.metric), good

    def _blocks(self, columns: Sequence[str]) -> Iterator[tuple[Rows, NDArray[np.bool_], pa.Table]]:
        where = (self.version.table, self.manifest.lance_version)
        wanted = ["vector", *columns]
        for table in self.stores.vectors.blocks(
            *where, wanted, _BLOCK, history=self.version.history
        ):
            yield (*self._rows(table), table)

    def _kmeans(
        self, sample: Rows, k: int | None, rng: np.random.Generator
    ) -> tuple[Model, dict[str, Any]]:
        figures: dict[str, Any] = {}
        if k is None:
            k, tried = clustering.choose_k(sample, rng)
            figures["silhouette"] = tried
        blocks = (rows for rows, _, _ in self._blocks([]))
        model = clustering.kmeans(sample, blocks, k, rng, spherical=self._spherical)
        return model, figures | {"k": k, "sampled": len(sample)}

    def _hdbscan(self, sample: Rows, least: int | None) -> tuple[Labels, Model, dict[str, Any]]:
        whole = self._whole
        least = least or max(_SMALLEST, whole // 100)
        inside = max(_SMALLEST if whole > len(sample) else 2, round(least * len(sample) / whole))
        labels, model = clustering.hdbscan(
            sample, min(inside, len(sample)), spherical=self._spherical
        )
        if not len(model.centres):
            raise UsageError(
                f"hdbscan finds no place among {len(sample):,} records of {self.version.table} "
                f"where {inside} or more lie closer than elsewhere, so all would be noise; lower "
                "--min-size, or take --method kmeans"
            )
        found = {"k": len(model.centres), "sampled": len(sample), "least_in_sample": inside}
        return labels, model, found

    def _with_cores(self, model: Model, drawn: dict[str, tuple[str, int]]) -> Model:
        """The model with the records of its sample that are still what they were."""
        found, labels = [], []
        for rows, good, table in self._blocks(["record_id", "content_hash"]):
            told = table.filter(good)
            ids, hashes = (told.column(n).to_pylist() for n in ("record_id", "content_hash"))
            for place, (one, content) in enumerate(zip(ids, hashes, strict=True)):
                if drawn.get(one, ("", 0))[0] == content:
                    found.append(rows[place])
                    labels.append(drawn[one][1])
        stacked = np.array(found, np.float32).reshape(-1, self.version.dim)
        return model.with_cores(stacked, np.array(labels, np.int64))

    # --- assigning ------------------------------------------------------------------------------

    def _assign(
        self,
        model: Model,
        made: Clustering,
        drawn: dict[str, tuple[str, int]],
        *,
        before: str | None,
        fresh: bool,
    ) -> Clustered:
        """Assign all records, describe the clusters and publish both."""
        kept = kept_columns(self.stores, self.version, self.manifest)
        words = made.settings.get("words")
        if words is not None:
            check_kept(self.version, kept, "--words", words)
        told = [name for name in kept if name not in PARTS.names]
        notes = Notes(told, min(1.0, _DESCRIBED / max(self._whole, 1)))
        draft = Draft(self.stores.catalog, self.version)
        self.reporter.stage(self.version.feature, "assign", self._whole)
        draft.write(self._assigned(model, drawn, told, notes), model.arrays())
        new, changed = draft.changes(before)
        rows = sum(notes.sizes.values())
        made = replace(made, rows=rows, noise=notes.sizes.get(NOISE, 0))
        groups = notes.groups(words, len(model.centres))
        draft.publish(made, groups)
        found = clusters.find(self.stores.catalog, self.version) or made
        left = self._whole - rows
        return Clustered(self.version, found, groups, fresh, new, changed, left)

    @cached_property
    def _whole(self) -> int:
        """How many records the version has: of a history the current rows alone are grouped."""
        if not self.version.history:
            return self.manifest.rows
        where = (self.version.table, self.manifest.lance_version)
        blocks = self.stores.vectors.blocks(*where, ["record_id"], _BLOCK, history=True)
        return sum(len(block) for block in blocks)

    def _assigned(
        self, model: Model, drawn: dict[str, tuple[str, int]], told: Sequence[str], notes: Notes
    ) -> Iterator[pa.Table]:
        import pyarrow as pa

        rng = np.random.default_rng(seed(self.manifest.run_id))
        for rows, good, block in self._blocks(["record_id", "content_hash", *told]):
            self.reporter.advance(len(block))
            table = block.filter(good)
            ids, hashes = (table.column(n).to_pylist() for n in ("record_id", "content_hash"))
            labels = model.assign(rows)
            given = [drawn.get(one, ("", 0)) for one in ids]
            known = np.array([g[0] == h for g, h in zip(given, hashes, strict=True)], bool)
            labels = np.where(known, [g[1] for g in given], labels).astype(np.int64)
            far = model.distances(rows, labels)
            notes.add(table, labels, far, rng)
            yield pa.table(
                {"record_id": ids, "content_hash": hashes, "cluster": labels,
                 "distance": pa.array(far, from_pandas=True), "drawn": known}
            )  # fmt: skip
