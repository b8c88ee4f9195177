"""How often monitors are wrong where nothing has changed, measured on rows that are at hand.

Rows of one and the same sample are split at random, again and again, in the sizes of a real look:
whatever a monitor sees between the two halves is chance. A monitor that promises alpha says so in
that share of the splits. This finds p-values that rest on a law that the rows do not follow, and
rows that are not what a monitor takes them for, such as the chunks of one record, which come
together in real runs and so stay together here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import flows.monitors.base
from flows.monitoring.in_series import alpha_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from flows.config.settings import Monitor
    from flows.monitors.base import Sample

CONFIDENCE = 0.99
"""Of the interval: of ten monitors that keep their promises, hardly one is to be told of."""

_TIMES = 5
"""A promise is said to be kept where the true rate is at most so many times what was promised."""


@dataclass(frozen=True)
class Rate:
    """A monitor's measured null rate.

    Attributes:
        looks: how many splits it had a p-value for.
        flagged: how many of those had one of at most ``alpha``.
        share: flagged of all; None where there were no looks.
        low: the least true rate that goes with that, by `CONFIDENCE`.
        high: the greatest.
        alpha: the rate that it promises.
        inside: whether ``low <= alpha <= high``; None as `share`, and where that tells too little.
        told: what that means.
    """

    monitor: str
    looks: int
    flagged: int
    share: float | None
    low: float | None
    high: float | None
    alpha: float
    inside: bool | None
    told: str

    def row(self) -> dict[str, Any]:
        """Its attributes, as plain values."""
        return asdict(self)


def null_rates(
    monitors: Sequence[Monitor],
    rows: Sample,
    current: int,
    looks: int,
    rng: np.random.Generator,
    *,
    records: Sequence[str] | None = None,
    done: Callable[[int], None] = lambda _: None,
) -> list[Rate]:
    """Run monitors on random splits of one sample.

    Those that give no p-value for the first split are left out of the rest: they promise no rate,
    or would have too few rows every time.

    Args:
        monitors: the monitors.
        rows: the sample.
        current: how many of its rows are the current ones of a split; at most half of them are.
        looks: how many splits.
        rng: all chance.
        records: what each row belongs to; rows of one record go to one side. Each is its own
            record where none are given.
        done: told of each split that is done.
    """
    owners = np.unique(np.asarray(records), return_inverse=True)[1] if records else None
    p_values: dict[str, list[float]] = {plugin.name: [] for plugin in monitors}
    asked = list(monitors)
    for _ in range(looks):
        theirs = _split(len(rows), min(current, len(rows) // 2), owners, rng)
        ours, now = _take(rows, ~theirs), _take(rows, theirs)
        for plugin in asked:
            own = np.random.default_rng(rng.integers(2**63))
            finding = flows.monitors.base.compare(plugin.kind, ours, now, own, plugin.params)
            if finding.p_value is not None:
                p_values[plugin.name].append(finding.p_value)
        asked = [plugin for plugin in asked if p_values[plugin.name]]
        done(1)
    return [_rate(plugin, p_values[plugin.name]) for plugin in monitors]


def _split(
    rows: int, current: int, owners: NDArray[np.intp] | None, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Which rows are the current ones, ``(rows,)``; with owners, at least as many as asked for."""
    chosen = np.zeros(rows, dtype=np.bool_)
    if owners is None:
        chosen[rng.choice(rows, current, replace=False)] = True
        return chosen
    order = rng.permutation(int(owners.max()) + 1)
    sizes = np.bincount(owners)[order]
    count = int(np.searchsorted(np.cumsum(sizes), current)) + 1
    return np.isin(owners, order[:count])


def _take(sample: Sample, mask: NDArray[np.bool_]) -> Sample:
    """The rows of a sample that a mask names, with all that is known of each."""
    rows = np.flatnonzero(mask)
    parts = {f.name: _of_rows(getattr(sample, f.name), rows, len(mask)) for f in fields(sample)}
    return replace(sample, **parts)


def _of_rows(values: Any, rows: NDArray[np.intp], n: int) -> Any:  # noqa: ANN401 - any attribute
    """What there is of these rows in an attribute; all of it where it is not a value a row."""
    if isinstance(values, Mapping):
        return {name: _of_rows(inner, rows, n) for name, inner in values.items()}
    if isinstance(values, np.ndarray) and len(values) == n:
        return values[rows]
    if isinstance(values, Sequence) and not isinstance(values, str) and len(values) == n:
        return [values[row] for row in rows.tolist()]
    return values


def _rate(plugin: Monitor, p_values: Sequence[float]) -> Rate:
    alpha = alpha_of(plugin)
    if not p_values:
        told = "gives no p-value for these rows, so there is no rate to measure"
        return Rate(plugin.name, 0, 0, None, None, None, alpha, None, told)
    flagged = int(np.sum(np.asarray(p_values) <= alpha))
    low, high = interval(flagged, len(p_values))
    share = flagged / len(p_values)
    figures = (plugin.name, len(p_values), flagged, share, low, high, alpha)
    if low > alpha:
        return Rate(*figures, inside=False, told="more than promised")
    if high < alpha:
        told = "fewer than promised, so it sees less than it might"
        return Rate(*figures, inside=False, told=told)
    if high <= _bound(alpha):
        return Rate(*figures, inside=True, told="as promised")
    least = enough(alpha)
    more = f"give at least {least:,}" if least > len(p_values) else "more splits would tell"
    told = f"too few to tell: a true rate of up to {high:.1%} goes with this; {more}"
    return Rate(*figures, inside=None, told=told)


def _bound(alpha: float) -> float:
    return min(_TIMES * alpha, (1 + alpha) / 2)


def enough(alpha: float) -> int:
    """The splits by which a rate that is as promised is seen to be so."""
    flagged = 1
    while interval(flagged, looks := math.ceil(flagged / alpha))[1] > _bound(alpha):
        flagged += 1
    return looks


def interval(flagged: int, looks: int) -> tuple[float, float]:
    """The rates that such a share goes with, by Clopper & Pearson 1934: exact, if a bit wide."""
    from scipy.stats import binomtest

    found = binomtest(flagged, looks).proportion_ci(CONFIDENCE, method="exact")
    return float(found.low), float(found.high)
