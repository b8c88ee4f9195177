"""A report on a feature: what the catalog and the store say of it, gathered into plain values.

Nothing is computed anew but where records lie on the map: what monitors found is read as they left
it, so that a report and the findings never say two things.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows.config.stores import Stores
from flows.monitors import base
from flows.monitors.base import Part
from flows.output.redact import redacted
from flows.reports.changes import changes, facts
from flows.reports.gallery import gallery
from flows.reports.map import places
from flows.reports.model import Look, Ran, Report, Watched
from flows.reports.steps import commands, states
from flows.reports.verdict import Standing, by_severity, conclude, unpublished
from storage.entries import code_version
from storage.model import UsageError
from storage.standings import no_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.config.settings import Settings
    from flows.output.progress import Reporter
    from storage.model import Manifest, Version

LOOKS = 120
"""Looks of a monitor that a report shows, at most: the newest."""

_RUNS = 30
_FINDINGS = """
SELECT f.*, m.published_at, m.lance_version
FROM findings f LEFT JOIN manifests m ON m.run_id = f.run_id
WHERE f.feature = ? AND f.version = ?
ORDER BY f.monitor, m.lance_version NULLS LAST, f.found_at, f.run_id
"""
_RAN = """
SELECT r.*, m.rows FROM runs r LEFT JOIN manifests m USING (run_id)
WHERE r.feature = $1 AND ($2 IS NULL OR r.version IS NULL OR r.version = $2)
ORDER BY r.started_at DESC, r.run_id DESC LIMIT $3
"""


def collect(
    settings: Settings,
    name: str,
    reporter: Reporter,
    number: int | None = None,
    *,
    pictures: bool = True,
) -> Report:
    """Gather what there is to say of a feature.

    Equal states of the store give equal reports but for ``made_at``. No secret of the configuration
    is in it.

    Args:
        settings: the configuration; the feature may be in the catalog alone.
        name: the feature.
        reporter: told of progress.
        number: the version; without it the live one, or else the newest.
        pictures: whether to read records, for the map and the gallery.

    Raises:
        UsageError: if there is no such version.
        SettingsError: if there is no such feature.
    """
    stores = Stores.of(settings, reporter)
    version = _version(settings, stores, name, number)
    runs = _runs(stores, name, version)
    if version is None:
        empty = unpublished(name, runs)
        return redacted(Report(name, None, None, _now(), code_version(), empty, runs=runs))
    findings = _findings(settings, stores, version)
    manifests = stores.catalog.manifests(version)
    missing = _missing(settings, name, findings)
    standing = _standing(settings, stores, version, manifests, missing, runs)
    nothing = standing.published is None and version.dropped_at is None and not findings
    found = Report(
        *(name, version.version, version.standing, _now(), code_version()),
        conclusion=unpublished(name, runs) if nothing else conclude(standing, findings),
        facts=facts(stores, version, standing.published),
        findings=findings,
        missing=missing,
        runs=runs,
        changes=changes(stores, version),
        commands=commands(version, findings),
        states=states(version, manifests, findings),
    )
    if pictures:
        found = _with_pictures(settings, stores, version, manifests, found, reporter)
    return redacted(found)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _version(settings: Settings, stores: Stores, name: str, number: int | None) -> Version | None:
    versions = stores.catalog.versions(name)
    if not versions:
        settings.feature(name)
    if number is None:
        live = next((v for v in versions if v.standing == "live"), None)
        return live or (versions[-1] if versions else None)
    found = next((v for v in versions if v.version == number), None)
    if found is None:
        raise UsageError(no_version(name, number, [v.version for v in versions]))
    return found


def _findings(settings: Settings, stores: Stores, version: Version) -> tuple[Watched, ...]:
    key = (version.feature, version.version)
    rows: list[dict[str, Any]] = stores.catalog.query(_FINDINGS, *key).to_pylist()
    by_monitor: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_monitor.setdefault(row["monitor"], []).append(row)
    # What was taken out of the configuration looked at none of the later runs.
    last = max((row["run_id"] for row in rows if row["published_at"] is not None), default="")
    looking = [looks for looks in by_monitor.values() if max(r["run_id"] for r in looks) >= last]
    counts = _counts(settings, version.feature)
    found = [_watched(looks, counts.get(looks[0]["monitor"])) for looks in looking]
    return tuple(by_severity(found))


def _counts(settings: Settings, name: str) -> dict[str, str | None]:
    """Of what each monitor's statistic is a number; those not configured any more go by name."""
    feature = settings.features.get(name)
    own = (feature.monitors if feature else ()) or settings.default_monitors
    kinds = {kind: kind for kind in base.kinds()} | {monitor.name: monitor.kind for monitor in own}
    return {monitor: base.counts(kind) for monitor, kind in kinds.items()}


