"""The steps of a run: plan, commit, publish, and what they hand on to each other."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from encoders.metering import Usage
from flows.monitoring import canaries
from flows.pipeline import resumed
from flows.pipeline.coding import codes_of
from flows.pipeline.comparing import as_they_stand, compare, read
from flows.pipeline.costs import Costs
from flows.pipeline.dead import dead_letters, letters, shares
from flows.pipeline.notes import note_chunks, note_left_out
from flows.pipeline.outcomes import Outcome
from flows.pipeline.profiling import Profiler, newly_empty
from flows.pipeline.refusals import RunError, refuse_dead, refuse_deletes
from flows.pipeline.versions import open_source
from storage.ids import new_run_id
from storage.model import (
    Counts,
    Manifest,
    OutageError,
    Publication,
    StorageError,
)
from storage.staging import (
    Spool,
    Unread,
    clear_leftovers,
    drop_damaged,
    forget_dead,
    staged_files,
    staged_unread,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flows.config.settings import Feature, Settings
    from flows.config.stores import Stores
    from flows.monitors._profile import Profile
    from flows.output.progress import Reporter
    from flows.pipeline.encode import Receipt
    from flows.pipeline.reading import Reading
    from flows.pipeline.scope import Scope
    from storage.difference import Difference
    from storage.model import Version


@dataclass
class Run:
    """One run under way.

    Attributes:
        started: when, by `time.perf_counter`.
        shards: the files of what is to be encoded.
        to_encode: how many contents these hold.
        receipts: what became of them.
        reached: whether the limit of the scope was reached, so that records may be left.
        unread: what the encoder did not read of the texts behind the rows to write; of those that
            an attempt before, or a run before, has staged as well.
    """

    settings: Settings
    feature: Feature
    stores: Stores
    version: Version
    reporter: Reporter
    started: float
    scope: Scope
    run_id: str = field(default_factory=new_run_id)
    shards: list[Path] = field(default_factory=list)
    receipts: list[Receipt] = field(default_factory=list)
    to_encode: int = 0
    reached: bool = False
    encode_seconds: float = 0.0
    unread: Unread = Unread()  # noqa: RUF009 - frozen, so that all may share it
    types: dict[str, str] = field(default_factory=dict)
    _costs: Costs | None = None
    _reading: Reading | None = None
    _difference: Difference | None = None
    _counts: Counts | None = None
    _profiler: Profiler | None = None
    _manifest: Manifest | None = None
    _lance_version: int | None = None

    @property
    def counts(self) -> Counts | None:
        """What the run found; None before it is committed."""
        return self._counts

    @property
    def folder(self) -> Path:
        """Where this run's shards and staged vectors lie."""
        return self.stores.staging / self.version.table / self.run_id

    @property
    def read_all(self) -> bool:
        """Whether the run has read its whole source, so that nothing staged is of use any more."""
        return self._reading is not None and self._reading.whole

    def plan(self) -> None:
        """Read the source once: tell what has to be done, and spool what has to be encoded."""
        self.close()
        if damaged := drop_damaged(self.folder.parent):
            self.reporter.note(
                f"{self.feature.name}: {len(damaged)} staged files of an earlier run cannot be "
                "read; what they held is encoded again. Check the disk"
            )
        clear_leftovers(self.folder.parent)
        memory = None if self.scope.full else self.stores.memory / self.feature.source.name
        source = open_source(self.settings, self.feature, self.version, memory=memory)
        self.types = {**self.version.types, **source.types}
        reading = read(self.feature, self.stores, self.version, source, self.scope)
        pictured = self.feature.thumbnails > 0
        difference = compare(self.stores, self.version, reading, self.folder, thumbnails=pictured)
        self._reading, self._difference = reading, difference
        spool = Spool(self.folder, self.settings.engine.shard_size)
        self.to_encode, self.reached = 0, False
        self._costs = costs = Costs.of(self.version)
        self._profiler = profiler = Profiler(self.version.modality, whole=reading.cutter is None)
        chosen = canaries.choice(self.feature, self.stores, self.version)
        self.reporter.stage(self.feature.name, "plan", None)
        if reading.unchanged:
            self.reporter.note(
                f"{self.feature.name}: nothing in the source has changed, so it is not read "
                "(--full reads it)"
            )
        elif not reading.whole and not self.scope.partial:
            self.reporter.note(
                f"{self.feature.name}: reading what came since the last run; only --full notices "
                "records that have vanished"
            )
        for chunk in reading.chunks():
            limit = None if self.scope.limit is None else self.scope.limit - self.to_encode
            wanted = difference.add(chunk.records, letters(chunk.rejects), limit)
            if len(wanted) and not self.to_encode:
                # Not at the commit, when all is encoded.
                self.stores.vectors.check_writable(self.version.table)
            self.to_encode += len(wanted)
            costs.add(wanted["content"])
            profiler.add(difference.fresh(chunk.records))
            for some in reading.fetched(wanted):
                spool.add(some)
                chosen.add(some)
            self.reporter.advance(len(chunk.records) + len(chunk.rejects))
            if self.scope.limit is not None and self.to_encode >= self.scope.limit:
                self.reached = True
                break
        note_chunks(self.feature.name, reading, self.reporter)
        if difference.goes_on:
            resumed.note(self)
        self.shards = spool.close()
        chosen.close()
        difference.let_go()

    def commit(self) -> None:
        """Write the rows and removals to the version's table, above what is published."""
        self._commit()
        self._planned()[0].let_go()

    def _commit(self) -> None:
        difference, reading = self._planned()
        published = reading.published
        base = published.lance_version if published else None
        self._lance_version = base
        if reading.unchanged:
            self._counts = as_they_stand(self.stores, self.version)
            return
        staged = self._staged()
        self._miss(staged)
        difference.learn_dead(staged)
        self.unread = staged_unread(difference.used(staged))
        remove = self._removes(reading)
        counts = difference.counts(remove_vanished=remove)
        self._refuse(counts, staged)
        self.stores.canaries.fill(self.version.table, staged, self.run_id)
        note_left_out(self.feature.name, reading, difference, self.reporter, remove=remove)
        self._counts = counts
        if base is not None and not (
            counts.new or counts.changed or counts.updated or counts.deleted or difference.rewrites
        ):
            return
        self.reporter.stage(self.feature.name, "commit", None)
        table, dim = self.version.table, self.version.dim
        rows = difference.rows(staged, dim, self.run_id, remove_vanished=remove)
        vectors = self.stores.vectors
        codes = codes_of(self.version, self.stores.states, self.settings.root)
        if difference.rewrites:
            self._lance_version = vectors.rewrite(table, rows, codes)
        else:
            gone = difference.gone(remove_vanished=remove)
            self._lance_version = vectors.commit(table, base, rows, gone, codes)
        before = published.rows if published else 0
        grown = difference.row_change(remove_vanished=remove)
        found = vectors.rows(table, self._lance_version)
        if found != before + grown:
            raise StorageError(
                f"{table} has {found} rows after the commit, expected {before} and {grown} more; "
                "nothing is published. Run again; if it stays so, please report it"
            )

    def _miss(self, staged: Sequence[Path]) -> None:
        """Make sure that all is there that has a receipt: a shared folder may show it late."""
        missing = {path for one in self.receipts for path in one.staged}.difference(staged)
        if missing:
            raise OutageError(
                f"{len(missing)} staged files of this run are not there, such as {min(missing)}; "
                "nothing is published. If the folder is shared, run again in a minute: what is "
                "staged is kept; otherwise look for what removes files there"
            )

    def forget_encoded(self) -> None:
        """Take back what is staged of the version, and the canaries that this run has filled."""
        for file in self._staged():
            file.unlink(missing_ok=True)
        self.stores.canaries.forget(self.version.table, self.run_id)

    def publish(self) -> None:
        """Make the committed state what readers see."""
        difference, reading = self._planned()
        self._manifest = self.manifest()
        profile = self.profile()
        self.stores.catalog.publish(
            Publication(
                self._manifest,
                dead_letters(self.stores, self.version, reading, difference),
                types=self.types,
                source=self.feature.source.name,
                encoder=self.feature.encoder.name,
                encode_seconds=self.encode_seconds,
                seconds=time.perf_counter() - self.started,
                whole=reading.whole,
                cursor=reading.cursor(passing=difference.passing()),
                cut=self.unread.cut,
                profile=None if profile is None else profile.plain(),
            )
        )

    def manifest(self) -> Manifest:
        """What a publication at this moment would make readers see."""
        if self._counts is None or self._lance_version is None:
            raise RunError("a run must be committed before it is published")
        return Manifest(
            feature=self.feature.name,
            version=self.version.version,
            run_id=self.run_id,
            lance_version=self._lance_version,
            fingerprint=self.version.fingerprint,
            counts=self._counts,
            rows=self.stores.vectors.rows(self.version.table, self._lance_version),
            published_at=datetime.now(UTC),
            kind=self.scope.kind,
        )

    def profile(self) -> Profile | None:
        """What the records were like whose contents the run wrote; None where it wrote none."""
        difference, reading = self._planned()
        if self._profiler is None or self._counts is None or not self._counts.written:
            return None
        dead = dead_letters(self.stores, self.version, reading, difference)
        before = self.stores.catalog.dead_letters(self.version)
        return self._profiler.profile(self._counts, self.unread, newly_empty(dead, before))

    def outcome(self) -> Outcome:
        """What the run did."""
        if self._manifest is None:
            raise RunError("a run has no outcome before it is published")
        versions = self.stores.catalog.versions(self.feature.name)
        standing = next(v.standing for v in versions if v.version == self.version.version)
        predicted = self._costs.amount if self._costs else None
        used = self._used()
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
            kind=self.scope.kind,
            complete=not self.reached,
            cost=predicted if used is None or used.amount is None else used.amount,
            currency=self._costs.currency if self._costs else None,
            predicted_cost=predicted,
            tokens=None if used is None else used.tokens,
            cut=self.unread.cut,
        )

    def close(self) -> None:
        """Let go of the scratch file."""
        if self._difference is not None:
            self._difference.close()
            self._difference = None

    def _used(self) -> Usage | None:
        found = [receipt.used for receipt in self.receipts if receipt.used is not None]
        return sum(found, Usage()) if found else None

    def _removes(self, reading: Reading) -> bool:
        return self.feature.vanished == "remove" and reading.whole

    def _refuse(self, counts: Counts, staged: Sequence[Path]) -> None:
        """Publish nothing where too much has gone wrong; keep what can be looked at."""
        difference, reading = self._planned()
        dead = dead_letters(self.stores, self.version, reading, difference)
        found = shares(self.stores, self.version, reading, counts, dead, difference)
        try:
            refuse_dead(self.feature, found.records, found.dead)
        except RunError:
            # What failed so many may have been the machine, so they are to be tried again.
            forget_dead(staged)
            self.stores.catalog.keep_unpublished_dead(self.version, self.run_id, dead)
            raise
        if not self.scope.allow_deletes and self._removes(reading):
            refuse_deletes(self.feature, found.gone, found.ids)

    def _planned(self) -> tuple[Difference, Reading]:
        if self._difference is None or self._reading is None:
            raise RunError("a run must be planned before it is committed")
        return self._difference, self._reading

    def _staged(self) -> list[Path]:
        return staged_files(self.stores.staging / self.version.table)
