"""Findings in the light of the looks before them: what their series makes of each."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from flows.monitoring import references, series
from flows.monitoring.judging import ANEW
from flows.monitoring.series import Look
from flows.monitors.base import BROKEN
from storage.ids import hash_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.config.settings import Feature, Monitor
    from flows.monitoring.references import Reference
    from flows.monitoring.series import Standing
    from flows.monitors.base import Verdict
    from storage.catalog import Catalog
    from storage.model import FindingRow, Manifest, PastLook, Version

USUAL_ALPHA = 0.01
"""Of monitors that have a p-value and no parameter of that name."""

_BESIDE = ("max_ids", "permutations", "most_permutations")
"""Parameters that change nothing of what a p-value says; a series goes on where they do."""

_BY_LIMITS = "by_limits"
"""Kept with an alarm of limits alone, which tells nothing of chance and so ends no series."""


def in_series(
    feature: Feature,
    catalog: Catalog,
    version: Version,
    manifests: Sequence[Manifest],
    current: Manifest,
    monitors: Sequence[Monitor],
    rows: Sequence[FindingRow],
) -> list[FindingRow]:
    """What these findings are worth after those of earlier runs; nothing is kept.

    A series is the looks of one monitor at one version since its last alarm, as long as neither
    the monitor, nor the reference, nor the budget is configured otherwise. A run that is looked at
    again is left out of what came before, so that no look counts twice. A finding without a p-value
    belongs to no series and stays as it is, and so does one that is judged apart from a change of
    the encoder, or against what the encoder learned from.

    Args:
        feature: whose ``false_alarms`` is the budget of each series.
        catalog: where the earlier findings are.
        version: the version looked at.
        manifests: what was published of it, oldest first.
        current: the run that was looked at, published or about to be.
        monitors: the monitors whose findings these are, in their order.
        rows: the findings.
    """
    past = catalog.looks(version, before=current.run_id)
    reference = references.find(feature.reference, manifests, current)
    told = []
    for plugin, row in zip(monitors, rows, strict=True):
        reference_told = row.reference or ""
        if (
            row.p_value is None
            or reference_told == ANEW
            or reference_told.endswith(references.LEARNED)
        ):
            told.append(row)
            continue
        key = _key(feature, plugin, reference, row.reference == references.SINCE_FIT)
        own = _since_alarm([look for look in past if look.monitor == plugin.name], key)
        independent = _independent(reference, manifests, own, current)
        told.append(_carried(feature, plugin, own, row, key, current, independent=independent))
    return told


def alpha_of(plugin: Monitor) -> float:
    """The share of looks without a change that a monitor by itself may raise an alarm at."""
    return float(getattr(plugin.params, "alpha", USUAL_ALPHA))


def _key(
    feature: Feature,
    plugin: Monitor,
    reference: Reference | None,
    since_fit: bool,  # noqa: FBT001 - as of the finding
) -> str:
    """What identifies a series, beside the monitor's name and the version."""
    fixed = reference is not None and reference.runs is None and not reference.grows
    parts = {
        "kind": plugin.kind,
        "params": {k: v for k, v in asdict(plugin.params).items() if k not in _BESIDE},
        "reference": feature.reference,
        "since_fit": since_fit,
        "run": reference.manifest.run_id if reference is not None and fixed else None,
        "budget": feature.false_alarms,
    }
    return hash_text(json.dumps(parts, sort_keys=True, default=str))


def _since_alarm(looks: Sequence[PastLook], key: str) -> list[PastLook]:
    """The looks of the series that the next one belongs to, oldest first."""
    found: list[PastLook] = []
    for look in reversed(looks):
        if look.p_value is None:
            continue  # of limits alone too, where no check could be made beside them
        if look.verdict == "alarm" and not look.series.get(_BY_LIMITS):
            break
        if not look.series:
            continue
        if look.series["key"] != key:
            break
        found.append(look)
    return found[::-1]


