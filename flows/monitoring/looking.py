"""Monitors applied to a feature: what the last run wrote, held against what stood before it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from flows.alerts import alerting
from flows.config.settings import Gc, Reports
from flows.config.stores import Stores
from flows.monitoring import canaries, profiles, references, second_looks
from flows.monitoring.in_series import in_series
from flows.monitoring.judging import ANEW, Judge
from flows.monitoring.samples import Samples
from flows.monitors.base import of_vectors
from flows.output.redact import redact
from flows.upkeep.lying import lying
from storage.findings import findings
from storage.ids import seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.config.settings import Feature, Monitor, Settings
    from flows.monitoring.references import Absent, Reference
    from flows.monitors._profile import Profile
    from flows.output.progress import Reporter
    from storage.model import FindingRow, Manifest, Version


class MonitorError(Exception):
    """A feature cannot be monitored yet."""


def monitor(
    settings: Settings,
    name: str,
    reporter: Reporter,
    number: int | None = None,
    *,
    again: bool = True,
) -> list[FindingRow]:
    """Run the feature's monitors (the default ones where it names none) and keep their findings.

    The current sample is what the last run that wrote new vectors to the version wrote; the
    reference is what ``reference`` in the feature's configuration says
    (`flows.monitoring.references`), states without rows passed over. All chance is seeded by the
    run, so a finding can be had again; it then takes the place of the one before, unless what it
    was held against is gone since (`flows.monitoring.second_looks`). What a p-value is worth after
    those of the runs before is for `flows.monitoring.in_series` to say. Of a version that keeps a
    history both samples are of current rows: what readers of the feature see.

    Args:
        settings: the configuration.
        name: the feature.
        reporter: told of progress.
        number: the version to look at; the live one where none is given.
        again: whether monitors look again that have looked at the run before it was published; if
            not, what they found is given as it is.

    Raises:
        MonitorError: if the version is not there, nothing is published yet, or the reference is
            not there any more.
    """
    feature = settings.feature(name)
    stores = Stores.of(settings)
    version, manifests, current = last_look(stores, name, number)
    monitors = feature.monitors or settings.default_monitors
    known = {} if again else checked(stores, version, current.run_id, monitors)
    rest = [plugin for plugin in monitors if plugin.name not in known]
    given = (feature, stores, version, manifests, current, rest, reporter)
    rows = look(*given, settings=settings) if rest else []
    if rest:
        rows = in_series(feature, stores.catalog, version, manifests, current, rest, rows)
    earlier = _found(stores, version, current.run_id, rest)
    absent = absent_of(feature, version, manifests, current) if rest else None
    rows, new = second_looks.standing(rest, rows, earlier, absent, reporter.note)
    stores.catalog.add_findings(name, version.version, current.run_id, new)
    found = known | {row.monitor: row for row in rows}
    told = [found[plugin.name] for plugin in monitors]
    note_findings(stores, name, current.run_id, told)
    alerting.tell(feature, stores, version, current.run_id, told, reporter)
    if settings.reports != Reports():
        from flows.alerts import afterwards  # which draws on all that findings are told of by

        afterwards.write(settings, name, number, reporter)
    return told


def note_findings(stores: Stores, feature: str, run_id: str, found: Sequence[FindingRow]) -> None:
    """Put what monitors say of a run into its log, if that is there."""
    log = stores.logs.reopen(feature, run_id)
    for row in found:
        said = {"monitor": row.monitor, "verdict": row.verdict, "summary": redact(row.summary)}
        log.write("finding", said, last=True)
    log.close()


def checked(
    stores: Stores, version: Version, run_id: str, monitors: Sequence[Monitor]
) -> dict[str, FindingRow]:
    """What was found by those of the monitors that look before a run is published, by name."""
    return _found(stores, version, run_id, [m for m in monitors if m.blocks == "publishing"])


def _found(
    stores: Stores, version: Version, run_id: str, monitors: Sequence[Monitor]
) -> dict[str, FindingRow]:
    names = [plugin.name for plugin in monitors]
    return {row.monitor: row for row in findings(stores.catalog, version, run_id, names)}


def look(  # noqa: PLR0913 - what `monitor` knows, and the check before a run is published
    feature: Feature,
    stores: Stores,
    version: Version,
    manifests: Sequence[Manifest],
    current: Manifest,
    monitors: Sequence[Monitor],
    reporter: Reporter,
    *,
    profile: Profile | None = None,
    settings: Settings | None = None,
) -> list[FindingRow]:
    """What these monitors say of a run, published or about to be; nothing is kept.

    Where one of the feature's monitors reads canaries, these are encoded again, and it is asked
    first, whether it is one of these or looks before or after them: what the others say of the data
    must not be what the encoder has done (`flows.monitoring.judging`).

    Args:
        feature: the feature.
        stores: its store.
        version: the version that the run wrote to.
        manifests: what was published of it, oldest first.
        current: the run; its rows are read at its ``lance_version``.
        monitors: the monitors.
        reporter: told of progress.
        profile: of the run's records, where it is not published yet.
        settings: the configuration, for where the project lies and how long its encoder may take.

    Raises:
        MonitorError: if the reference is not there any more.
    """
    reference = reference_of(feature, version, manifests, current)
    if reference is not None and reference.told == references.OWN:
        reporter.note(f"{feature.name}: v{version.version} is held against {reference.told}")
    earlier = _looked_before(stores, version, current)
    asked = [*monitors, *_of_encoder_too(feature, settings, monitors, earlier)]
    reporter.stage(feature.name, "monitor", None)  # a number would be taken for one of records
    rng = np.random.default_rng(seed(current.run_id))
    samples = Samples.for_(stores, version, asked)
    ours, theirs = samples.pair(reference, current, rng)
    if "records" in samples.reads:
        before, now = profiles.pair(stores, version, manifests, reference, current, profile)
        ours, theirs = replace(ours, records=before), replace(theirs, records=now)
    if "lying" in samples.reads:
        policy = Gc() if settings is None else settings.gc
        theirs = replace(theirs, lying=lying(stores, version, manifests, policy, feature))
    told = None
    if "canaries" in samples.reads:
        told = canaries.encoded(feature, stores, version, settings, reporter)
    absent = absent_of(feature, version, manifests, current)
    judge = Judge(reference, ours, theirs, told, earlier, current.run_id, absent)
    rows = {}
    for plugin in sorted(asked, key=Judge.place):
        own = np.random.default_rng(seed(f"{current.run_id} {plugin.name}"))
        rows[plugin.name] = judge.row(plugin, own)
    if version.state is not None and reference and references.learned_from(reference, manifests):
        rows = {plugin.name: _doubted(plugin, rows[plugin.name]) for plugin in monitors}
    return [rows[plugin.name] for plugin in monitors]


def _doubted(plugin: Monitor, row: FindingRow) -> FindingRow:
    """What a test of vectors says against what the encoder learned from: no alarm.

    Its p-value is too small whatever the data do, by as much as the encoder fits what it learned
    from better than the rest, which nobody can tell without fitting it again.
    """
    if row.p_value is None or not of_vectors(plugin.kind) or row.reference in {ANEW, None}:
        return row
    row = replace(row, reference=f"{row.reference}{references.LEARNED}")
    if row.verdict != "alarm":
        return row
    doubt = (
        "; no alarm: the encoder learned from the reference, which "
        'reference = "previous" soon leaves out'
    )
    return replace(row, verdict="watch", alone="alarm", summary=row.summary + doubt)


def _of_encoder_too(
    feature: Feature,
    settings: Settings | None,
    monitors: Sequence[Monitor],
    earlier: frozenset[str],
) -> list[Monitor]:
    """The feature's monitors of its encoder that are not asked, and whose word others need.

    One that blocks something else looks at another moment of the run. Those that saw no change in
    the run before have nothing to say.
    """
    if not any(of_vectors(plugin.kind) and not Judge.of_encoder(plugin) for plugin in monitors):
        return []
    defaults = () if settings is None else settings.default_monitors
    names = {plugin.name for plugin in monitors} | earlier
    every = feature.monitors or defaults
    return [one for one in every if Judge.of_encoder(one) and one.name not in names]


def last_look(
    stores: Stores, name: str, number: int | None
) -> tuple[Version, list[Manifest], Manifest]:
    """The version to look at (the live one for None), its manifests, and the run to look at.

    Raises:
        MonitorError: if the version is not there, or has no rows yet.
    """
    version = _version(stores, name, number)
    manifests = stores.catalog.manifests(version)
    return version, manifests, _current(version, manifests)


def reference_of(
    feature: Feature, version: Version, manifests: Sequence[Manifest], current: Manifest
) -> Reference | None:
    """What a run of a version is held against; None where nothing stood before it.

    Raises:
        MonitorError: if it is not there any more.
    """
    try:
        reference = references.find(feature.reference, manifests, current)
    except LookupError as error:
        raise MonitorError(f"[features.{feature.name}] {error.args[0]}") from error
    if reference is None:
        return None
    if version.state is not None:
        reference = references.since_fit(reference, manifests, current)
    if feature.reference == "live" and version.standing != "live":
        return replace(reference, told=references.OWN)
    return reference


def absent_of(
    feature: Feature, version: Version, manifests: Sequence[Manifest], current: Manifest
) -> Absent | None:
    """Why a run that is not the first is held against nothing; None where it is, or is the first.

    Raises:
        MonitorError: as `reference_of`.
    """
    if reference_of(feature, version, manifests, current) is not None:
        return None
    return references.absent(feature.reference, manifests, current)


def _version(stores: Stores, name: str, number: int | None) -> Version:
    versions = stores.catalog.versions(name)
    for version in versions:
        if version.version == number or (number is None and version.standing == "live"):
            return version
    if number is None:
        raise MonitorError(f"{name} has no live version yet; run `vecmill run {name}` first")
    known = ", ".join(f"v{v.version}" for v in versions) or "none"
    raise MonitorError(f"{name} has no version v{number}; there are: {known}")


def _current(version: Version, manifests: Sequence[Manifest]) -> Manifest:
    """The last run that wrote vectors, at a state that can be read."""
    wrote = [m for m in manifests if m.counts.written]
    if not wrote:
        raise MonitorError(f"{version.table} has no rows yet; there is nothing to monitor")
    readable = [m for m in manifests if m.forgotten_at is None]
    if wrote[-1].forgotten_at is not None and readable:
        # Its state was cleaned away; what it wrote and still stands is in the published one.
        return replace(wrote[-1], lance_version=readable[-1].lance_version)
    return wrote[-1]


def _looked_before(stores: Stores, version: Version, current: Manifest) -> frozenset[str]:
    """The monitors that saw no change of the encoder when they looked at this very run before."""
    found = stores.catalog.query(
        "SELECT monitor FROM findings WHERE feature = ? AND version = ? AND run_id = ? "
        "AND (verdict = 'quiet' OR json_extract(detail, '$.after_run') IS NOT NULL)",
        *(version.feature, version.version, current.run_id),
    )
    return frozenset(found.column("monitor").to_pylist())
