"""Drift: whether current contents come from the distribution that the reference's came from.

Maximum mean discrepancy (Gretton et al. 2012, "A kernel two-sample test") over random Fourier
features, with a permutation p-value: exact at every sample size and for every distribution, ties
included. A quiet answer says how small a shift it could have seen.

A permutation test is exact for rows that could as well have come in any other order. Copies of one
content could not: a batch that brings a text five times brings all five together. So each content
is tested once, on the side of one of its rows, drawn evenly from all of them on both sides. That
draw knows nothing of the vectors, so the level is right for copies within a batch, even if some
kinds of content are copied more; for popular contents that come back in batch after batch; and for
contents published again under new ids, if which ones has nothing to do with their vectors. Keeping
such contents on both sides instead would give the smaller sample a larger share of the popular
ones, which is an alarm without a change, and would hide changes behind those published again.

The price: what is compared is contents, not rows. That some come more often than they used to is
seen only as far as it moves them from one side to the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _rff, _rows
from flows.monitors._power import smallest_visible
from flows.monitors.base import Finding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors.base import Sample, Verdict

# sums of equal numbers in another order differ in the last digits: those are ties
_TIE = 1e-12

BY_DEFAULT = True


@dataclass(frozen=True)
class Params:
    """How drift is looked for.

    Attributes:
        alpha: the share of runs without drift that may raise an alarm.
        permutations: random splits behind the p-value, which is never below 1/(permutations + 1).
        features: random Fourier features, an even number; more come closer to the exact kernel.
        max_rows: contents drawn from each sample.
        min_rows: with fewer contents on either side the verdict is ``cannot tell``.
        min_effect: an MMD below this is no alarm, however sure it is.
        max_ids: how many records a finding names.
    """

    alpha: float = 0.01
    permutations: int = 999
    features: int = 512
    max_rows: int = 2000
    min_rows: int = 20
    min_effect: float = 0.0
    max_ids: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must lie between 0 and 1, got {self.alpha}; 0.01 is usual")
        if self.features < 2 or self.features % 2:  # noqa: PLR2004 - a sine and a cosine
            raise ValueError(f"features must be even and at least 2, got {self.features}; try 512")
        for name, least in (("permutations", 1), ("min_rows", 2), ("max_rows", 2), ("max_ids", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.max_rows < self.min_rows:
            raise ValueError(
                f"max_rows ({self.max_rows}) must not be below min_rows ({self.min_rows}), "
                "or the verdict is always 'cannot tell'"
            )


@dataclass(frozen=True)
class _Test:
    """The outcome of one permutation test; shifts in the reference's total standard deviations."""

    statistic: float
    threshold: float
    p_value: float
    least_p: float
    bandwidth: float
    mean_shift: float | None
    visible: float | None
    witness: NDArray[np.float64]

    @property
    def mmd(self) -> float:
        return math.sqrt(max(self.statistic, 0.0))


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Test whether both samples come from one distribution.

    ``statistic`` is the unbiased estimate of MMD², in kernel units between about 0 and 2, and
    ``threshold`` the largest value that is no alarm; ``effect_size`` is the MMD, its root, 0 where
    the estimate is negative. ``detail`` holds, in units of the reference's total standard
    deviation (the root of the trace of its covariance), ``mean_shift``, less what sampling alone
    gives, and ``smallest_visible``, the mean shift that is seen in 8 of 10 such runs; either is
    missing where it has no meaning. ``n_reference`` and ``n_current`` count contents, each tested
    once; ``repeats_reference`` and ``repeats_current`` are the rows left out for that, and
    ``left_out_reference`` and ``left_out_current`` those that are not finite. ``record_ids`` of an
    alarm are the current records that look least like the reference, by the witness function.

    Raises:
        ValueError: if the samples differ in width.
    """
    _rows.check_widths(reference, current)
    rows = _rows.one_a_content(reference, current, rng)
    left_out = _left_out(reference, current, rows)
    ours, theirs = (_rows.draw(side, params.max_rows, rng) for side in rows)
    n, m = len(ours), len(theirs)
    if min(n, m) < 2:  # noqa: PLR2004 - no spread is known from one row
        summary = (
            f"cannot tell: {_sizes(n, m, left_out)}; {params.min_rows} a side are needed"
            if len(reference)
            else "nothing to compare with yet: this is the first run"
        )
        return Finding("drift", "cannot tell", summary, None, None, None, None, n, m, (), left_out)
    test = _run(reference.vectors[ours], current.vectors[theirs], rng, params)
    verdict = _verdict(test, n, m, params)
    strangest = np.argsort(-test.witness, kind="stable")[: params.max_ids]
    return Finding(
        monitor="drift",
        verdict=verdict,
        summary=_summary(test, verdict, n, m, left_out, params),
        statistic=test.statistic,
        threshold=test.threshold,
        p_value=test.p_value,
        effect_size=test.mmd,
        n_reference=n,
        n_current=m,
        record_ids=tuple(current.record_ids[int(i)] for i in theirs[strangest])
        if verdict == "alarm"
        else (),
        detail=left_out | _figures(test),
    )


def _run(
    reference: NDArray[np.float32],
    current: NDArray[np.float32],
    rng: np.random.Generator,
    params: Params,
) -> _Test:
    n, m = len(reference), len(current)
    pool = np.concatenate([reference, current]).astype(np.float64)
    pool -= pool.mean(axis=0)
    bandwidth = _rff.median_distance(pool, rng)
    frequencies = _rff.frequencies(pool.shape[1], params.features, bandwidth, rng)
    features = _rff.transform(pool, frequencies)
    sums = _rff.split_sums(features, n, params.permutations, rng)
    rest = features.sum(axis=0) - sums
    statistics = _rff.mmd2(sums, rest, n, m)
    observed, permuted = float(statistics[0]), statistics[1:]
    threshold = _critical_value(permuted, params.alpha)
    least_p = max(1 / (1 + params.permutations), (1 + (n == m)) / math.comb(n + m, n))
    spread = _total_sd(pool[:n])
    visible = None
    if spread > 0 and least_p <= params.alpha:
        planted = (sums[1:], rest[1:])
        visible = smallest_visible(pool[:n], spread, frequencies, planted, (n, m), threshold)
    return _Test(
        statistic=observed,
        threshold=threshold,
        p_value=float((1 + np.sum(permuted >= observed - _TIE)) / (1 + params.permutations)),
        least_p=least_p,
        bandwidth=bandwidth,
        mean_shift=_mean_shift(pool[:n], pool[n:]) / spread if spread > 0 else None,
        visible=visible,
        witness=(features[n:] @ (rest[0] / m - sums[0] / n).conj()).real,
    )


def _critical_value(permuted: NDArray[np.float64], alpha: float) -> float:
    """The value that a statistic must exceed to have a p-value of at most alpha.

    It is the k-th largest permuted one, where k ranks in 1 + len(permuted) make up alpha. Where
    not even one does, nothing is an alarm and the largest is returned.
    """
    ranks = max(1, math.floor(alpha * (1 + len(permuted)) + 1e-9))
    return float(np.partition(permuted, -ranks)[-ranks])


def _total_sd(rows: NDArray[np.float64]) -> float:
    """The root of the trace of the covariance; exactly 0 for equal rows, whatever rounding says."""
    if (rows == rows[0]).all():
        return 0.0
    return math.sqrt(float(rows.var(axis=0, ddof=1).sum()))


def _mean_shift(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """The distance of the means, less what two samples of one distribution would show."""
    squared = float(((current.mean(axis=0) - reference.mean(axis=0)) ** 2).sum())
    noise = sum(float(s.var(axis=0, ddof=1).sum()) / len(s) for s in (reference, current))
    return math.sqrt(max(squared - noise, 0.0))


def _verdict(test: _Test, n: int, m: int, params: Params) -> Verdict:
    if min(n, m) < params.min_rows or test.least_p > params.alpha:
        return "cannot tell"
    certain = test.p_value <= params.alpha and test.mmd >= params.min_effect
    return "alarm" if certain else "quiet"


def _figures(test: _Test) -> dict[str, float]:
    figures = {
        "bandwidth": test.bandwidth,
        "least_p": test.least_p,
        "mean_shift": test.mean_shift,
        "smallest_visible": test.visible,
    }
    return {name: value for name, value in figures.items() if value is not None}


def _left_out(
    reference: Sample, current: Sample, rows: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> dict[str, float]:
    """How many rows are not tested: those that are not finite, and those that repeat a content."""
    figures = {}
    for name, sample, kept in zip(
        ("reference", "current"), (reference, current), rows, strict=True
    ):
        sound = int(_rows.finite(sample.vectors).sum())
        figures[f"left_out_{name}"] = float(len(sample) - sound)
        figures[f"repeats_{name}"] = float(sound - len(kept))
    return figures


def _sizes(n: int, m: int, left_out: dict[str, float]) -> str:
    repeats = int(left_out["repeats_reference"] + left_out["repeats_current"])
    less = f", each once ({repeats:,} repeats left out)" if repeats else ""
    return f"{n:,} reference and {m:,} current contents{less}"


def _summary(
    test: _Test, verdict: Verdict, n: int, m: int, left_out: dict[str, float], params: Params
) -> str:
    if test.visible is None:
        sight = "no mean shift could be relied on to show at this size"
    else:
        sight = f"smallest mean shift visible at this size is {test.visible:.2g} of that"
    moved = "no spread" if test.mean_shift is None else f"{test.mean_shift:.2g}"
    measured = (
        f"p = {test.p_value:.2g} from {params.permutations} permutations, MMD {test.mmd:.3g}, "
        f"mean shift {moved} of the reference's standard deviation, {sight}; "
        f"{_sizes(n, m, left_out)}"
    )
    if verdict == "alarm":
        return f"the distribution has changed: {measured}"
    if verdict == "quiet":
        return f"no change seen: {measured}"
    if min(n, m) < params.min_rows:
        return f"cannot tell: at least {params.min_rows} contents a side are needed; {measured}"
    return (
        f"cannot tell: no p-value below {test.least_p:.2g} is possible and alpha is "
        f"{params.alpha:g}; raise permutations or give more contents; {measured}"
    )