def _independent(
    reference: Reference | None,
    manifests: Sequence[Manifest],
    past: Sequence[PastLook],
    current: Manifest,
) -> bool:
    """Whether each look held new rows against all that the looks before it were about.

    Only then does a later p-value not depend on which rows came in which of the earlier runs. A row
    that was changed or removed in between is missing from what came before, and a run that was
    looked at and published nothing comes again.
    """
    if reference is None or not reference.grows:
        return False
    if not past:
        return True
    runs = [m.run_id for m in manifests]
    if not {look.run_id for look in past} <= set(runs):
        return False
    end = runs.index(current.run_id) if current.run_id in runs else len(runs)
    between = manifests[runs.index(past[0].run_id) : end]
    shrunk = any(b.rows < a.rows for a, b in pairwise(between))
    return not shrunk and not any(
        m.kind == "erase" or m.counts.changed or m.counts.deleted for m in between
    )


def _look(plugin: Monitor, verdict: str, p_value: float | None, effect: float | None) -> Look:
    """A look as it counts: a change below ``min_effect`` is none, however sure it is."""
    least = getattr(plugin.params, "min_effect", 0.0)
    small = p_value is None or (effect is not None and effect < least)
    return Look(1.0 if small or p_value is None else p_value, verdict != "cannot tell")


def _carried(
    feature: Feature,
    plugin: Monitor,
    past: Sequence[PastLook],
    row: FindingRow,
    key: str,
    current: Manifest,
    *,
    independent: bool,
) -> FindingRow:
    looks = [_look(plugin, look.alone, look.p_value, look.effect_size) for look in past]
    looks.append(_look(plugin, row.verdict, row.p_value, row.effect_size))
    standing = series.stand(looks, feature.false_alarms, independent=independent)
    verdict = series.verdict(cast("Verdict", row.verdict), looks[-1], standing)
    broken = bool(row.detail.get(BROKEN))
    by_limits = verdict == "watch" and broken
    alpha = alpha_of(plugin)
    since = past[0].run_id if past else current.run_id
    p_values = [*(look.p_value for look in past), row.p_value]
    kept: dict[str, float | str] = {
        "key": key,
        "since": since,
        "looks": float(len(looks)),
        "budget": feature.false_alarms,
        "level": standing.level,
        "spent": standing.spent,
        "alpha": alpha,
        "low": float(sum(p is not None and p <= alpha for p in p_values)),
        "expected": len(looks) * alpha,
    }
    if standing.e_value is not None and standing.enough is not None:
        kept |= {"e_value": standing.e_value, "enough": standing.enough}
    summary = row.summary
    if by_limits:
        verdict, kept = "alarm", kept | {_BY_LIMITS: 1.0}
    if standing.lasting and (row.verdict != "alarm" or looks[-1].p_value > standing.level):
        summary = _together(standing, since, row.summary, broken=broken)
    elif verdict == "watch":
        more = series.ahead(looks, feature.false_alarms, independent=independent)
        summary = _watched(standing, alpha, more, row.summary)
    summary += _floor(plugin, row, standing)
    return replace(row, verdict=verdict, alone=row.verdict, summary=summary, series=kept)


def _together(standing: Standing, since: str, summary: str, *, broken: bool) -> str:
    together = f"the {standing.looks} looks since {series.day(since)} together are an alarm"
    if broken:  # which is an alarm by itself
        return f"{summary}; and besides, {together}"
    return f"{together}, which this one alone is not; this look: {summary}"


def _watched(standing: Standing, alpha: float, more: int | None, summary: str) -> str:
    ahead = "" if more is None else f", or {more} more such look{'' if more == 1 else 's'} in a row"
    return (
        f"{summary}; an alarm by itself, but one such among {standing.looks} looks comes by chance "
        f"in {series.chance(standing.looks, alpha):.0%} of series: by now it takes p ≤ "
        f"{standing.level:.2g}{ahead}"
    )


def _floor(plugin: Monitor, row: FindingRow, standing: Standing) -> str:
    """Said where no p-value that the monitor can give is small enough any more."""
    least = row.detail.get("least_p", 0.0)
    if row.verdict == "cannot tell" or least <= standing.level:
        return ""
    lasting = "" if standing.e_value is None else ", if not several in a row"
    permuted = any(hasattr(plugin.params, key) for key in ("permutations", "most_permutations"))
    remedy = "raise permutations" if permuted else "that takes more reference records"
    return (
        f"; after {standing.looks - 1} looks one is an alarm at p ≤ {standing.level:.2g}, and no "
        f"p-value below {least:.2g} is possible, so no single look can be one{lasting}: {remedy}"
    )
