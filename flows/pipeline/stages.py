"""What a run does: plan, encode, commit, check, publish; plain functions that need no Prefect.

A run holds its feature's lock from the first look at the catalog to the last write, so that two
runs of a feature follow one another, and whatever an earlier process left behind is known to be
nobody's. Kill a run at any instant and run again: what was staged is used, what was committed but
not published is dropped, and the result is that of an undisturbed run.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.alerts import afterwards
from flows.config.stores import Stores
from flows.engines.engine import Job
from flows.pipeline import checks, unbegun
from flows.pipeline.comparing import as_they_stand, compare, read
from flows.pipeline.costs import Costs
from flows.pipeline.dead import dead_letters, letters, shares
from flows.pipeline.encode import Bounds, EncodingError
from flows.pipeline.forecast import forecast
from flows.pipeline.notes import note_chunks, note_cut, note_left_out, note_standing
from flows.pipeline.outcomes import Planned
from flows.pipeline.refusals import RunError, refuse_dead, refuse_deletes
from flows.pipeline.run_log import logging, told_failure
from flows.pipeline.scope import Scope
from flows.pipeline.steps import Run
from flows.pipeline.versions import known_version, open_source, prepare
from flows.searching import spaces
from storage import disk
from storage.locks import exclusive
from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.config.settings import Feature, Settings
    from flows.engines.engine import Engine
    from flows.output.progress import Reporter
    from flows.pipeline.dead import Shares
    from flows.pipeline.forecast import Forecast
    from flows.pipeline.outcomes import Outcome
    from flows.pipeline.run_log import RunLog
    from flows.pipeline.scope import Target
    from storage.catalog import Catalog
    from storage.model import Counts, Version


def embed(
    settings: Settings,
    name: str,
    engine: Engine,
    reporter: Reporter,
    *,
    refit: bool = False,
    target: Target = "configured",
    scope: Scope | None = None,
) -> Outcome:
    """Bring a version of a feature up to date with its source, and publish it.

    Args:
        settings: the configuration.
        name: the feature.
        engine: what carries out the steps.
        reporter: told of progress.
        refit: let an encoder that learns do so again, which makes a new version.
        target: the version.
        scope: what part of the source to take on; all that may have changed where none is given.

    Raises:
        RunError: if too many records are dead or would vanish, a monitor that blocks publishing
            raises an alarm, or the encoder breaks its contract.
        SourceError: if the source cannot be read.
        StorageError: if the store cannot be had.
    """
    feature = settings.feature(name)
    stores = Stores.of(settings, reporter)
    scope = scope or Scope()
    if target == "configured":
        with unbegun.noted(settings, name, scope):
            spaces.check_configured(settings, feature, stores.catalog)
    started = time.perf_counter()
    lock = stores.locks / f"{name}.lock"
    waited = exclusive(lock, name, settings.engine.wait_seconds, reporter.note)
    try:
        with waited, logging(settings, name, stores, scope, reporter) as log:
            stores.catalog.abandon_runs(name)
            more: dict[str, Any] = {"refit": refit, "target": target}
            ready = partial(prepare, settings, feature, stores, log, **more)
            version = _prepared(engine, stores.catalog, scope, ready, log, name)
            run = Run(settings, feature, stores, version, log, started, scope, log.run_id)
            outcome = _embedded(run, engine)
            note_standing(outcome, stores.catalog, log)
            spaces.note_apart(settings, feature, stores, log)
            log.done(outcome)
    except Exception:  # what ends the process is not to wait
        afterwards.metrics(settings, name, reporter)
        raise
    afterwards.metrics(settings, name, reporter)
    return outcome


def _embedded(run: Run, engine: Engine) -> Outcome:
    """Carry a run out, and put down in the catalog how it went."""
    catalog, name = run.stores.catalog, run.feature.name
    window = (run.scope.since, run.scope.until)
    catalog.start_run(run.run_id, name, run.version.version, run.scope.kind, window)
    try:
        _carry_out(run, engine)
    except BaseException as error:
        _note_failure(catalog, run.run_id, error)
        if isinstance(error, EncodingError):
            raise RunError(f"{name}: {error}") from error
        if (full := disk.told(error)) is not None:
            raise full from error
        raise
    finally:
        run.close()
    # What an earlier run has staged may lie in the rest of the source.
    done = run.folder.parent if run.read_all else run.folder
    shutil.rmtree(done, ignore_errors=True)
    return run.outcome()


def _prepared(
    engine: Engine,
    catalog: Catalog,
    scope: Scope,
    ready: Callable[[], Version],
    log: RunLog,
    name: str,
) -> Version:
    """The version to work on; a run that fails before it has one is put down without."""
    found: list[Version] = []
    log.stage(name, "prepare", None)  # encoders are loaded here, which may take half a minute
    try:
        engine.step("prepare", lambda: found.append(ready()))
    except BaseException as error:
        with suppress(StorageError):  # the first error is what counts
            catalog.start_run(log.run_id, name, None, scope.kind, (scope.since, scope.until))
            _note_failure(catalog, log.run_id, error)
        raise
    log.end()
    version = found[-1]
    log.write("version", {"version": version.version, "fingerprint": version.fingerprint})
    return version


def _carry_out(run: Run, engine: Engine) -> None:
    engine.step("plan", run.plan)
    if run.shards:
        run.reporter.stage(run.feature.name, "encode", run.to_encode)
        begun = time.perf_counter()
        run.receipts = engine.encode(_job(run), run.shards, run.reporter)
        run.encode_seconds = time.perf_counter() - begun
    engine.step("commit", run.commit)
    note_cut(run.feature.name, run.version, run.unread, run.reporter)
    if checks.wanted(run):
        engine.step("check", partial(checks.check, run))
    engine.step("publish", run.publish)


def _job(run: Run) -> Job:
    engine, feature = run.settings.engine, run.feature
    bounds = Bounds(
        feature.encoder.name,
        engine.encode_timeout,
        limits=feature.limits,
        decoders=engine.decoders,
        thumbnails=feature.thumbnails,
        threads=engine.threads,
    )
    return Job(run.version, run.stores.states, bounds)


def plan(
    settings: Settings,
    name: str,
    reporter: Reporter,
    *,
    target: Target = "configured",
    scope: Scope | None = None,
) -> Planned:
    """Work out what `embed` would do, and write nothing to the store."""
    feature = settings.feature(name)
    stores = Stores.of(settings, reporter)
    if target == "configured":
        spaces.check_configured(settings, feature, stores.catalog)
    scope = scope or Scope()
    version = known_version(feature, stores, target, settings.root)
    version = version and replace(version, history=feature.history)
    source = open_source(settings, feature, version)
    reading = read(feature, stores, version, source, scope)
    with tempfile.TemporaryDirectory(prefix="vecmill-plan-") as folder:
        pictured = feature.thumbnails > 0
        difference = compare(stores, version, reading, Path(folder), thumbnails=pictured)
        try:
            reporter.stage(name, "plan", None)
            costs = Costs.of(version) if version else Costs.configured(feature.encoder)
            wanted = 0
            for chunk in reading.chunks():
                left = None if scope.limit is None else scope.limit - wanted
                to_encode = difference.add(chunk.records, letters(chunk.rejects), left)
                wanted += len(to_encode)
                costs.add(to_encode["content"])
                reporter.advance(len(chunk.records) + len(chunk.rejects))
                if scope.limit is not None and wanted >= scope.limit:
                    break
            remove = feature.vanished == "remove" and reading.whole and not reading.unchanged
            counts = (
                as_they_stand(stores, version)
                if version and reading.unchanged
                else difference.counts(remove_vanished=remove)
            )
            note_chunks(name, reading, reporter)
            note_left_out(name, reading, difference, reporter, remove=remove)
            problem = None
            if not reading.unchanged:  # a run then leaves all as it is, and refuses nothing
                dead = dead_letters(stores, version, reading, difference)
                found = shares(stores, version, reading, counts, dead, difference)
                problem = _problem(feature, scope, found, remove=remove)
            if problem is None and counts.encoded:
                problem = _unreachable(stores, name)
            expected = forecast(
                *(feature, stores, version, counts),
                kept=list(reading.kept),
                monitors=feature.monitors or settings.default_monitors,
                rewrites=difference.rewrites,
            )
        finally:
            difference.close()
    planned = _planned(feature, stores, version, counts, problem, expected)
    return replace(planned, cost=costs.amount, currency=costs.currency)


def _planned(
    feature: Feature,
    stores: Stores,
    version: Version | None,
    counts: Counts,
    problem: str | None,
    expected: Forecast,
) -> Planned:
    published = stores.catalog.published(version) if version else None
    versions = stores.catalog.versions(feature.name)
    number = version.version if version else len(versions) + 1
    return Planned(
        feature=feature.name,
        version=number,
        creates=published is None,
        fingerprint=version.fingerprint if version else None,
        lance_version=published.lance_version if published else None,
        counts=counts,
        seconds=0.0 if not counts.encoded else expected.seconds,
        problem=problem,
        forecast=expected,
    )


def _problem(feature: Feature, scope: Scope, found: Shares, *, remove: bool) -> str | None:
    """Why a run would publish nothing, as far as that can be told without encoding."""
    try:
        refuse_dead(feature, found.records, found.dead)
        if remove and not scope.allow_deletes:
            refuse_deletes(feature, found.gone, found.ids)
    except RunError as error:
        return str(error)
    return None


def _unreachable(stores: Stores, table: str) -> str | None:
    """Why an object store takes no table, as far as that can be told without writing."""
    try:
        if stores.vectors.folder is None:
            stores.vectors.is_there(table)
    except StorageError as error:
        return str(error)
    return None


def _note_failure(catalog: Catalog, run_id: str, error: BaseException) -> None:
    """Put the failure down in the catalog; if that fails too, the first error is what counts."""
    try:
        catalog.fail_run(run_id, told_failure(error))
    except StorageError:
        return
