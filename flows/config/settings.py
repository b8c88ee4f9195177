"""What a configuration holds once it is read and checked; `flows.config.configuration` makes it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from encoders.media import DEFAULT, Limits
from flows.config.nearest import hint
from flows.lifecycle.gates import DEFAULT_GATES, Gates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from flows.operations.schedules import Schedule
    from storage.model import Blocks

_MAX_RETRIES = 10
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class SettingsError(Exception):
    """The configuration cannot be used; the message says where and how to mend it.

    Attributes:
        each: the things that are wrong, where the message tells of several.
    """

    def __init__(self, message: str, each: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.each = tuple(each) or (message,)


@dataclass(frozen=True)
class Project:
    """What the project is called where others are, as on a Prefect server.

    Attributes:
        name: of letters, digits, dots, dashes and underscores; the project folder's, where none is
            given.
    """

    name: str | None = None

    def __post_init__(self) -> None:
        if self.name is not None and not _PROJECT.fullmatch(self.name):
            raise ValueError(
                "name must be up to 63 letters, digits, dots, dashes and underscores, a letter or "
                f"digit first, got {self.name!r}"
            )


@dataclass(frozen=True)
class Store:
    """Where the store lies.

    Attributes:
        vectors: a folder, or an object-store URI that LanceDB takes (``s3://``, ``gs://``).
        catalog: the DuckDB file; staged work, fitted encoders and locks lie in its folder.
    """

    vectors: str = "data/vectors"
    catalog: str = "data/catalog.duckdb"


@dataclass(frozen=True)
class Engine:
    """How a run is carried out.

    Attributes:
        kind: where shards are encoded: in this process (``local``), or by workers of a Ray cluster
            (``ray``), each a process that keeps its encoder loaded.
        direct: whether commands do their work in their own process, without Prefect, as
            ``--direct`` says once and ``--no-direct`` takes back. Schedules go through Prefect
            either way.
        shard_size: records that one task encodes.
        workers: tasks that encode at once. Within one process an encoder already uses every core,
            so 1 is best there unless reading is slow.
        address: of the Ray cluster, as ``ray.init`` takes it; where none is given, what
            ``RAY_ADDRESS`` says, a cluster that runs on this machine, or a new one.
        worker_cpus: cores that a worker on Ray is given.
        worker_gpus: GPUs that it is given, or the part of one.
        decoders: threads a task that decode images and recordings while the encoder works; 0 for
            one a core, and no fewer than four.
        threads: that torch computes with in a task; 0 for its own choice, one a core.
        retries: how often a step that failed for a passing reason is tried again, at most 10: the
            pauses double from one second.
        wait_seconds: how long to wait for another run of the feature, or for the catalog; on Ray
            also for room for a worker, at least a minute.
        encode_timeout: seconds that the encoder may take for what it is given at once, up to 32 of
            its batches; a run whose encoder takes longer fails. 0 lets it take any time.
        concurrency_limit: a global concurrency limit of Prefect, by name: each task that encodes
            holds one of its slots, so that runs of several processes share a GPU or an endpoint.
            Not asked for by runs without Prefect.
    """

    kind: Literal["local", "ray"] = "local"
    direct: bool = False
    shard_size: int = 2048
    workers: int = 1
    address: str | None = None
    worker_cpus: float = 1.0
    worker_gpus: float = 0.0
    decoders: int = 0
    threads: int = 0
    retries: int = 2
    wait_seconds: float = 600.0
    encode_timeout: float = 1800.0
    concurrency_limit: str | None = None

    def __post_init__(self) -> None:
        for name in ("shard_size", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        self._check_ray()
        for name in ("decoders", "threads"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        if not 0 <= self.retries <= _MAX_RETRIES:
            raise ValueError(f"retries must be 0 to {_MAX_RETRIES}, got {self.retries}")
        for name in ("wait_seconds", "encode_timeout"):
            if not getattr(self, name) >= 0:  # so that NaN is refused too
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")

    def _check_ray(self) -> None:
        for name in ("address", "worker_cpus", "worker_gpus"):
            if self.kind == "local" and getattr(self, name) != getattr(Engine, name):
                raise ValueError(f'{name} is for kind = "ray", and the kind is "local"')
        for name in ("worker_cpus", "worker_gpus"):
            if not 0 <= getattr(self, name) < inf:  # so that NaN is refused too
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


@dataclass(frozen=True)
class Gc:
    """What `vecmill gc` leaves. A state goes only if both its age and its rank allow it.

    Attributes:
        keep_runs: so many states of each version stay, counted from the newest.
        keep_days: states stay that readers saw within so many days.
        drop_retired_after_days: tables of versions go that have been retired for so many days.
        grace_hours: states stay that readers saw within so many hours, whatever else allows: a
            session that reads one is to finish.
        compact_fragments: a published table of at least so many small fragments is compacted.
    """

    keep_runs: int = 10
    keep_days: float = 30.0
    drop_retired_after_days: float = 90.0
    grace_hours: float = 1.0
    compact_fragments: int = 32

    def __post_init__(self) -> None:
        for name, least in (("keep_runs", 1), ("compact_fragments", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        for name in ("keep_days", "drop_retired_after_days", "grace_hours"):
            if not getattr(self, name) >= 0:  # so that NaN is refused too
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


@dataclass(frozen=True)
class IndexPolicy:
    """The keys of ``[features.NAME.index]``: which indexes `vecmill maintain` keeps.

    Attributes:
        vector: the kind of index that vectors have: ``ivf_sq``, ``ivf_flat``, ``ivf_pq``,
            ``ivf_hnsw_sq`` (`storage.indexing.build`), or ``none``.
        rows: from how many rows on there are indexes of vectors, ids and ``columns``.
        columns: kept columns that conditions are often by.
        words: kept texts to have a full-text index of, however few rows there are.
        stale: the share of rows that an index does not know, from which it is extended.
        probes: cells of an index of vectors that a search looks into: the more, the better its
            recall, and the slower.
        refine: candidates of the index for each row to find, ordered by their whole vectors.
    """

    vector: Literal["ivf_sq", "ivf_flat", "ivf_pq", "ivf_hnsw_sq", "none"] = "ivf_sq"
    rows: int = 100_000
    columns: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    stale: float = 0.1
    probes: int = 20
    refine: int = 10

    def __post_init__(self) -> None:
        for name in ("rows", "probes", "refine"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.stale <= 1:
            raise ValueError(f"stale is a share from 0 to 1, got {self.stale}")
        for name in ("columns", "words"):
            given = getattr(self, name)
            doubled = [column for place, column in enumerate(given) if column in given[:place]]
            if doubled or "vector" in given:
                raise ValueError(
                    f"{name} names kept columns, each once, got {(doubled or ['vector'])[0]!r}"
                )
        if both := sorted({*self.columns} & {*self.words}):
            raise ValueError(f"a column has one index; {both[0]!r} is in both columns and words")


@dataclass(frozen=True)
class Reports:
    """What is written each time that monitors have looked.

    Attributes:
        page: whether the feature's page (`vecmill report`) is written into the store's folder.
        prometheus: a file for the metrics of all features, from the project folder; None for none.
    """

    page: bool = False
    prometheus: str | None = None


@dataclass(frozen=True)
class Plugin:
    """A source, encoder or monitor as configured: its name, its kind (a file) and its keys.

    Attributes:
        templates: what the keys that hold a ``${`` said before they were filled in. Only this may
            be stored: the values may be secrets.
    """

    name: str
    kind: str
    params: Any
    templates: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Monitor(Plugin):
    """A monitor as configured.

    Attributes:
        blocks: what its alarm keeps from happening: the ``publishing`` of the run that it is about,
            the ``promotion`` of the version, or ``nothing``.
    """

    blocks: Blocks = "promotion"


@dataclass(frozen=True)
class PartOf:
    """A feature that another is over.

    Attributes:
        feature: its name.
        id: the kept column of it that holds the id of the record that a row is a part of; None
            where that is its own.
        keep: the kept columns of it that are handed on; None for all of the first part's, and none
            of the others'.
    """

    feature: str
    id: str | None = None
    keep: list[str] | None = None


@dataclass(frozen=True)
class Over:
    """The features that one is over; the first gives the event time.

    Attributes:
        require: whether a record needs a vector of ``all`` of them, or of ``any``.
    """

    parts: tuple[PartOf, ...]
    require: Literal["all", "any"] = "all"


@dataclass(frozen=True)
class Feature:
    """Source x encoder x policy, under the name that readers use.

    Attributes:
        source: where its records come from; of a feature over others `Over`, of kind ``features``.
        vanished: what becomes of vectors whose record is gone from the source.
        max_dead: the share of dead letters above which a run fails and publishes nothing.
        max_deleted: the share of published rows above which a run that finds them gone from the
            source fails and removes nothing (20 rows or fewer may always go).
        history: keep every content that a record ever had, by its event time, instead of the
            current one; a record without an event time is a dead letter then.
        update: what runs bring up to date while the encoder as configured is not the live one:
            the version of the ``configured`` encoder, the ``live`` one, or ``both``.
        schedule: a cron line of five fields, in UTC: short for a ``[schedules.NAME]`` of the
            feature's name that runs it and no other.
        reference: what monitors compare a run with, as `flows.monitoring.references` understands
            it.
        false_alarms: the chance that a monitor's looks, one run after the other without end, ever
            raise a false alarm; after an alarm they begin anew (`flows.monitoring.series`).
        shares_space_with: features whose vectors may be held against its own; it is checked that
            the encoders put them into one space.
        limits: what its images and recordings may cost to decode, as ``[limits]`` says for all.
        gates: what a version of it must come up to before it is promoted.
        thumbnails: pixels of the longer side of the small copies that are kept of its images; 0
            for none.
        canaries: how many contents of each version are kept, to be encoded again whenever a monitor
            looks for a change of the encoder; 0 for none.
        alerts: the channels that are told of its monitors' alarms.
        index: which indexes the table of its live version has.
    """

    name: str
    source: Plugin
    encoder: Plugin
    monitors: tuple[Monitor, ...] = ()
    vanished: Literal["remove", "keep"] = "remove"
    max_dead: float = 0.1
    max_deleted: float = 0.5
    history: bool = False
    update: Literal["configured", "live", "both"] = "configured"
    schedule: str | None = None
    reference: str = "previous"
    false_alarms: float = 0.05
    shares_space_with: tuple[str, ...] = ()
    limits: Limits = DEFAULT
    gates: Gates = DEFAULT_GATES
    thumbnails: int = 0
    canaries: int = 100
    alerts: tuple[Plugin, ...] = ()
    index: IndexPolicy = field(default_factory=IndexPolicy)

    @property
    def over(self) -> Over | None:
        """The features that it is over; None where its records come from a source."""
        return self.source.params if isinstance(self.source.params, Over) else None


@dataclass(frozen=True)
class Settings:
    """The whole configuration, checked.

    Attributes:
        conf: the file that was named.
        root: the project folder, from which relative paths are taken.
        files: the files it was read from, in the order they were merged.
        default_monitors: for features that name no monitors of their own.
        schedules: what `vecmill serve` and `vecmill deploy` start, by name.
    """

    conf: Path
    root: Path
    files: tuple[Path, ...]
    store: Store
    engine: Engine
    features: dict[str, Feature]
    default_monitors: tuple[Monitor, ...]
    gc: Gc = Gc()
    reports: Reports = Reports()
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    project: Project = Project()

    @property
    def catalog(self) -> Path:
        """The catalog's file."""
        return self.root / self.store.catalog

    @property
    def vectors(self) -> str:
        """The folder or URI of the vector tables."""
        where = self.store.vectors
        return where if "://" in where else str(self.root / where)

    def feature(self, name: str) -> Feature:
        """The feature of that name.

        Raises:
            SettingsError: if there is none.
        """
        if name not in self.features:
            raise SettingsError(f"no feature {name!r}{hint(name, self.features)}")
        return self.features[name]
