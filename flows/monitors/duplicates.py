"""Near-duplicates: current records nearer to another than the reference's own are to each other.

There is no threshold to set: how near is too near is what the reference says. Distances are those
of directions, as in ``vecmill duplicates``, which finds all pairs of a version by a cosine. Equal
contents are no near-duplicates, and count once.

A record is held against two pools, and either p-value is a rank (`flows.monitors._conformal`):

* the reference. With the record put among them, all reference rows and it come in any order, and
  so do their distances to their nearest ones; its p-value is the share of them that is as small.
  That the record may itself be the nearest of a reference row is reckoned with, so the rank is
  exact though the reference is both pool and calibration (full conformal prediction). The row that
  it is a copy of is then as near as it is, so this p-value is never below two over their number.
* the other current records. They are a fixed set, to which the reference rows' distances are taken
  as the record's is. Where records come in twos by nature, as those of one template do, so do the
  reference's; so the share of these that are as near to each other counts too if it is larger.

The record's p-value is twice the smaller of both. Each is true by itself, at every size and with
ties. That the share named wrongly stays at or below ``alpha`` for all of them together is proved
where one training set serves all; here each record has its own, alike but for one row, and it is
measured rather than proved: see ``tests/flows/monitors/test_duplicates.py``.

Twins are seen among the rows that were drawn. Where a run is larger than that, most twins of its
own are not drawn together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _conformal, _rows, _told
from flows.monitors._neighbours import directions, distances, nearest
from flows.monitors._ranges import at_least, check_alpha
from flows.monitors._told import quoted
from flows.monitors.base import FIRST, Finding, Part

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from flows.monitors.base import Sample, Verdict

COUNTS = "records"

# of two p-values the smaller is taken
_POOLS = 2
# a p-value counts the record, its twin in the reference, and both pools
_LEAST = 2 * _POOLS


@dataclass(frozen=True)
class Params:
    """How near-duplicates are looked for.

    Attributes:
        alpha: the share of named records that may be no nearer than usual, on average, and the
            share of runs like the reference that may raise an alarm.
        max_rows: contents drawn from each sample.
        min_rows: with fewer reference contents nothing is tested.
        min_current: with fewer current contents the verdict is ``cannot tell`` unless one of them
            is named.
        max_ids: how many records a finding names.
    """

    alpha: float = 0.05
    max_rows: int = 5000
    min_rows: int = 20
    min_current: int = 3
    max_ids: int = 20

    def __post_init__(self) -> None:
        check_alpha(self.alpha, usual=0.05)
        at_least(self, min_rows=2, min_current=1, max_ids=0, max_rows=self.min_rows)


@dataclass(frozen=True)
class _Twins:
    """The nearest of each current record.

    Attributes:
        apart: ``(m,)`` squared distances of directions.
        p: ``(m,)``.
        within: ``(m,)``, whether the twin is in the run itself.
        places: ``(m,)``, where the twin stands in its pool.
    """

    apart: NDArray[np.float64]
    p: NDArray[np.float64]
    within: NDArray[np.bool_]
    places: NDArray[np.intp]


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Name the current records that are nearly the same as another.

    ``statistic`` is the number of records picked, which is an alarm above ``threshold``, 0;
    ``p_value`` is Simes', ``effect_size`` the share of current contents picked. ``parts`` are the
    pairs, nearest first, with the cosine of each; ``detail`` counts the rows left out.

    Raises:
        ValueError: if the samples differ in width.
    """
    _rows.check_widths(reference, current)
    sides = _rows.one_a_content(reference, current, rng)
    detail = _rows.left_out(reference, current, sides)
    drawn = [_rows.draw(side, params.max_rows, rng) for side in sides]
    before, ours = directions(reference, drawn[0])
    now, theirs = directions(current, drawn[1])
    n, m = len(ours), len(theirs)
    if n < params.min_rows or m == 0:
        told = _untested(len(reference), n, m, params)
        return Finding("duplicates", "cannot tell", told, None, None, None, None, n, m, (), detail)
    twins = _twins(before, now)
    picked = _conformal.select(twins.p, params.alpha)
    picked = picked[np.argsort(twins.apart[picked], kind="stable")]
    fewest = _conformal.fewest(m, _LEAST / (1 + n), params.alpha)
    verdict: Verdict = "alarm" if len(picked) else "quiet"
    if not len(picked) and (m < params.min_current or fewest > m):
        verdict = "cannot tell"
    ids = _rows.ids_at(current.record_ids, theirs)
    known = _rows.ids_at(reference.record_ids, ours)
    p_value = _conformal.simes(twins.p)
    pairs = _pairs(twins, picked[: max(1, params.max_ids)], ids, known)
    return Finding(
        monitor="duplicates",
        verdict=verdict,
        summary=_summary(verdict, pairs, len(picked), (n, m, fewest), params, p_value),
        statistic=float(len(picked)),
        threshold=0.0,
        p_value=p_value,
        effect_size=len(picked) / m,
        n_reference=n,
        n_current=m,
        record_ids=tuple(ids[row] for row in picked[: params.max_ids].tolist()),
        detail=detail | {"fewest_named": float(fewest)},
        parts=pairs[: params.max_ids],
    )


