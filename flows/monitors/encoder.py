"""Encoder: whether the same contents still get the vectors that they were given first.

A few contents, the canaries, are encoded again at each look. Nothing is drawn and nothing estimated
here: an encoder that gives one of them another vector, by more than arithmetic on another machine
can explain, has changed, and its new vectors must not be mixed with the old ones. Whether they
could be had from the old ones by a rotation, a shift and a scale (Procrustes; Schönemann 1966)
tells an encoder whose axes are others from one that sees other things, as do linear CKA (Kornblith
et al. 2019) and the share of nearest neighbours that both have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.lifecycle import similarity
from flows.monitors import _rows
from flows.monitors._ranges import at_least
from flows.monitors.base import Finding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors.base import Sample, Verdict

BY_DEFAULT = True
READS = {"canaries"}

_NEIGHBOURS = 10


@dataclass(frozen=True)
class Params:
    """How a change of the encoder is told from rounding.

    Attributes:
        tolerance: the distance between a canary's two vectors, as a share of the length of the
            first, up to which they are the same: 0.02 is a cosine of 0.9998.
        min_rows: with fewer canaries the verdict is ``cannot tell``.
    """

    tolerance: float = 0.02
    min_rows: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1:
            raise ValueError(
                f"tolerance must lie between 0 and 1, got {self.tolerance}; 0.02 is beyond rounding"
            )
        at_least(self, min_rows=1)


def compare(
    reference: Sample,
    current: Sample,
    rng: np.random.Generator,
    params: Params,
) -> Finding:
    """Hold the canaries as encoded now against them as encoded first.

    ``statistic`` is the largest relative deviation of a canary and ``threshold`` the tolerance: any
    canary beyond it is an alarm. ``effect_size`` is the median relative deviation. There is no
    p-value: nothing is left to chance. ``detail`` holds ``changed``, how many canaries are beyond
    the tolerance, ``failed``, how many have no finite vector any more, and, of those beyond it,
    where they are enough and vary, ``residual``, what no rotation, shift and scale brings together
    (0 to 1), ``cka`` and ``overlap``. ``n_reference`` and ``n_current`` are the canaries.

    Raises:
        ValueError: if the samples differ in width, or hold different numbers of canaries.
    """
    before, now = reference.canaries, current.canaries
    if before is None or now is None or len(before) < params.min_rows:
        return _untold(before, now, params)
    if before.shape != now.shape:
        raise ValueError(
            f"the canaries of the reference have the shape {before.shape} and the current ones "
            f"{now.shape}; row by row they must be the same contents"
        )
    sound = _rows.finite(before) & _rows.finite(now)
    deviations = _deviations(before[sound], now[sound])
    beyond = np.flatnonzero(sound)[deviations > params.tolerance]
    failed = int(len(sound) - sound.sum())
    changed = failed + len(beyond)
    largest = float(deviations.max(initial=0.0))
    median = float(np.median(deviations)) if len(deviations) else 0.0
    figures = {"changed": float(changed), "failed": float(failed)}
    if changed:
        figures |= _alike(before[beyond], now[beyond], rng)
    verdict: Verdict = "alarm" if changed else "quiet"
    summary = (
        _told_change(figures, median, len(before), params)
        if changed
        else f"the encoder is the same: {len(before):,} canaries have the vectors that they had"
    )
    return Finding(
        "encoder", verdict, summary, largest, params.tolerance, None, median,
        len(before), len(now), (), figures,
    )  # fmt: skip


def _untold(
    before: NDArray[np.float32] | None, now: NDArray[np.float32] | None, params: Params
) -> Finding:
    n = 0 if before is None else len(before)
    if before is None:
        why = "the version has no canaries; the next run that encodes anything chooses some"
    elif now is None:
        why = f"the {n:,} canaries could not be encoded again"
    else:
        why = f"{n:,} canaries are left, {params.min_rows} are needed"
    m = 0 if now is None else len(now)
    return Finding(
        "encoder", "cannot tell", why, None, None, None, None, n, m
    )  # fmt: skip


def _deviations(before: NDArray[np.float32], now: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far each row has moved, as a share of its length before; of a zero row, of the mean one.

    Args:
        before: ``(n, dim)``, finite.
        now: ``(n, dim)``, finite.

    Returns:
        ``(n,)`` float64; 1 at most where all rows before are zero.
    """
    moved = np.linalg.norm(now.astype(np.float64) - before, axis=1)
    lengths = _rows.norms(before)
    usual = float(lengths.mean()) if len(lengths) else 0.0
    scale = np.where(lengths > 0, lengths, usual if usual > 0 else 1.0)
    relative: NDArray[np.float64] = moved / scale
    return relative


def _alike(
    before: NDArray[np.float32], now: NDArray[np.float32], rng: np.random.Generator
) -> dict[str, float]:
    """How much of the geometry is left; nothing where too few rows vary to say."""
    n = len(before)
    if n < 3:  # noqa: PLR2004 - two points have no geometry but their distance
        return {}
    cka, residual = similarity.cka(before, now), similarity.procrustes(before, now, rng)
    if cka is None or residual is None:
        return {}
    depth = min(_NEIGHBOURS, n - 1)
    ranks = [similarity.neighbours(side, "l2", depth) for side in (before, now)]
    shared = float(similarity.overlap(ranks[0], ranks[1], depth).mean())
    return {"residual": residual.value, "cka": cka.value, "overlap": shared}


def _told_change(figures: dict[str, float], median: float, n: int, params: Params) -> str:
    told = f"the encoder changed: {figures['changed']:.0f} of {n:,} canaries have other vectors"
    if figures["failed"]:
        told += f", and it fails on {figures['failed']:.0f} of them"
    if "residual" in figures and figures["residual"] <= params.tolerance**2:
        return (
            f"{told}; the geometry is the same on other axes: new vectors agree among themselves, "
            "but must not be mixed with old ones"
        )
    if median <= params.tolerance:
        return f"{told}; most contents have the vectors that they had: it treats some otherwise"
    if "residual" in figures:
        return f"{told}; it is another space: encode all records again, as a new version"
    return told
