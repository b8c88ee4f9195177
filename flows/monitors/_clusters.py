"""Which clusters of the pool hold more of one sample than of the other, in words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from flows.analysis import describing
from flows.monitors import _cells, _cutting, _explain, _rows, _told
from flows.monitors._multiple import benjamini_hochberg
from flows.monitors.base import Part

_WORDS, _OFTENER = 2, 2.0

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from flows.monitors._two_sample import Sides


def parts(
    statistic: _cells.Occupancy,
    sides: Sides,
    alpha: float,
    most: int,
    words: Mapping[int, str] | None = None,
) -> tuple[Part, ...]:
    """A part for each cluster, the clearest first, with current records where it has grown.

    Args:
        statistic: of the pool.
        sides: the contents.
        alpha: the share of clusters told to have moved that may be false.
        most: records that a part names.
        words: what tells some clusters from the others, which stands in their names.
    """
    ours, theirs = counts(statistic, sides)
    nearest = [_nearest(statistic, sides, cell)[:most] for cell in range(len(ours))]
    return of_counts(ours, theirs, alpha, nearest, words or {})


def of_counts(
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
    alpha: float,
    nearest: Sequence[Sequence[str]],
    words: Mapping[int, str],
) -> tuple[Part, ...]:
    """A part for each of ``(k,)`` counts; `nearest` are current records of each."""
    p_values, away = _cells.p_values(ours, theirs), _cells.residuals(ours, theirs)
    moved = benjamini_hochberg(p_values, alpha)
    order: list[int] = np.lexsort((-np.abs(away), p_values)).tolist()
    return tuple(
        _part(
            f"cluster {cell + 1}" + (f" '{words[cell]}'" if cell in words else ""),
            (float(ours[cell] / ours.sum()), float(theirs[cell] / theirs.sum())),
            (float(p_values[cell]), float(away[cell])),
            moved=bool(moved[cell]),
            record_ids=tuple(nearest[cell]) if moved[cell] and away[cell] > 0 else (),
        )
        for cell in order
    )


def counts(
    statistic: _cells.Occupancy, sides: Sides
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rows of either side in each cluster, ``(k,)`` each."""
    n = sides.n
    return statistic.counts[:n].sum(axis=0), statistic.counts[n:].sum(axis=0)


def words(statistic: _cells.Occupancy, sides: Sides) -> dict[int, str]:
    """The words that tell the texts of a cluster from the others', by cluster; none without texts.

    Only those that stand in the cluster twice as often as in all, and, as everywhere, in at least
    three contents of one side.
    """
    texts = _explain.texts(sides.kept)
    if texts is None:
        return {}
    cells, current = np.argmax(statistic.counts, axis=1), np.arange(sum(sides.sizes)) >= sides.n
    found = {}
    for cell, telling in describing.words(texts, cells).items():
        inside = cells == cell
        told = [word for word in telling if _tells(_having(word, texts), inside, current)]
        if told:
            found[cell] = ", ".join(told[:_WORDS])
    return found


def _having(word: str, texts: Sequence[str]) -> NDArray[np.bool_]:
    """Which texts have a word."""
    whole = re.compile(rf"(?i)(?<!\w){re.escape(word)}(?!\w)")
    return np.array([whole.search(text) is not None for text in texts])


def _tells(
    having: NDArray[np.bool_], inside: NDArray[np.bool_], current: NDArray[np.bool_]
) -> bool:
    common = max(int(having[inside & side].sum()) for side in (current, ~current))
    often = float(having[inside].mean()) >= _OFTENER * float(having.mean())
    return often and common >= _cutting.FEWEST


def strangeness(statistic: _cells.Occupancy, sides: Sides) -> NDArray[np.float64]:
    """How much more likely the row's cluster is now than before; nearer its centre breaks ties."""
    ours, theirs = ((count + 0.5) / (count.sum() + 1) for count in counts(statistic, sides))
    cells = np.argmax(statistic.counts[sides.n :], axis=1)
    away = _away(statistic, sides)[np.arange(sides.m), cells]
    order = np.lexsort((away, -np.log(theirs / ours)[cells]))
    ranks = np.empty(sides.m)
    ranks[order] = -np.arange(sides.m)
    return ranks


def _away(statistic: _cells.Occupancy, sides: Sides) -> NDArray[np.float64]:
    """Squared distances of current rows from all centres, ``(m, k)``."""
    coordinates = statistic.components.coordinates[sides.n :]
    lengths = (coordinates**2).sum(axis=1, keepdims=True)
    away: NDArray[np.float64] = lengths + _cells.distances2(coordinates, statistic.centres)
    return away


def _nearest(statistic: _cells.Occupancy, sides: Sides, cell: int) -> list[str]:
    rows = np.flatnonzero(statistic.counts[sides.n :, cell])
    order = np.argsort(_away(statistic, sides)[rows, cell], kind="stable")
    return _rows.ids_at(sides.ids, rows[order])


def _part(
    name: str,
    shares: tuple[float, float],
    test: tuple[float, float],
    *,
    moved: bool,
    record_ids: tuple[str, ...],
) -> Part:
    (before, after), (p_value, away) = shares, test
    return Part(
        kind="cluster",
        name=name,
        verdict="alarm" if moved else "quiet",
        summary=f"{_told.moved(before, after)} of contents ({_told.p_value(p_value)})",
        figures={
            "share_reference": before,
            "share_current": after,
            "residual": away,
            "p_value": p_value,
        },
        record_ids=record_ids,
    )
