"""Labels that the neighbours contradict: records that look like those of another label.

Half of the reference teaches what each label looks like. A record's score is the mean distance to
the nearest records of its own label over that to the nearest of any other (the nonconformity of
Vovk, Gammerman & Shafer 2005, section 3.1), and its p-value the share of the held-back reference
records *of the same label* that score as high: exact for each label by itself, so that a label
that is hard to tell from the others does not fill the list. Benjamini and Hochberg's procedure
picks the records that are named (`flows.monitors._conformal`).

A record may be picked because its label is wrong, or because it is unlike all others; the
neighbours' own labels, which each finding tells, say which.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _conformal, _rows, _told
from flows.monitors._ranges import at_least, check_alpha
from flows.monitors._told import quoted
from flows.monitors.base import FIRST, Finding, Part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from flows.monitors.base import Sample, Verdict

COUNTS = "records"
READS = ("kept",)

_BLOCK = 1024
_NAMED = 10


@dataclass(frozen=True)
class Params:
    """How contradicted labels are looked for.

    Attributes:
        column: the kept column with the label; values of any kind that differ are other labels.
        neighbours: that a record is held against, of its own label and of the others.
        alpha: the share of named records whose label is no stranger than chance makes it, on
            average, and the share of runs without wrong labels that may raise an alarm.
        max_rows: contents drawn from each side.
        min_rows: labels with fewer reference contents in either half are not tested.
        max_ids: how many records a finding names.
    """

    column: str = "label"
    neighbours: int = 10
    alpha: float = 0.05
    max_rows: int = 5000
    min_rows: int = 10
    max_ids: int = 20

    def __post_init__(self) -> None:
        check_alpha(self.alpha, usual=0.05)
        at_least(self, neighbours=1, min_rows=2, max_rows=2, max_ids=0)


@dataclass(frozen=True)
class _Side:
    """Some rows with a label each.

    Attributes:
        vectors: ``(n, dim)`` float64, moved to the reference's centre.
        labels: n.
        ids: n.
    """

    vectors: NDArray[np.float64]
    labels: NDArray[np.str_]
    ids: list[str]

    def __len__(self) -> int:
        return len(self.ids)

    def where(self, chosen: NDArray[np.bool_]) -> _Side:
        ids = [one for one, stays in zip(self.ids, chosen.tolist(), strict=True) if stays]
        return _Side(self.vectors[chosen], self.labels[chosen], ids)


def columns(params: Params) -> Mapping[str, Sequence[str]]:
    """The columns that keys name, by key."""
    return {"column": [params.column]}


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Name the current records whose label their neighbours contradict.

    ``statistic`` is the number of records picked, an alarm above ``threshold``, 0; ``p_value`` is
    Simes' for all together and ``effect_size`` the share of tested contents that are picked.
    ``record_ids`` are the picked, the clearest first, and ``parts``, of kind ``check``, say of each
    what its neighbours are labelled. ``n_current`` counts the contents tested; ``detail`` has those
    without a label and of labels that the reference has too few of.

    Raises:
        ValueError: if the samples differ in width.
    """
    _rows.check_widths(reference, current)
    missing = _missing(reference, current, params)
    if missing is not None:
        return _untold(missing, 0, {})
    sides = _rows.one_a_content(reference, current, rng)
    ours, theirs = (_rows.draw(side, params.max_rows, rng) for side in sides)
    centre = _centre(reference, ours)
    whole = _side(reference, rng.permutation(ours), centre, params)
    known, held = _halves(whole)
    now = _side(current, theirs, centre, params)
    tested = np.isin(now.labels, _testable(known, held, params))
    detail = {
        "unlabelled_current": float(len(theirs) - len(now)),
        "untested_current": float(len(now) - int(tested.sum())),
    }
    now = now.where(tested)
    if not len(now):
        told = _untested(len(reference), len(theirs), params)
        return _untold(told, len(whole), detail)
    p, least = _p_values(known, held, now, params)
    return _finding(p, least, known, now, len(whole), detail, params)


def _untold(summary: str, n: int, detail: dict[str, float]) -> Finding:
    return Finding("labels", "cannot tell", summary, None, None, None, None, n, 0, (), detail)


def _missing(reference: Sample, current: Sample, params: Params) -> str | None:
    kept = sorted({*reference.kept, *current.kept})
    if params.column not in kept:
        there = ", ".join(map(repr, kept)) or "none"
        return (
            f"there is no kept column {params.column!r}; the kept columns are: {there}. Name one "
            "of them as column in [monitors.labels], or add it to keep in the source"
        )
    return None