def _watched(rows: Sequence[Mapping[str, Any]], counts: str | None) -> Watched:
    last = max(range(len(rows)), key=lambda place: rows[place]["found_at"])
    row, looks = rows[last], [_look(row) for row in rows]
    return Watched(
        monitor=row["monitor"],
        verdict=row["verdict"],
        summary=row["summary"],
        blocks=row["blocks"] or "promotion",
        reference=row["reference"],
        reference_run=row["reference_run"],
        now=looks[last],
        detail=json.loads(row["detail"] or "{}"),
        parts=tuple(_part(part) for part in json.loads(row["parts"] or "[]")),
        record_ids=tuple(row["record_ids"] or ()),
        looks=tuple(looks[-LOOKS:]),
        counts=counts,
    )


def _part(row: Mapping[str, Any]) -> Part:
    figures, ids = dict(row.get("figures") or {}), tuple(row.get("record_ids") or ())
    return Part(row["kind"], row["name"], row["verdict"], row["summary"], figures, ids)


def _look(row: Mapping[str, Any]) -> Look:
    at = (row["published_at"] or row["found_at"]).astimezone(UTC)
    series = {k: v for k, v in json.loads(row["series"] or "{}").items() if v is not None}
    return Look(
        *(row["run_id"], at, row["verdict"], row["alone"] or row["verdict"], row["statistic"]),
        *(row["threshold"], row["p_value"], row["effect_size"], row["n_reference"]),
        *(row["n_current"], series),
    )


def _runs(stores: Stores, name: str, version: Version | None) -> tuple[Ran, ...]:
    number = None if version is None else version.version
    rows = stores.catalog.query(_RAN, name, number, _RUNS).to_pylist()
    names = Ran.__dataclass_fields__
    return tuple(
        Ran(**{key: row[key] for key in names} | {"started_at": row["started_at"].astimezone(UTC)})
        for row in rows
    )


def _missing(settings: Settings, name: str, findings: Sequence[Watched]) -> tuple[str, ...]:
    feature = settings.features.get(name)
    if feature is None:
        return ()
    looked = {w.monitor for w in findings}
    configured = feature.monitors or settings.default_monitors
    return tuple(monitor.name for monitor in configured if monitor.name not in looked)


def _standing(
    settings: Settings,
    stores: Stores,
    version: Version,
    manifests: Sequence[Manifest],
    missing: Sequence[str],
    runs: Sequence[Ran],
) -> Standing:
    live, feature = stores.catalog.live(version.feature), settings.features.get(version.feature)
    return Standing(
        version,
        live=None if live is None else live.version,
        published=stores.catalog.published(version),
        heeded=feature is None or feature.gates.no_alarms,
        missing=missing,
        runs=runs,
        wrote=[m.run_id for m in manifests if m.counts.new or m.counts.changed],
    )


def _with_pictures(
    settings: Settings,
    stores: Stores,
    version: Version,
    manifests: Sequence[Manifest],
    report: Report,
    reporter: Reporter,
) -> Report:
    """The report with its map and gallery, and what is left out of them."""
    left: list[str] = []
    reporter.stage(version.feature, "map", None)
    drawn = places(settings, stores, version, manifests, report.findings, left)
    reporter.stage(version.feature, "records", None)
    cards = gallery(settings, stores, version, report.findings, left)
    return replace(report, places=drawn, gallery=cards, left_out=tuple(left))
