"""What a run does: plan, encode, commit, publish; plain functions that need no Prefect.

A run holds its feature's lock from the first look at the catalog to the last write, so that two
runs of a feature follow one another, and whatever an earlier process left behind is known to be
nobody's. Kill a run at any instant and run again: what was staged is used, what was committed but
not published is dropped, and the result is that of an undisturbed run.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flows.encode import EncodingError
from flows.engine import Job
from flows.outcomes import Outcome, Planned
from flows.sources.base import Chunk
from flows.stores import Stores
from flows.versions import known_version, open_source, prepare
from storage.difference import Difference
from storage.ids import new_run_id
from storage.locks import exclusive
from storage.model import DeadLetter, Manifest, StorageError
from storage.staging import Spool, clear_leftovers, forget_dead, staged_files, staged_hashes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from flows.encode import Receipt
    from flows.engine import Engine
    from flows.progress import Reporter
    from flows.settings import Feature, Settings
    from flows.sources.base import Reject, Source
    from storage.catalog import Catalog
    from storage.model import Counts, Version


class RunError(Exception):
    """A run cannot go on; nothing of it is published."""


def embed(
    settings: Settings, name: str, engine: Engine, reporter: Reporter, *, refit: bool = False
) -> Outcome:
    """Bring a feature's vectors up to date with its source, and publish them.

    Args:
        settings: the configuration.
        name: the feature.
        engine: what carries out the steps.
        reporter: told of progress.
        refit: let an encoder that learns do so again, which makes a new version.

    Raises:
        RunError: if too many records are dead, or the encoder breaks its contract.
        SourceError: if the source cannot be read.
        StorageError: if the store cannot be had.
    """
    feature = settings.feature(name)
    stores = Stores.of(settings)
    started = time.perf_counter()
    lock = stores.locks / f"{name}.lock"
    with exclusive(lock, name, settings.engine.wait_seconds, reporter.note):
        stores.catalog.abandon_runs(name)
        version = prepare(settings, feature, stores, reporter, refit=refit)
        run = Run(settings, feature, stores, version, reporter, started)
        stores.catalog.start_run(run.run_id, name, version.version)
        try:
            engine.step("plan", run.plan)
            if run.shards:
                reporter.stage(name, "encode", run.to_encode)
                begun = time.perf_counter()
                run.receipts = engine.encode(Job(version, stores.states), run.shards, reporter)
                run.encode_seconds = time.perf_counter() - begun
                _note_cut(run, reporter)
            engine.step("commit", run.commit)
            engine.step("publish", run.publish)
        except BaseException as error:
            _note_failure(stores.catalog, run.run_id, error)
            if isinstance(error, EncodingError):
                raise RunError(f"{name}: {error}") from error
            raise
        finally:
            run.close()
        shutil.rmtree(run.folder.parent, ignore_errors=True)
        outcome = run.outcome()
        _note_standing(outcome, stores.catalog, reporter)
        return outcome


def plan(settings: Settings, name: str, reporter: Reporter) -> Planned:
    """Work out what `embed` would do, and write nothing to the store."""
    feature = settings.feature(name)
    stores = Stores.of(settings)
    version = known_version(feature, stores)
    source = open_source(settings, feature, version)
    published = stores.catalog.published(version) if version else None
    with tempfile.TemporaryDirectory(prefix="vecmill-plan-") as folder:
        difference = _difference(stores, version, published, source, Path(folder))
        try:
            reporter.stage(name, "plan", None)
            for chunk in _gathered(source.scan()):
                difference.add(chunk.records, _letters(chunk.rejects))
                reporter.advance(len(chunk.records) + len(chunk.rejects))
            counts = difference.counts(remove_vanished=feature.vanished == "remove")
        finally:
            difference.close()
    versions = stores.catalog.versions(name)
    number = version.version if version else len(versions) + 1
    rate = stores.catalog.encode_rate(name, number)
    seconds = 0.0 if not counts.encoded else counts.encoded / rate if rate else None
    mark = version.fingerprint if version else None
    lance_version = published.lance_version if published else None
    return Planned(name, number, published is None, mark, lance_version, counts, seconds)


@dataclass
class Run:
    """One run under way: what its steps hand on to each other."""

    settings: Settings
    feature: Feature
    stores: Stores
    version: Version
    reporter: Reporter
    started: float  # by time.perf_counter
    run_id: str = field(default_factory=new_run_id)
    shards: list[Path] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    to_encode: int = 0
    encode_seconds: float = 0.0
    types: dict[str, str] = field(default_factory=dict)
    _difference: Difference | None = None
    _counts: Counts | None = None
    _manifest: Manifest | None = None
    _lance_version: int | None = None

    @property
    def folder(self) -> Path:
        """Where this run's shards and staged vectors lie."""
        return self.stores.staging / self.version.table / self.run_id

    def plan(self) -> None:
        """Read the source once: tell what has to be done, and spool what has to be encoded."""
        self.close()
        clear_leftovers(self.folder.parent)
        source = open_source(self.settings, self.feature, self.version)
        self.types = {**self.version.types, **source.types}
        published = self.stores.catalog.published(self.version)
        difference = _difference(self.stores, self.version, published, source, self.folder)
        self._difference = difference
        spool = Spool(self.folder, self.settings.engine.shard_size)
        self.to_encode = 0
        self.reporter.stage(self.feature.name, "plan", None)
        for chunk in _gathered(source.scan()):
            wanted = difference.add(chunk.records, _letters(chunk.rejects))
            self.to_encode += len(wanted)
            spool.add(wanted)
            self.reporter.advance(len(chunk.records) + len(chunk.rejects))
        self.shards = spool.close()

    def commit(self) -> None:
        """Write the rows and removals to the version's table, above what is published."""
        difference = self._planned()
        staged = self._staged()
        difference.learn_dead(staged)
        remove = self.feature.vanished == "remove"
        counts = difference.counts(remove_vanished=remove)
        try:
            _check_dead(self.feature, counts, difference.dead_letters())
        except RunError:
            # What failed so many may have been the machine, so they are to be tried again.
            forget_dead(staged)
            raise
        if remove and (kept := difference.held_back()):
            self.reporter.note(
                f"{self.feature.name}: {kept:,} published ids are not in the source any more, but "
                "it has rows whose id cannot be read, which may be they; nothing is removed until "
                f"these are mended (see `vecmill dead {self.feature.name}`)"
            )
        published = self.stores.catalog.published(self.version)
        base = published.lance_version if published else None
        self._counts, self._lance_version = counts, base
        if base is not None and not (
            counts.new or counts.changed or counts.updated or counts.deleted or difference.rewrites
        ):
            return
        self.reporter.stage(self.feature.name, "commit", None)
        table, dim = self.version.table, self.version.dim
        rows = difference.rows(staged, dim, self.run_id, remove_vanished=remove)
        vectors = self.stores.vectors
        if difference.rewrites:
            self._lance_version = vectors.rewrite(table, rows)
        else:
            gone = difference.vanished() if remove else iter(())
            self._lance_version = vectors.commit(table, base, rows, gone)
        before = published.rows if published else 0
        found = vectors.rows(table, self._lance_version)
        if found != before + counts.new - counts.deleted:
            raise StorageError(
                f"{table} has {found} rows after the commit, expected {before} + {counts.new} new "
                f"- {counts.deleted} deleted; nothing is published. Run again; if it stays so, "
                "please report it"
            )

    def publish(self) -> None:
        """Make the committed state what readers see."""
        if self._counts is None or self._lance_version is None:
            raise RunError("a run must be committed before it is published")
        self._manifest = Manifest(
            feature=self.feature.name,
            version=self.version.version,
            run_id=self.run_id,
            lance_version=self._lance_version,
            fingerprint=self.version.fingerprint,
            counts=self._counts,
            rows=self.stores.vectors.rows(self.version.table, self._lance_version),
            published_at=datetime.now(UTC),
        )
        self.stores.catalog.publish(
            self._manifest,
            self._planned().dead_letters(),
            types=self.types,
            encode_seconds=self.encode_seconds,
            seconds=time.perf_counter() - self.started,
            source=self.feature.source.name,
            encoder=self.feature.encoder.name,
        )

    def outcome(self) -> Outcome:
        """What the run did."""
        if self._manifest is None:
            raise RunError("a run has no outcome before it is published")
        live = self.stores.catalog.live(self.feature.name)
        standing = "live" if live and live.version == self.version.version else "candidate"
        return Outcome(
            feature=self.feature.name,
            version=self.version.version,
            standing=standing,
            run=self.run_id,
            counts=self._manifest.counts,
            rows=self._manifest.rows,
            seconds=time.perf_counter() - self.started,
            lance_version=self._manifest.lance_version,
            fingerprint=self.version.fingerprint,
        )

    def close(self) -> None:
        """Let go of the scratch file."""
        if self._difference is not None:
            self._difference.close()
            self._difference = None

    def _planned(self) -> Difference:
        if self._difference is None:
            raise RunError("a run must be planned before it is committed")
        return self._difference

    def _staged(self) -> list[Path]:
        return staged_files(self.stores.staging / self.version.table)


