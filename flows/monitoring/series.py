"""Alarms over a series of looks: a budget of false alarms for all of them, however many follow.

A monitor that may be wrong once in 100 looks is wrong in 99 of 100 series of 500 looks. So the
looks of a monitor at one version form a series, which has a budget: the chance that it ever raises
a false alarm, were it to go on for ever. Two arms share it.

The first spends it on single looks. Look t is an alarm by itself at p <= budget * `weight` (t); the
weights sum to 1, so the union bound holds the budget whatever ties the looks to each other.

The second gathers what lasts but is too small for one look to show. From a p-value, k p^(k-1) with
k in (0, 1) makes an e-value: its mean is at most 1 where nothing has changed (Vovk & Wang 2021,
"E-values: calibration, combination and applications"). One bets on the looks from the j-th on with
the j-th weight, multiplies what is won from look to look, and averages over some k; as long as
nothing changes that is a martingale, and by Ville's inequality it ever reaches 1 / budget with a
probability of at most the budget. Betting anew from every look on makes it quick wherever a change
begins, as in the Shiryaev-Roberts procedure (Shin, Ramdas & Rinaldo 2022, "E-detectors"). Averaging
the products over k rather than multiplying averages finds the k that suits a change of any size.

The second arm needs looks that are independent of each other where nothing changes; where they may
not be, the first has the whole budget. ``docs/monitoring-series.md`` says when they are, and why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from flows.monitors.base import Verdict

    Numbers: TypeAlias = float | NDArray[np.float64]

POWERS = (0.2, 0.5, 0.8)
"""The k of the e-values: for changes that are plain, middling and barely visible in one look."""

_DECAY = 0.75
"""Of the share of the budget that is left. Slower would leave more to late looks, but give a first
one less than the alpha of 0.01 that monitors promise by themselves."""
_SHARE_OF_SINGLE_LOOKS = 0.5
_MOST_AHEAD = 20


@dataclass(frozen=True)
class Look:
    """One look of a series.

    Attributes:
        p_value: above 0, at most 1.
        decides: whether it could be an alarm by itself; one of too few rows cannot, and spends
            nothing, but what it saw counts with the others.
    """

    p_value: float
    decides: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.p_value <= 1:  # so that NaN is refused too
            raise ValueError(f"a p-value lies above 0 and is at most 1, got {self.p_value}")


@dataclass(frozen=True)
class Standing:
    """Where a series stands with its last look.

    Attributes:
        looks: how many there are.
        level: the p-value at which the last one is an alarm by itself.
        spent: of the budget, by what single looks were allowed.
        e_value: what speaks for a lasting change; None where looks are not independent.
        enough: the `e_value` that is an alarm.
    """

    looks: int
    level: float
    spent: float
    e_value: float | None = None
    enough: float | None = None

    @property
    def lasting(self) -> bool:
        """Whether the looks together are an alarm; a single look is judged by itself."""
        if self.looks == 1 or self.e_value is None or self.enough is None:
            return False
        return self.e_value >= self.enough


def left(looks: int) -> float:
    """The share of a budget that so many looks leave to those that follow."""
    return float((looks + 1) ** -_DECAY)


def weight(look: int) -> float:
    """The share of a budget that the look of this number, from 1, has; over all looks it sums to 1.

    About ``0.75 look**-1.75``: 0.41, 0.16, 0.085, …, 0.0003 for the hundredth.
    """
    return left(look - 1) - left(look)


def single(budget: float, *, independent: bool) -> float:
    """The part of a budget that goes to single looks."""
    return budget * _SHARE_OF_SINGLE_LOOKS if independent else budget


def evidence(p_values: Iterable[Numbers]) -> Iterator[Numbers]:
    """The e-value after each look, of one series, or of many at once where p-values are arrays.

    What is kept for looks that are yet to come counts as it is: without it a series would begin
    below 1, and gain nothing by it.
    """
    won: list[Numbers] = [0.0] * len(POWERS)
    for look, p in enumerate(p_values, 1):
        share = weight(look)
        won = [(w + share) * k * p ** (k - 1) for w, k in zip(won, POWERS, strict=True)]
        yield sum(won) / len(POWERS) + left(look)


def stand(looks: Sequence[Look], budget: float, *, independent: bool) -> Standing:
    """Where a series stands.

    Args:
        looks: from the first of the series to the present one.
        budget: the chance that the series ever raises a false alarm.
        independent: whether its looks are, where nothing changes.

    Raises:
        ValueError: if there is no look.
    """
    if not looks:
        raise ValueError("a series has at least one look, got none; give the present one")
    deciding = sum(look.decides for look in looks)
    alone = single(budget, independent=independent)
    level = alone * weight(deciding) if looks[-1].decides else 0.0
    spent = alone * (1 - left(deciding))
    if not independent:
        return Standing(len(looks), level, spent)
    *_, e_value = evidence(look.p_value for look in looks)
    return Standing(len(looks), level, spent, float(e_value), 1 / (budget - alone))


def verdict(alone: Verdict, look: Look, standing: Standing) -> Verdict:
    """What a series says with its last look, which by itself says ``alone``."""
    if standing.lasting:
        return "alarm"
    if alone == "alarm" and look.p_value > standing.level:
        return "watch"
    return alone


def ahead(looks: Sequence[Look], budget: float, *, independent: bool) -> int | None:
    """How many more looks like the last one make an alarm; None for none up to 20."""
    if not independent:
        return None
    *_, last = looks
    enough = 1 / (budget - single(budget, independent=True))
    p_values = [look.p_value for look in (*looks, *[last] * _MOST_AHEAD)]
    ahead = list(evidence(p_values))[len(looks) :]
    return next((more for more, e_value in enumerate(ahead, 1) if e_value >= enough), None)


def chance(looks: int, alpha: float) -> float:
    """The chance that of so many looks without a change at least one has a p-value of alpha."""
    return -math.expm1(looks * math.log1p(-alpha))


def line(series: Mapping[str, float | str]) -> str:
    """What a finding's ``series`` says in a line; nothing where it is empty.

    It is what `flows.monitoring.in_series` made of the finding.
    """
    if not series:
        return ""
    looks, low, alpha = (float(series[name]) for name in ("looks", "low", "alpha"))
    budget, spent = float(series["budget"]), float(series["spent"])
    gathered = ""
    if "e_value" in series:
        gathered = (
            f", evidence of a lasting change {float(series['e_value']):.2g} of the "
            f"{float(series['enough']):.0f} that are an alarm"
        )
    return (
        f"{_count(looks, 'look')} since {day(str(series['since']))}: {spent:.2%} of a false-alarm "
        f"budget of {budget:.2%} spent{gathered}; {_count(low, 'look')} at p ≤ {alpha:g}, "
        f"{looks * alpha:.2g} expected by chance"
    )


def day(run_id: str) -> str:
    """The day on which a run began, which its id begins with."""
    return f"{run_id[:4]}-{run_id[4:6]}-{run_id[6:8]}"


def _count(number: float, what: str) -> str:
    return f"{number:,.0f} {what}{'' if number == 1 else 's'}"