def _twins(before: NDArray[np.float64], now: NDArray[np.float64]) -> _Twins:
    """The twins of ``(m, dim)`` current directions, in either pool."""
    usual = nearest(before, before, 1, own=True)[0][:, 0]
    to_known, known_at = nearest(now, before, 1)
    to_fresh, fresh_at = nearest(now, now, 1, own=True)
    known, fresh = to_known[:, 0], to_fresh[:, 0]
    p_known = _within_reference(before, now, usual, known)
    usually = _conformal.p_values(-usual, -fresh)
    p_fresh = np.maximum(_within_run(nearest(before, now, 2), fresh), usually)
    within = fresh < known
    return _Twins(
        apart=np.minimum(known, fresh),
        p=np.minimum(1.0, _POOLS * np.minimum(p_known, p_fresh)),
        within=within,
        places=np.where(within, fresh_at[:, 0], known_at[:, 0]),
    )


def _within_reference(
    before: NDArray[np.float64],
    now: NDArray[np.float64],
    usual: NDArray[np.float64],
    known: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The p-values that go by the distance to the reference.

    A reference row counts if its own nearest is as near, or the record itself is.

    Args:
        before: ``(n, dim)``.
        now: ``(m, dim)``.
        usual: ``(n,)``, of each reference row to the nearest other.
        known: ``(m,)``, of each current row to the nearest reference row.
    """
    as_near = np.searchsorted(np.sort(usual), known, side="right")
    for block in _rows.blocks(len(now), 512):
        reached = distances(now[block], before) <= known[block, None]
        as_near[block] += (reached & (usual > known[block, None])).sum(axis=1)
    return (1 + as_near) / (1 + len(usual))


def _within_run(
    seen: tuple[NDArray[np.float64], NDArray[np.intp]], fresh: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The p-values that go by the distance to the other current records.

    Args:
        seen: of each reference row the two nearest current ones, ``(n, 2)`` distances and places;
            where the record is the nearest, the other counts, as the record's pool is the others.
        fresh: ``(m,)``, of each current row to the nearest other.
    """
    apart, places = seen
    as_near = np.searchsorted(np.sort(apart[:, 0]), fresh, side="right")
    at = places[:, 0]
    only = (apart[:, 0] <= fresh[at]) & (apart[:, 1] > fresh[at])
    as_near -= np.bincount(at[only], minlength=len(fresh))
    return (1 + as_near) / (1 + len(apart))


def _pairs(
    twins: _Twins, picked: NDArray[np.intp], ids: list[str], known: list[str]
) -> tuple[Part, ...]:
    parts: dict[frozenset[tuple[str, str]], Part] = {}
    for row in picked.tolist():
        within, place = bool(twins.within[row]), int(twins.places[row])
        other = ids[place] if within else known[place]
        cosine = 1 - float(twins.apart[row]) / 2
        where = "this run" if within else "the reference"
        pair = frozenset({("this run", ids[row]), (where, other)})
        if pair in parts:
            continue
        parts[pair] = Part(
            kind="check",
            name=f"{quoted(ids[row])} and {quoted(other)}",
            verdict="alarm",
            summary=f"{quoted(ids[row])} is nearly {quoted(other)} of {where}: cosine {cosine:.4f}",
            figures={"cosine": cosine, "p_value": float(twins.p[row]), "within_run": float(within)},
            record_ids=(ids[row], other) if within else (ids[row],),
        )
    return tuple(parts.values())


def _untested(reference_rows: int, n: int, m: int, params: Params) -> str:
    if not reference_rows:
        return FIRST
    return (
        f"{_told.sizes(n, m)} that have a direction; "
        f"{params.min_rows} of the reference are needed, and a current one"
    )


def _summary(
    verdict: Verdict,
    pairs: Sequence[Part],
    picked: int,
    sizes: tuple[int, int, int],
    params: Params,
    p_value: float,
) -> str:
    n, m, fewest = sizes
    by = f"({_told.p_value(p_value)}, {_told.sizes(n, m)})"
    if verdict == "alarm":
        return f"{picked:,} of {m:,} records are nearly others: {pairs[0].summary} {by}"
    if verdict == "quiet":
        unseen = f"; fewer than {fewest:,} at once may not have been seen" if fewest > 1 else ""
        return f"no more near-duplicates than the reference has{unseen} {by}"
    if fewest > m:
        return (
            f"{n:,} reference contents give no p-value below {_LEAST / (1 + n):.2g} for a twin in "
            f"the reference, and alpha is {params.alpha:g} {by}"
        )
    return f"fewer than {params.min_current} current records say nothing of a run {by}"
