"""The checks of `flows.monitors.records` that hold the records of a run against earlier runs'."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flows.monitors import _counts, _told, _usual
from flows.monitors._profile import EVENT_TIME, UNKNOWN, usual_length

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from flows.monitors._profile import Look, Profile
    from flows.monitors.records import Params

_LEAST_LAG = 60.0
"""Seconds: what is younger is as fresh as can be, and clocks differ."""

_LEAST_SPREAD = 0.1
"""Of logarithms: figures of runs differ by a tenth for no reason at all."""


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        name: which one.
        said: in words, what was measured, or why nothing could be.
        p: probability of such a difference if nothing had changed; None where it cannot be told.
        large: whether the difference is large enough to be an alarm.
        difference: of shares, from 0 to 1; 0 for figures that are no shares.
        figures: named figures.
        column: the kept column whose missing values are behind it.
    """

    name: str
    said: str
    p: float | None = None
    large: bool = False
    difference: float = 0.0
    figures: dict[str, float] = field(default_factory=dict)
    column: str | None = None


def volume(before: Profile, now: Profile, rng: np.random.Generator, params: Params) -> Check:
    """Whether the run wrote about as many records as those before it."""
    usual = [run.rows for run in before.runs if run.kind == "usual"]
    if (why := _out_of_turn(now, len(usual))) is not None:
        return Check("volume", why)
    rows = now.runs[-1].rows
    floor = max(_LEAST_SPREAD, 1 / math.sqrt(float(sorted(usual)[len(usual) // 2])))
    found = _usual.judge(usual, rows, floor, rng)
    said = f"{rows:,} records were written, usually about {found.centre:,.0f}"
    large = max(found.ratio, 1 / found.ratio) >= params.min_ratio
    figures = {"records": float(rows), "usual": found.centre, "ratio": found.ratio}
    return Check("volume", said, found.either, large, 0.0, figures)


def freshness(before: Profile, now: Profile, rng: np.random.Generator, params: Params) -> Check:
    """Whether the newest event is about as old as the newest used to be when a run published it."""
    usual = [lag for run in before.runs if run.kind == "usual" and (lag := lag_of(run)) is not None]
    if (why := _out_of_turn(now, len(usual))) is not None:
        return Check("freshness", why)
    lag = lag_of(now.runs[-1])
    if lag is None:
        return Check("freshness", "no record has an event time")
    found = _usual.judge(usual, lag, _LEAST_SPREAD, rng)
    said = f"the newest event is {_age(lag)} old, usually about {_age(found.centre)}"
    figures = {"hours": lag / 3600, "usual_hours": found.centre / 3600, "ratio": found.ratio}
    return Check("freshness", said, found.above, found.ratio >= params.min_ratio, 0.0, figures)


def nulls(before: Profile, now: Profile, rng: np.random.Generator, params: Params) -> Check:  # noqa: ARG001 - exact without chance
    """Whether a column has more missing values than it used to have: Fisher's test a column."""
    tested = [_column(name, before, now, params) for name in _columns(before, now, params)]
    if not tested:
        return Check("nulls", _few("contents with columns", before.contents, now.contents, params))
    # A column that changed by too little is no reason not to look at one that changed by enough.
    worst = min(tested, key=lambda check: (not check.large, check.p))
    p = min(1.0, len(tested) * (worst.p or 0.0))
    large = [check.said for check in tested if check.large and (check.p or 0.0) <= params.alpha]
    said = "; ".join(large) if worst.large and large else worst.said
    return replace(worst, p=p, said=said, figures=worst.figures | {"columns": float(len(tested))})


def _columns(before: Profile, now: Profile, params: Params) -> list[str]:
    """Those with enough values on both sides; event times only where there are any."""
    return [
        name
        for name, (_, of) in now.nulls.items()
        if of >= params.min_contents and before.nulls.get(name, (0, 0))[1] >= params.min_contents
        if name != EVENT_TIME or before.oldest is not None
    ]


def _column(name: str, before: Profile, now: Profile, params: Params) -> Check:
    was, is_now = before.nulls[name], now.nulls[name]
    shares = _counts.share(*was), _counts.share(*is_now)
    difference = shares[1] - shares[0]
    said = f"{name} has no value in {_told.moved(*shares)} of contents"
    figures = {"share": shares[1], "share_reference": shares[0]}
    p, large = _counts.rise(was, is_now), difference >= params.min_difference
    return Check("nulls", said, p, large, max(difference, 0.0), figures, name)


def lengths(before: Profile, now: Profile, rng: np.random.Generator, params: Params) -> Check:
    """Whether contents are as long as they used to be: Kolmogorov and Smirnov's distance."""
    n, m = (sum(side.lengths.values()) for side in (before, now))
    if min(n, m) < params.min_contents:
        return Check("lengths", _few("contents with a length", n, m, params))
    _, table = _counts.tables(before.lengths, now.lengths)
    found, p = _counts.permuted(table, _counts.distance, params.permutations, rng)
    median, usual = usual_length(now.lengths), usual_length(before.lengths)
    said = (
        f"half of the contents are longer than some {median:,.0f} {now.unit or 'characters'}, "
        f"before than {usual:,.0f}"
    )
    figures = {"distance": found, "median": median, "median_reference": usual}
    return Check("lengths", said, p, found >= params.min_difference, found, figures)


def languages(before: Profile, now: Profile, rng: np.random.Generator, params: Params) -> Check:
    """Whether texts are in the languages that they used to be in: Pearson's chi-squared."""
    n, m = (sum(side.languages.values()) for side in (before, now))
    if min(n, m) < params.min_contents:
        return Check("languages", _few("texts", n, m, params))
    names, table = _counts.tables(before.languages, now.languages)
    _, p = _counts.permuted(table, _counts.chi_squared, params.permutations, rng)
    moved = float(_counts.variation(table.sum(axis=0), table[1:])[0])
    shares = table / table.sum(axis=1, keepdims=True)
    gained = int((shares[1] - shares[0]).argmax())
    said = (
        f"{names[gained]} {_told.moved(shares[0, gained], shares[1, gained])} of texts; "
        f"{_told.share(moved)} are in another language than before"
    )
    if moved < params.min_difference:
        said = f"the languages are as before, but for {_told.share(moved)} of texts"
    figures = {"moved": moved, "unknown": _counts.share(now.languages.get(UNKNOWN, 0), m)}
    return Check("languages", said, p, moved >= params.min_difference, moved, figures)


def empty(before: Profile, now: Profile, rng: np.random.Generator, params: Params) -> Check:  # noqa: ARG001 - exact without chance
    """Whether more records than before were refused since nothing is in them."""
    was, is_now = (before.empty, before.empty + before.rows), (now.empty, now.empty + now.rows)
    words = "of records have nothing in them and were refused"
    return _risen("empty", words, was, is_now, params)


def cut(before: Profile, now: Profile, rng: np.random.Generator, params: Params) -> Check:  # noqa: ARG001 - exact without chance
    """Whether the encoder reads less of the texts than before.

    Tokens of one text are not cut independently, so texts are tested; the share is of tokens.
    """
    was, is_now = (before.cut_texts, before.texts), (now.cut_texts, now.texts)
    found = _risen("cut", "of texts are longer than the encoder reads", was, is_now, params)
    if found.p is None:
        return found
    shares = before.cut_share, now.cut_share
    difference = max(shares[1] - shares[0], 0.0)
    said = f"{_told.moved(*shares)} of tokens are cut; {found.said}"
    figures = found.figures | {"tokens": shares[1], "tokens_reference": shares[0]}
    large = difference >= params.min_difference
    return replace(found, said=said, large=large, difference=difference, figures=figures)


def _risen(
    name: str, words: str, was: tuple[int, int], is_now: tuple[int, int], params: Params
) -> Check:
    if min(was[1], is_now[1]) < params.min_contents:
        return Check(name, _few("records", was[1], is_now[1], params))
    before, now = _counts.share(*was), _counts.share(*is_now)
    said = f"{_told.moved(before, now)} {words}"
    difference = max(now - before, 0.0)
    figures = {"share": now, "share_reference": before}
    large = difference >= params.min_difference
    return Check(name, said, _counts.rise(was, is_now), large, difference, figures)


def lag_of(run: Look) -> float | None:
    """How old the newest event was when the run was published, in seconds."""
    if run.newest is None:
        return None
    return max((run.at - run.newest).total_seconds(), _LEAST_LAG)


def _out_of_turn(now: Profile, usual: int) -> str | None:
    """Why a run cannot be held against those before it."""
    if not now.runs or now.runs[-1].kind != "usual":
        return "a version's first run, a backfill and a replay have no usual size and age"
    if usual < _usual.LEAST_RUNS:
        return f"{_usual.LEAST_RUNS} runs before it are needed, and there are {usual}"
    return None


def _few(what: str, n: int, m: int, params: Params) -> str:
    return f"{params.min_contents} {what} a side are needed, and there are {n:,} and {m:,}"


def _age(seconds: float) -> str:
    for unit, size in (("days", 86_400.0), ("hours", 3600.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 60:.3g} minutes"


CHECKS: dict[str, Callable[[Profile, Profile, np.random.Generator, Params], Check]] = {
    "volume": volume,
    "freshness": freshness,
    "nulls": nulls,
    "lengths": lengths,
    "languages": languages,
    "empty": empty,
    "cut": cut,
}
"""The checks by name, in the order in which they are told."""


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values made good for their number (Holm 1979): each as a family-wise one."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, highest = [1.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted
