"""What a two-sample test found, as a finding: its verdict, and its summary in words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _rows, _told
from flows.monitors.base import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.monitors._two_sample import Params, Result, Sides
    from flows.monitors.base import Part, Verdict


def finding(monitor: str, result: Result, sides: Sides, params: Params) -> Finding:
    """Word what a test found."""
    verdict = _verdict(result, sides, params)
    parts = _parts(result, verdict)
    strangest = np.argsort(-result.strangeness, kind="stable")[: params.max_ids]
    known = {name: value for name, value in result.figures.items() if value is not None}
    return Finding(
        monitor=monitor,
        verdict=verdict,
        summary=_summary(result, verdict, parts, sides, params),
        statistic=result.evidence.statistic,
        threshold=result.evidence.threshold,
        p_value=result.evidence.p_value,
        effect_size=result.effect,
        n_reference=sides.n,
        n_current=sides.m,
        record_ids=tuple(_rows.ids_at(sides.ids, strangest)) if verdict == "alarm" else (),
        detail=sides.left_out
        | {"least_p": result.evidence.least_p, "permutations": float(result.evidence.permutations)}
        | known,
        parts=parts,
    )


def _parts(result: Result, verdict: Verdict) -> tuple[Part, ...]:
    """None where the whole cannot tell; and none is an alarm unless the whole is one."""
    if verdict == "cannot tell":
        return ()
    if verdict == "alarm":
        return result.explain() if result.explain else result.parts
    return tuple(
        replace(part, verdict="quiet", record_ids=()) if part.verdict == "alarm" else part
        for part in result.parts
    )


def told_shift(shift: float | None) -> str:
    """A shift of the mean in words; None where the reference has no spread."""
    if shift is None:
        return "away from a reference without spread"
    if not shift:
        return "the shape, and not the mean"
    return f"the mean by {_deviations(shift)}"


def _deviations(count: float) -> str:
    return f"{count:.2g} standard deviations"


def _verdict(result: Result, sides: Sides, params: Params) -> Verdict:
    evidence = result.evidence
    if min(sides.sizes) < params.min_rows or evidence.least_p > params.alpha:
        return "cannot tell"
    certain = evidence.p_value <= params.alpha and result.effect >= params.min_effect
    return "alarm" if certain else "quiet"


def _sight(result: Result) -> str:
    if "smallest_visible" not in result.figures:
        return ""
    visible = result.figures["smallest_visible"]
    if visible is None:
        return "; no mean shift could be relied on to show"
    return f"; a mean shift of {_deviations(visible)} would show"


def too_few(n: int, m: int, params: Params) -> str:
    """That more contents are needed."""
    return f"{_told.sizes(n, m)}, and {params.min_rows} a side are needed"


def clearest(parts: Sequence[Part]) -> str:
    """Of the clusters, the kept values and the words that moved the clearest each, in words."""
    told = []
    for kind in ("cluster", "slice", "word"):
        moved = [p for p in parts if p.kind == kind and p.verdict == "alarm"]
        if moved:
            figures = moved[0].figures
            shares = _told.moved(figures["share_reference"], figures["share_current"])
            word = "the word " if kind == "word" else ""
            told.append(f"{word}{_told.sliced(moved[0].name)} {shares}")
    return ", ".join(told)


def _summary(
    result: Result, verdict: Verdict, parts: Sequence[Part], sides: Sides, params: Params
) -> str:
    evidence, compared = result.evidence, _told.sizes(sides.n, sides.m)
    by = f"({_told.p_value(evidence.p_value)}, {compared})"
    if verdict == "alarm":
        return f"the distribution moved: {clearest(parts) or result.told} {by}"
    if verdict == "quiet" and evidence.p_value <= params.alpha:
        return f"too small a change to matter, by min_effect: {result.told} {by}"
    if verdict == "quiet":
        return f"no change seen{_sight(result)} {by}"
    if min(sides.sizes) < params.min_rows:
        return f"{too_few(sides.n, sides.m, params)}{_sight(result)}"
    return (
        f"{compared} give no p-value below {evidence.least_p:.2g}, and alpha is {params.alpha:g}; "
        f"raise permutations or give more contents{_sight(result)}"
    )