def _centre(reference: Sample, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Far from the origin the squares of which distances are made would drown them."""
    centre: NDArray[np.float64] = reference.vectors[rows].astype(np.float64).sum(axis=0)
    return centre / max(1, len(rows))


def _side(
    sample: Sample, rows: NDArray[np.intp], centre: NDArray[np.float64], params: Params
) -> _Side:
    values = sample.kept.get(params.column, [None] * len(sample))
    labelled = np.array([row for row in rows.tolist() if values[row] is not None], dtype=np.intp)
    labels = np.array([str(values[row]) for row in labelled.tolist()], dtype=np.str_)
    ids = _rows.ids_at(sample.record_ids, labelled)
    return _Side(sample.vectors[labelled] - centre, labels, ids)


def _halves(whole: _Side) -> tuple[_Side, _Side]:
    """Those learned from, and those ranked among."""
    first = np.arange(len(whole)) < len(whole) // 2
    return whole.where(first), whole.where(~first)


def _testable(known: _Side, held: _Side, params: Params) -> list[str]:
    """The labels that both halves have enough of, where there is another to contradict them."""
    counts = [Counter(side.labels.tolist()) for side in (known, held)]
    able = [label for label in counts[0] if min(c[label] for c in counts) >= params.min_rows]
    return able if len(counts[0]) > 1 else []


def _p_values(
    known: _Side, held: _Side, now: _Side, params: Params
) -> tuple[NDArray[np.float64], float]:
    """The p-value of each current record, and the least that any could have had."""
    usual, scores = _scores(held, known, params), _scores(now, known, params)
    p, least = np.ones(len(now)), 1.0
    for label in np.unique(now.labels):
        own = usual[held.labels == label]
        mine = now.labels == label
        p[mine] = _conformal.p_values(own, scores[mine])
        least = min(least, 1 / (1 + len(own)))
    return p, least


def _scores(rows: _Side, known: _Side, params: Params) -> NDArray[np.float64]:
    """How much farther the nearest of the same label are than the nearest of any other."""
    scores = np.empty(len(rows))
    for block in _rows.blocks(len(rows), _BLOCK):
        apart = _distances(rows.vectors[block], known.vectors)
        same = rows.labels[block, None] == known.labels
        own, other = (
            _mean_of_nearest(np.where(mask, apart, np.inf), params.neighbours)
            for mask in (same, ~same)
        )
        scores[block] = np.divide(own, other, out=np.full(len(own), np.inf), where=other > 0)
        scores[block][(own == 0) & (other == 0)] = 1.0
    return scores


def _distances(rows: NDArray[np.float64], known: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = (rows**2).sum(axis=1)[:, None] + (known**2).sum(axis=1) - 2 * rows @ known.T
    distances: NDArray[np.float64] = np.sqrt(np.maximum(squares, 0.0))
    return distances


def _mean_of_nearest(apart: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """The mean of the k smallest of each row that are finite; inf where none is."""
    k = min(k, apart.shape[1])
    nearest = np.partition(apart, k - 1, axis=1)[:, :k]
    there = np.isfinite(nearest)
    count = there.sum(axis=1)
    total = np.where(there, nearest, 0.0).sum(axis=1)
    mean: NDArray[np.float64] = np.full(len(apart), np.inf)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


def _finding(
    p: NDArray[np.float64],
    least: float,
    known: _Side,
    now: _Side,
    n: int,
    detail: dict[str, float],
    params: Params,
) -> Finding:
    m, picked = len(now), _conformal.select(p, params.alpha)
    fewest = _conformal.fewest(m, least, params.alpha)
    verdict: Verdict = "alarm" if len(picked) else "cannot tell" if fewest > m else "quiet"
    parts = tuple(_part(row, float(p[row]), known, now, params) for row in picked[:_NAMED].tolist())
    p_value = _conformal.simes(p)
    first = picked[:1].tolist()
    clearest = [_said(row, _nearest_labels(row, known, now, params), now) for row in first]
    return Finding(
        monitor="labels",
        verdict=verdict,
        summary=_summary(verdict, clearest, (len(picked), fewest), (n, m, p_value), params),
        statistic=float(len(picked)),
        threshold=0.0,
        p_value=p_value,
        effect_size=len(picked) / m,
        n_reference=n,
        n_current=m,
        record_ids=tuple(now.ids[row] for row in picked[: params.max_ids].tolist()),
        detail=detail | {"fewest_named": float(fewest), "least_p": least},
        parts=parts,
    )


def _part(row: int, p: float, known: _Side, now: _Side, params: Params) -> Part:
    near = _nearest_labels(row, known, now, params)
    others = int((near != str(now.labels[row])).sum())
    return Part(
        kind="check",
        name=quoted(now.ids[row]),
        verdict="alarm",
        summary=f"{_said(row, near, now)} ({_told.p_value(p)})",
        figures={"p_value": p, "others": others / len(near)},
        record_ids=(now.ids[row],),
    )


def _nearest_labels(row: int, known: _Side, now: _Side, params: Params) -> NDArray[np.str_]:
    apart = _distances(now.vectors[row : row + 1], known.vectors)[0]
    return known.labels[np.argsort(apart, kind="stable")[: params.neighbours]]


def _said(row: int, near: NDArray[np.str_], now: _Side) -> str:
    """What a record is labelled, and what its neighbours are."""
    label = str(now.labels[row])
    said, votes = Counter(near.tolist()).most_common(1)[0]
    contradicted = f", {votes} say {said}" if said != label else ""
    return (
        f"{quoted(now.ids[row])} is labelled {label}; of its {len(near)} nearest "
        f"{int((near != label).sum())} are not{contradicted}"
    )


def _untested(reference_rows: int, m: int, params: Params) -> str:
    if not reference_rows:
        return FIRST
    return (
        f"none of {m:,} current contents has a label of which the reference has "
        f"{2 * params.min_rows} or more, beside another label"
    )


def _summary(
    verdict: Verdict,
    clearest: Sequence[str],
    counts: tuple[int, int],
    compared: tuple[int, int, float],
    params: Params,
) -> str:
    (picked, fewest), (n, m, p_value) = counts, compared
    by = f"({_told.p_value(p_value)}, {_told.sizes(n, m)})"
    if verdict == "alarm":
        return (
            f"the neighbours contradict {params.column} of {picked:,} of {m:,} records, most "
            f"clearly {clearest[0]} {by}"
        )
    if verdict == "quiet":
        unseen = f"; fewer than {fewest:,} at once would not show" if fewest > 1 else ""
        return f"{params.column} of all records is as their neighbours have it{unseen} {by}"
    return (
        f"{m:,} current records, and {fewest:,} would have to come together to be named; raise "
        f"alpha or give more reference contents"
    )
