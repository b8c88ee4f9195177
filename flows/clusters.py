"""Group a feature's records: find clusters once, then assign what is new or changed to them."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from flows import clustering, describing
from flows.chosen import check_kept, kept_columns, readable
from flows.clustering import NOISE, Model
from flows.matrices import comparable, matrix, usable
from flows.stores import Stores
from storage import clusters, query
from storage.clusters import Clustering, Draft, Group
from storage.ids import seed
from storage.locks import exclusive
from storage.model import UsageError
from storage.parts import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from flows.clustering import Labels, Method, Rows
    from flows.progress import Reporter
    from flows.settings import Settings
    from storage.model import Manifest, Version

SAMPLES = {"kmeans": 20_000, "hdbscan": 10_000}
"""Records that clusters are looked for among, by method; k-means then sees all."""

LEAST = 10
_BLOCK, _DESCRIBED, _EXAMPLES = 8_192, 20_000, 3
_SMALLEST = 5
"""Rows that a cluster of HDBSCAN has in its sample at least."""


@dataclass(frozen=True)
class Asked:
    """What is wanted; what is None is as it was, or as Vecmill chooses.

    Attributes:
        method: how clusters are found.
        k: how many, for k-means.
        least: records that make a cluster, for HDBSCAN.
        words: the kept column of texts that clusters are described by.
        anew: find clusters again, though there are some.
    """

    method: Method | None = None
    k: int | None = None
    least: int | None = None
    words: str | None = None
    anew: bool = False

    def __post_init__(self) -> None:
        if self.k is not None and self.k < 1:
            raise UsageError(f"-k must be at least 1, got {self.k}")
        if self.least is not None and self.least < 2:  # noqa: PLR2004 - one record is no group
            raise UsageError(f"--min-size must be at least 2, got {self.least}")
        if self.k is not None and (self.method == "hdbscan" or self.least is not None):
            raise UsageError("-k goes with --method kmeans; hdbscan finds out how many there are")
        if self.least is not None and self.method == "kmeans":
            raise UsageError("--min-size goes with --method hdbscan; kmeans takes -k")


@dataclass(frozen=True)
class Clustered:
    """The clusters of a version.

    Attributes:
        clustering: how they were found.
        groups: what each is.
        fresh: whether they were found just now.
        new: records assigned that were not before; None where nothing was assigned.
        changed: records assigned again, since their content is another; as above.
        unassigned: rows of the version that belong to no cluster and are no noise either.
    """

    version: Version
    clustering: Clustering
    groups: Sequence[Group]
    fresh: bool
    new: int | None
    changed: int | None
    unassigned: int

    def table(self) -> list[dict[str, Any]]:
        """One row of plain values a cluster."""
        return [
            {
                "feature": self.version.feature,
                "version": self.version.version,
                "cluster": group.cluster,
                "size": group.size,
                "share": group.share,
                "words": list(group.words),
                "kept_values": list(group.kept_values),
                "examples": list(group.examples),
            }
            for group in self.groups
        ]

    def summary(self) -> dict[str, Any]:
        """What holds for all of them, as plain values."""
        return {
            "feature": self.version.feature,
            "version": self.version.version,
            "method": self.clustering.method,
            "clusters": sum(group.cluster != NOISE for group in self.groups),
            "rows": self.clustering.rows,
            "noise": self.clustering.noise,
            "found_now": self.fresh,
            "new": self.new,
            "changed": self.changed,
            "unassigned": self.unassigned,
            "figures": dict(self.clustering.figures),
        }

    def sentences(self) -> list[str]:
        """How to read the table."""
        name, figures = self.version.feature, self.clustering.figures
        told = []
        if self.fresh and "silhouette" in figures:
            tried = ", ".join(f"{k}: {value:.3f}" for k, value in figures["silhouette"].items())
            told.append(
                f"k = {figures['k']} has the highest mean silhouette on a sample ({tried}); -k "
                "takes another"
                if tried
                else "the records are too few or too equal to tell clusters apart, so all are one"
            )
            if tried and figures["k"] == clustering.TRIED[-1]:
                told.append(f"k = {figures['k']} is the largest that is tried; more may fit better")
        if self.new is not None and not self.fresh:
            told.append(
                f"{self.new:,} new and {self.changed:,} changed records assigned to the clusters "
                f"of {self.clustering.made_at:%Y-%m-%d %H:%M}; --anew finds others"
            )
        if self.clustering.noise:
            told.append(f"{self.clustering.noise:,} records are noise (-1): they are in no cluster")
        if self.unassigned and self.new is None:
            told.append(
                f"{self.unassigned:,} rows of {self.version.table} are not assigned yet; "
                f"`vecmill cluster {name}` does so"
            )
        elif self.unassigned:
            told.append(
                f"{self.unassigned:,} rows of {self.version.table} are not assigned: their vectors "
                "are not finite, or all zero"
            )
        told.append(f"in SQL: {self.version.table}_clusters and {self.version.table}_cluster_sizes")
        return told


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
        left = clusters.unassigned(stores.catalog, version, known, con)
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
            drawn = clusters.drawn(catalog, self.version, known.clustering)
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
        whole = self.manifest.rows
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
        notes = _Notes(told, min(1.0, _DESCRIBED / max(self.manifest.rows, 1)))
        draft = Draft(self.stores.catalog, self.version)
        self.reporter.stage(self.version.feature, "assign", self.manifest.rows)
        draft.write(self._assigned(model, drawn, told, notes), model.arrays())
        new, changed = draft.changes(before)
        rows = sum(notes.sizes.values())
        made = replace(made, rows=rows, noise=notes.sizes.get(NOISE, 0))
        groups = notes.groups(words, len(model.centres))
        draft.publish(made, groups)
        found = clusters.find(self.stores.catalog, self.version) or made
        left = self._all() - rows
        return Clustered(self.version, found, groups, fresh, new, changed, left)

    def _all(self) -> int:
        """How many records the version has."""
        if not self.version.history:
            return self.manifest.rows
        where = (self.version.table, self.manifest.lance_version)
        blocks = self.stores.vectors.blocks(*where, ["record_id"], _BLOCK, history=True)
        return sum(len(block) for block in blocks)

    def _assigned(
        self, model: Model, drawn: dict[str, tuple[str, int]], told: Sequence[str], notes: _Notes
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


@dataclass
class _Notes:
    """What is gathered while records are assigned: sizes, the nearest, and a sample of columns."""

    columns: Sequence[str]
    share: float
    sizes: Counter[int] = field(default_factory=Counter)
    _nearest: dict[int, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    _sampled: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    _labels: list[int] = field(default_factory=list)

    def add(self, table: pa.Table, labels: Labels, far: Rows, rng: np.random.Generator) -> None:
        """Take note of some records."""
        numbers, counts = np.unique(labels, return_counts=True)
        self.sizes.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
        ids = table.column("record_id")
        for number in numbers.tolist():
            places = np.flatnonzero(labels == number)
            best = places[np.argsort(far[places], kind="stable")[:_EXAMPLES]]
            found = [(float(far[place]), str(ids[int(place)].as_py())) for place in best]
            if number != NOISE:
                self._nearest[number] = heapq.nsmallest(_EXAMPLES, self._nearest[number] + found)
        chosen = np.flatnonzero(rng.random(len(labels)) < self.share)
        sampled = table.take(chosen)
        for name in self.columns:
            self._sampled[name] += sampled.column(name).to_pylist()
        self._labels += labels[chosen].tolist()

    def groups(self, column: str | None, k: int) -> list[Group]:
        """What is said of each cluster; empty ones too, since they have numbers."""
        labels = np.array(self._labels, np.int64)
        column = column or describing.text_column(self._sampled)
        texts = None if column is None else [_text(value) for value in self._sampled[column]]
        words = describing.words(texts, labels) if texts and len(labels) else {}
        others = {name: given for name, given in self._sampled.items() if name != column}
        values = describing.values(others, labels) if len(labels) else {}
        rows = sum(self.sizes.values())
        numbers = [*([NOISE] if self.sizes.get(NOISE) else []), *range(k)]
        return [
            Group(
                number,
                self.sizes.get(number, 0),
                self.sizes.get(number, 0) / max(rows, 1),
                words.get(number, ()),
                values.get(number, ()),
                tuple(name for _, name in self._nearest.get(number, [])),
            )
            for number in numbers
        ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)
