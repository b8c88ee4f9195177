"""Near-duplicates: current records that lie nearer to another than records of this feature do.

How near is too near differs from encoder to encoder and from one data set to the next, so no
threshold is set by hand: it is the reference that says how near its records come to each other.
A third of it, the calibration rows, is held back, and the nearest to each is looked for in the
rest. For a current record it is looked for among the other current records and so much of the rest
that both are looked for among equally many; so where nothing has changed, both distances have one
distribution. The share of calibration rows that come as near is a record's p-value, and Benjamini
and Hochberg's procedure picks the records that are named (`flows.monitors._conformal`).

What is near comes in pairs, and both of a pair then have a small p-value; the procedure bears that,
since there are half as many pairs as records (``tests/flows/monitors/test_duplicates.py`` measures
it). The price of p-values that are true: what a current record repeats is not found where it is one
of the calibration rows.

Equal contents are one record here, as in `flows.monitors.drift`: copies are no near-duplicates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _conformal, _rows
from flows.monitors._told import quoted
from flows.monitors.base import Finding, Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors.base import Sample, Verdict

_BLOCK = 1024
_NAMED = 10
"""Pairs that a finding names as parts."""


@dataclass(frozen=True)
class Params:
    """How near-duplicates are looked for.

    Attributes:
        alpha: the share of named records that are no nearer than chance brings them, on average,
            and the share of runs without near-duplicates that may raise an alarm.
        max_rows: contents drawn from the reference; of the current ones at most a third as many.
        min_rows: with fewer contents in either part of the reference nothing is tested.
        min_current: with fewer current contents the verdict is ``cannot tell`` unless one of them
            is named.
        max_ids: how many records a finding names.
    """

    alpha: float = 0.05
    max_rows: int = 4000
    min_rows: int = 20
    min_current: int = 3
    max_ids: int = 20

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha must lie between 0 and 1, got {self.alpha}; 0.05 is usual")
        for name, least in (("min_rows", 2), ("min_current", 1), ("max_ids", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.max_rows < 2 * self.min_rows:
            raise ValueError(
                f"max_rows must be at least {2 * self.min_rows}, twice min_rows, got "
                f"{self.max_rows}, or the verdict is always 'cannot tell'"
            )


@dataclass(frozen=True)
class _Pairs:
    """The current records, each with the one it lies nearest to.

    Attributes:
        p: ``(m,)``.
        distances: ``(m,)``, Euclidean.
        twins: ``(m,)``, the place of the nearest, among the pool and then the current records.
        usual: the distance that half of the calibration rows lie within.
        calibration: how many there are.
    """

    p: NDArray[np.float64]
    distances: NDArray[np.float64]
    twins: NDArray[np.intp]
    usual: float
    calibration: int

    def figures(self, fewest: int) -> dict[str, float]:
        """What there is to know of the test beside its outcome."""
        return {
            "calibration": float(self.calibration),
            "fewest_named": float(fewest),
            "least_p": 1 / (1 + self.calibration),
            "usual": self.usual,
        }


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Name the current records that lie too near to another, and which.

    ``statistic`` is the number of records picked, an alarm above ``threshold``, 0; ``p_value`` is
    Simes' for all together, and ``effect_size`` the share of current contents that are picked.
    ``record_ids`` are the picked, the nearest first; ``parts``, of kind ``check``, name the pairs,
    each with its ``distance`` and the ``usual`` one, the median of the calibration rows. ``detail``
    is as of `flows.monitors.outliers`.

    Raises:
        ValueError: if the samples differ in width.
    """
    _rows.check_widths(reference, current)
    sides = _rows.one_a_content(reference, current, rng)
    detail = _rows.left_out(reference, current, sides)
    ours = _rows.draw(sides[0], params.max_rows, rng)
    theirs = _rows.draw(sides[1], max(1, len(ours) // 3), rng)
    n, m = len(ours), len(theirs)
    if n < 2 * params.min_rows or m == 0:
        summary = _untested(len(reference), n, m, params)
        nothing = (None, None, None, None)
        return Finding("duplicates", "cannot tell", summary, *nothing, n, m, (), detail)
    ours = rng.permutation(ours)
    held = max(params.min_rows, n // 3)
    pairs = _pairs(reference.vectors[ours], current.vectors[theirs], held)
    picked = _conformal.select(pairs.p, params.alpha)
    picked = picked[np.argsort(pairs.distances[picked], kind="stable")]
    fewest = _conformal.fewest(m, 1 / (1 + held), params.alpha)
    names = [reference.record_ids[row] for row in ours[held + m - 1 :].tolist()]
    ids = [current.record_ids[row] for row in theirs.tolist()]
    verdict = _verdict(len(picked), fewest, m, params)
    parts = tuple(
        _part(row, pairs, ids, names) for row in _once(picked, pairs, len(names))[:_NAMED]
    )
    p_value = _conformal.simes(pairs.p)
    return Finding(
        monitor="duplicates",
        verdict=verdict,
        summary=_summary(verdict, parts, len(picked), m, fewest, p_value, params),
        statistic=float(len(picked)),
        threshold=0.0,
        p_value=p_value,
        effect_size=len(picked) / m,
        n_reference=n,
        n_current=m,
        record_ids=tuple(ids[row] for row in picked[: params.max_ids].tolist()),
        detail=detail | pairs.figures(fewest),
        parts=parts,
    )


def _pairs(reference: NDArray[np.float32], current: NDArray[np.float32], held: int) -> _Pairs:
    m, rest = len(current), reference[held:].astype(np.float64)
    # far from the origin the squares of which distances are made would drown them
    centre = rest.mean(axis=0)
    rest -= centre
    calibration, _ = _nearest(reference[:held] - centre, rest)
    pool = np.concatenate([rest[m - 1 :], current - centre])
    distances, twins = _nearest(pool[-m:], pool, own=len(pool) - m)
    # a nearest record is strange where it is near, so scores are the distances turned round
    p = _conformal.p_values(-calibration, -distances)
    return _Pairs(p, distances, twins, float(np.median(calibration)), held)


def _nearest(
    rows: NDArray[np.float64], pool: NDArray[np.float64], own: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """For each row the distance to the nearest of the pool, and its place there.

    Args:
        rows: ``(n, dim)``.
        pool: ``(k, dim)``.
        own: where in the pool the rows themselves begin, None where they are not in it.
    """
    squares = (pool**2).sum(axis=1)
    places = np.empty(len(rows), dtype=np.intp)
    for block in _rows.blocks(len(rows), _BLOCK):
        apart = squares - 2 * rows[block] @ pool.T
        if own is not None:
            inside = np.arange(block.start, block.stop)
            apart[inside - block.start, own + inside] = np.inf
        places[block] = apart.argmin(axis=1)
    # by differences: what is left of two squares that nearly cancel is rounding
    found = [np.linalg.norm(rows[b] - pool[places[b]], axis=1) for b in _rows.blocks(len(rows))]
    return np.concatenate(found), places


def _once(picked: NDArray[np.intp], pairs: _Pairs, pool: int) -> list[int]:
    """The picked records, less those whose pair is named by the other one already."""
    kept: list[int] = []
    for row in picked.tolist():
        twin = int(pairs.twins[row]) - pool
        if not (twin in kept and int(pairs.twins[twin]) - pool == row):
            kept.append(row)
    return kept


def _part(row: int, pairs: _Pairs, ids: list[str], names: list[str]) -> Part:
    twin = int(pairs.twins[row])
    inside = twin >= len(names)
    other = ids[twin - len(names)] if inside else names[twin]
    distance = float(pairs.distances[row])
    return Part(
        kind="check",
        name=f"{quoted(ids[row])} and {quoted(other)}",
        verdict="alarm",
        summary=(
            f"{quoted(ids[row])} lies {distance:.3g} from {quoted(other)} of "
            f"{'the same run' if inside else 'the reference'}; usual is {pairs.usual:.3g} "
            f"(p = {pairs.p[row]:.2g})"
        ),
        figures={"distance": distance, "usual": pairs.usual, "p_value": float(pairs.p[row])},
        record_ids=(ids[row], other) if inside else (ids[row],),
    )


def _verdict(picked: int, fewest: int, m: int, params: Params) -> Verdict:
    if picked:
        return "alarm"
    return "cannot tell" if m < params.min_current or fewest > m else "quiet"


def _untested(reference_rows: int, n: int, m: int, params: Params) -> str:
    if not reference_rows:
        return "nothing to compare with yet: this is the first run"
    return (
        f"cannot tell: {n:,} reference and {m:,} current contents; {2 * params.min_rows} of the "
        "reference are needed, to say how near its records lie, and a current one"
    )


def _summary(
    verdict: Verdict,
    parts: tuple[Part, ...],
    picked: int,
    m: int,
    fewest: int,
    p_value: float,
    params: Params,
) -> str:
    if verdict == "alarm":
        return (
            f"{picked:,} of {m:,} current records nearly repeat another, of which at most "
            f"{params.alpha:.0%} on average are named wrongly; nearest: {parts[0].summary}"
        )
    if verdict == "quiet":
        unseen = f"; fewer than {fewest:,} at once could not have been named" if fewest > 1 else ""
        return (
            f"no current record lies nearer to another than usual{unseen}; p = {p_value:.2g}, "
            f"{m:,} current records"
        )
    if fewest > m:
        return (
            f"cannot tell: {m:,} current records, and {fewest:,} would have to come together to be "
            "named; raise alpha or give more reference contents"
        )
    return f"cannot tell: fewer than {params.min_current} current records say nothing of a run"