def _difference(
    stores: Stores,
    version: Version | None,
    published: Manifest | None,
    source: Source,
    folder: Path,
) -> Difference:
    """The difference to the published rows, told of all that need not be encoded again."""
    base = None
    if version and published:
        base = stores.vectors.dataset(version.table, published.lance_version)
    difference = Difference(folder / "scratch.duckdb", base, _arrow_schema(source))
    if version:
        difference.know_dead(stores.catalog.known_dead(version))
        for contents in staged_hashes(staged_files(stores.staging / version.table)):
            difference.know_dead(contents.filter(contents["lasting"]))
            difference.know_staged(contents.filter(contents["reason"].is_null()))
    return difference


def _arrow_schema(source: Source) -> pa.Schema:
    import polars as pl

    return pl.DataFrame(schema=source.kept).to_arrow().schema


_GATHERED_ROWS, _GATHERED_BYTES = 65_536, 32 * 2**20


def _gathered(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Small chunks as larger ones: each is compared with all that came before."""
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


def _letters(rejects: Sequence[Reject]) -> list[DeadLetter]:
    return [DeadLetter(r.place, r.reason, "read", r.record_id) for r in rejects]


def _check_dead(feature: Feature, counts: Counts, letters: pa.Table) -> None:
    """Refuse to publish a run in which too much has gone wrong."""
    # 29 / 100 is 0.29 to the last bit, but 0.29 * 100 is less than 29.
    if counts.dead == 0 or counts.dead / counts.records <= feature.max_dead:
        return
    shown = letters.slice(0, 3).to_pylist()
    examples = "; ".join(f"{row['place']}: {row['reason']}" for row in shown)
    raise RunError(
        f"{feature.name}: {counts.dead} of {counts.records} records cannot be read or encoded, "
        f"more than max_dead = {feature.max_dead:g} allows, so nothing is published. "
        f"The first: {examples}. Mend them, or raise max_dead in [features.{feature.name}]"
    )


def _note_cut(run: Run, reporter: Reporter) -> None:
    """Say how many records the encoder did not read to their end."""
    cut = sum(receipt.cut for receipt in run.receipts)
    if cut:
        reporter.note(
            f"{run.feature.name}: {cut:,} of {run.to_encode:,} texts are longer than the encoder "
            "reads; what stands beyond its limit is not in their vectors"
        )


def _note_standing(outcome: Outcome, catalog: Catalog, reporter: Reporter) -> None:
    """Say that readers do not see what was made, where that is so."""
    live = catalog.live(outcome.feature)
    if live is not None and live.version != outcome.version:
        reporter.note(
            f"{outcome.feature}: this run brought v{outcome.version} up to date, a candidate; "
            f"readers go on seeing v{live.version}, which was not. Make the candidate live with "
            f"`vecmill promote {outcome.feature} {outcome.version}`"
        )


def _note_failure(catalog: Catalog, run_id: str, error: BaseException) -> None:
    """Put the failure down in the catalog; if that fails too, the first error is what counts."""
    try:
        catalog.fail_run(run_id, f"{type(error).__name__}: {error}")
    except StorageError:
        return
