"""Health: whether the current vectors can be vectors of their records at all.

What it looks for is never right in any data: NaN, zero vectors, different contents with one
vector, vectors that have collapsed onto a point or a line, dimensions that died, and norms that
jumped. Changes that data may rightly make are drift's business. Equal contents have equal vectors
by right, so every figure but the first two is over distinct contents.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _rows, _spread, _told
from flows.monitors._ranges import at_least
from flows.monitors.base import Finding, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from flows.monitors._rows import Contents
    from flows.monitors.base import Sample, Verdict

# vectors that are normalised differ in norm by rounding (bfloat16: 0.4 %) and nothing else
_NORMALISED = 0.01
# of both medians: intervals that wide and still apart are not chance, whatever the number of runs
_SIGMAS = 3.0
# float32 keeps seven digits: rows that differ in the last one only are equal
_ROUNDING = 1e-6
# 95 rows of 100 within a hundredth of the usual radius are one point; texts of one template are not
_POINT = 0.01
# of calling a dimension dead that is merely rare
_CHANCE = 1e-3
_IDENTICAL = 0.01
# of records that met the same and so have one vector by right: most of them would be too many
_ALIKE = 0.5

BY_DEFAULT = True
COUNTS = "checks"


@dataclass(frozen=True)
class Params:
    """What counts as ill.

    Attributes:
        max_zero_share: of rows of norm 0. Zero is the default: most metrics cannot place them.
        max_identical_share: of contents whose vector another content has too. Some are normal:
            encoders fold case and white space and cut long texts. 0.01 where none is given; of
            users, items and nodes 0.5, since those that met the same have one vector by right.
        min_identical: fewer such contents than this are no alarm, whatever their share.
        collapsed_rank: an effective rank (exp of the spectrum's entropy) below this is a collapse
            if it is also far below the reference's.
        collapsed_ratio: how far: the share that is left of the reference's rank above one.
        max_dead_share: of dimensions that vary in the reference and stand still now, beyond
            chance. A category that vanished does that to one column.
        max_norm_ratio: of median norms, either way. Where all the reference's norms are equal,
            1.01 is held against it instead.
        min_rows: with fewer distinct contents only the plain checks are made.
        max_rows: rows drawn for the spectrum.
        max_ids: how many records a finding names.
    """

    max_zero_share: float = 0.0
    max_identical_share: float | None = None
    min_identical: int = 3
    collapsed_rank: float = 10.0
    collapsed_ratio: float = 0.2
    max_dead_share: float = 0.2
    max_norm_ratio: float = 1.5
    min_rows: int = 20
    max_rows: int = 1000
    max_ids: int = 20

    def __post_init__(self) -> None:
        for name in ("max_zero_share", "max_identical_share", "collapsed_ratio", "max_dead_share"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise ValueError(f"{name} is a share, 0 to 1, got {share}")
        if self.max_norm_ratio < 1:
            raise ValueError(f"max_norm_ratio must be at least 1, got {self.max_norm_ratio}")
        at_least(self, min_rows=3, max_rows=3, min_identical=1, max_ids=0)


CHECKS = ("finite", "zero", "identical", "collapse", "dead", "norms")
"""What is checked, in the order in which it is told."""


@dataclass
class _Report:
    """What the checks found so far: complaints, rows behind them, figures, and a part a check."""

    ids: Sequence[str]
    params: Params
    complaints: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)

    def sound(self, check: str, what: str, figures: dict[str, float]) -> None:
        """Note that a check has found nothing; what it measured may be complained of later."""
        self.figures |= figures
        self.parts[check] = Part("check", check, "quiet", what, figures)

    def complain(self, check: str, what: str, rows: Sequence[int] | NDArray[np.intp] = ()) -> None:
        """Note what is wrong, with the figures that `sound` was given."""
        self.complaints.append(what)
        self.rows += (found := [int(row) for row in rows])
        named = dict.fromkeys(self.ids[row] for row in found[: self.params.max_ids])
        figures = self.parts[check].figures
        self.parts[check] = Part("check", check, "alarm", what, figures, tuple(named))

    def all_parts(self, why: str) -> tuple[Part, ...]:
        """A part for every check, those that raise an alarm first; ``why`` the others were not."""
        missing = {name: Part("check", name, "cannot tell", why) for name in CHECKS}
        parts = [(missing | self.parts)[name] for name in CHECKS]
        return tuple(sorted(parts, key=lambda part: part.verdict != "alarm"))


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Check the current vectors, where need be against the reference's.

    ``statistic`` is the number of checks that failed and ``threshold`` is 0; ``effect_size`` is
    the share of current rows behind the failures. ``record_ids`` are those rows' records, most
    serious first. ``n_reference`` counts its finite rows of distinct content. A row with NaN or of
    norm zero is an alarm in a sample of any size. A part tells of each check, passed or not, with
    its figures. The verdict is ``cannot tell`` if nothing is
    found in fewer than ``params.min_rows`` distinct contents.

    Raises:
        ValueError: if the samples differ in width.
    """
    _rows.check_widths(reference, current)
    report = _Report(current.record_ids, params)
    _check_rows(current, report, params)
    now, before = _rows.contents(current), _rows.contents(reference)
    most = params.max_identical_share
    if most is None:
        most = _ALIKE if current.alike else _IDENTICAL
    _check_identical(now, before, rng, report, most)
    enough = len(now) >= params.min_rows
    if enough:
        _check_together(now, before, rng, report, params)
    verdict: Verdict = "alarm" if report.complaints else "quiet" if enough else "cannot tell"
    behind = list(dict.fromkeys(report.rows))
    return Finding(
        monitor="health",
        verdict=verdict,
        summary=_summary(verdict, report, len(now), len(before), params),
        statistic=float(len(report.complaints)) if len(current) else None,
        threshold=0.0,
        p_value=None,
        effect_size=len(behind) / len(current) if len(current) else None,
        n_reference=len(before),
        n_current=len(current),
        record_ids=tuple(current.record_ids[row] for row in behind[: params.max_ids]),
        detail=report.figures,
        parts=report.all_parts(
            f"{params.min_rows} distinct contents are needed, of some on both sides"
        ),
    )


def _check_rows(current: Sample, report: _Report, params: Params) -> None:
    broken = np.flatnonzero(~_rows.finite(current.vectors))
    report.sound("finite", "no row holds NaN or infinity", {"non_finite": float(len(broken))})
    if len(broken):
        report.complain(
            "finite", f"{_rows_do(len(broken), 'holds', 'hold')} NaN or infinity", broken
        )
    zero = np.flatnonzero(_rows.norms(current.vectors) == 0)
    share = len(zero) / max(1, len(current))
    report.sound("zero", f"{_told.share(share)} of rows are all zero", {"zero_norm_share": share})
    if share > params.max_zero_share:
        report.complain("zero", f"{_rows_do(len(zero), 'is', 'are')} all zero", zero)


def _check_identical(
    now: Contents, before: Contents, rng: np.random.Generator, report: _Report, most: float
) -> None:
    again = _spread.repeats(now.vectors)
    share = len(again) / max(1, len(now))
    told = f"{_told.share(share)} of contents have the vector of another content"
    report.sound("identical", told, {"identical_share": share})
    if len(again) < report.params.min_identical or share <= most:
        return
    # some features have few vectors to give, and more rows then share more of them
    n = min(len(now), len(before))
    usual, likewise = (len(_spread.repeats(s.take(n, rng).vectors)) for s in (before, now))
    if usual and likewise <= 2 * usual:
        return
    report.complain(
        "identical",
        f"{len(again):,} of {len(now):,} contents have the vector of another content",
        now.rows[again],
    )


def _check_together(
    now: Contents, before: Contents, rng: np.random.Generator, report: _Report, params: Params
) -> None:
    _check_collapse(_distinct(now), _distinct(before), rng, report, params)
    if len(before) >= params.min_rows:
        _check_dead(now, before, report, params)
        _check_norms(now, before, report, params)


def _distinct(contents: Contents) -> NDArray[np.float32]:
    return np.delete(contents.vectors, _spread.repeats(contents.vectors), axis=0)


def _check_collapse(
    now: NDArray[np.float32],
    before: NDArray[np.float32],
    rng: np.random.Generator,
    report: _Report,
    params: Params,
) -> None:
    if len(now) < params.min_rows:
        return
    comparable = len(before) >= params.min_rows
    # rank and radius grow with the sample: both sides have to be of one size
    n = min(params.max_rows, len(now), len(before) if comparable else len(now))
    now, before = (v[_rows.draw(np.arange(len(v)), n, rng)] for v in (now, before))
    rank, radius = _spread.effective_rank(now), _spread.radius(now)
    figures = {"effective_rank": rank, "radius": radius}
    if not comparable:
        report.sound("collapse", f"effective rank {rank:.1f}", figures)
        if radius <= _ROUNDING * float(np.median(_rows.norms(now))):
            told = f"nearly all vectors are equal: 95 % lie within {radius:.2g}"
            report.complain("collapse", told)
        return
    usual_rank, usual_radius = _spread.effective_rank(before), _spread.radius(before)
    figures |= {"effective_rank_reference": usual_rank, "radius_reference": usual_radius}
    told = f"effective rank {rank:.1f}, the reference's {usual_rank:.1f}"
    report.sound("collapse", told, figures)
    if radius < _POINT * usual_radius:
        report.complain(
            "collapse",
            f"nearly all vectors are equal: 95 % lie within {radius:.2g}, "
            f"in the reference within {usual_radius:.2g}",
        )
    elif rank < _allowed_rank(usual_rank, params):
        report.complain(
            "collapse",
            f"the vectors have collapsed: their effective rank is {rank:.1f}, "
            f"the reference's {usual_rank:.1f}",
        )


def _allowed_rank(usual: float, params: Params) -> float:
    return min(params.collapsed_rank, 1 + params.collapsed_ratio * (usual - 1))


def _check_dead(now: Contents, before: Contents, report: _Report, params: Params) -> None:
    dead = _spread.dead(before.vectors, now.vectors, _CHANCE)
    share = len(dead) / max(1, now.vectors.shape[1])
    told = f"{_told.share(share)} of dimensions stand still that used to vary"
    report.sound("dead", told, {"dead_share": share})
    if share > params.max_dead_share:
        report.complain(
            "dead",
            f"{len(dead):,} of {now.vectors.shape[1]:,} dimensions stand still that used to vary",
        )


def _check_norms(now: Contents, before: Contents, report: _Report, params: Params) -> None:
    median, usual = float(np.median(now.norms)), float(np.median(before.norms))
    ratio = median / usual
    told = f"the median norm is {median:.3g}, the reference's {usual:.3g}"
    report.sound("norms", told, {"norm_ratio": ratio})
    low, high = np.quantile(before.norms, [0.05, 0.95])
    normalised = high < (1 + _NORMALISED) * low
    allowed = 1 + _NORMALISED if normalised else params.max_norm_ratio
    ours, theirs = (_spread.median_interval(side.norms, _SIGMAS) for side in (now, before))
    apart = ours[0] > theirs[1] or ours[1] < theirs[0]
    if apart and max(ratio, 1 / ratio) > allowed:
        furthest = np.argsort(-np.abs(np.log(now.norms / usual)), kind="stable")
        report.complain(
            "norms",
            told,
            now.rows[furthest[: params.max_ids]],
        )


def _rows_do(n: int, one: str, several: str) -> str:
    return f"1 row {one}" if n == 1 else f"{n:,} rows {several}"


def _summary(verdict: Verdict, report: _Report, now: int, before: int, params: Params) -> str:
    by = f"({_told.sizes(before, now)})"
    if verdict == "alarm":
        return f"{'; '.join(report.complaints)} {by}"
    if verdict == "cannot tell":
        return (
            f"no row is wrong by itself, but collapse, dead dimensions and norms need "
            f"{params.min_rows} distinct contents {by}"
        )
    if not before:
        return (
            f"the vectors of {_told.contents(now)} are sound by themselves, and there is nothing "
            "yet to compare their spread and their lengths with"
        )
    if before < params.min_rows:
        return (
            f"the vectors are sound by themselves; rank, dimensions and norms need a reference of "
            f"{params.min_rows} contents to be compared with {by}"
        )
    if "effective_rank_reference" not in report.figures:
        return (
            "the vectors are sound, as long as they were; too few are distinct to compare how "
            f"they are spread {by}"
        )
    return f"the vectors are sound, as spread and as long as they were {by}"
