"""Outliers: which current records do not belong to what the reference came from.

Half of the reference, at most ``max_training`` contents, teaches some detectors
(`flows.monitors._detectors`). What is left of it, the calibration rows, and the current rows are
scored alike, and a record's p-value is the share of calibration rows that are as strange: split
conformal inference, exact at every size, for every distribution and with ties. From these p-values
Benjamini and Hochberg's procedure picks the records that are named, of which on average no more
than a share ``alpha`` belong after all; without outliers, and so without a right pick, the chance
that any is picked is at most ``alpha`` too, which is the verdict's rate of false alarms. Proof and
sources are in `flows.monitors._conformal`. No share of outliers is assumed anywhere.

``alpha`` is 0.05 rather than the 0.01 of `drift`, because a p-value is never below one over the
calibration rows and one: with 1,000 of them and 200 current rows, 4 outliers must come together to
be named at 0.05, and 20 at 0.01.

The detectors' scores are put on one scale by their ranks among all rows that are scored, and added
as -log of the share that ranks as high (Fisher 1932), so that one sure detector can carry a record
and no detector's units count. The ranks are of calibration and current rows together, which treats
both alike and so leaves the p-values true (Marandon, Lei, Mary & Roquain 2024), and knows of the
tails, which the training rows' own scores, flattered by having been learned from, do not.

Each content counts once, on one side, as in `flows.monitors.drift`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _conformal, _rows, _told
from flows.monitors._detectors import DETECTORS, Detector, scores
from flows.monitors._ranges import at_least, check_alpha
from flows.monitors._told import named
from flows.monitors.base import FIRST, Finding, Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors.base import Sample, Verdict

COUNTS = "records"
BY_DEFAULT = True

# a record does not belong to the others; where most do not, it is the others that are not there
_WHOLESALE = 0.5
# which of so few nobody can tell
_FEW = 4


@dataclass(frozen=True)
class Params:
    """How outliers are looked for.

    Attributes:
        detectors: what scores the records: ``knn``, ``lof``, ``mahalanobis``, ``ecod`` or
            ``isolation_forest``; several are added up.
        alpha: the share of named records that may belong after all, on average, and the share of
            runs without outliers that may raise an alarm.
        neighbours: that ``knn`` and ``lof`` look at.
        max_rows: contents drawn from the reference.
        max_training: how many of these the detectors learn from at most; never more than half.
        min_rows: with fewer contents in either part of the reference nothing is tested.
        min_current: with fewer current contents the verdict is ``cannot tell`` unless one of them
            is named.
        max_ids: how many records a finding names.
    """

    detectors: tuple[Detector, ...] = ("knn", "lof", "mahalanobis")
    alpha: float = 0.05
    neighbours: int = 20
    max_rows: int = 10_000
    max_training: int = 2000
    min_rows: int = 20
    min_current: int = 3
    max_ids: int = 20

    def __post_init__(self) -> None:
        known = ", ".join(DETECTORS)
        if not self.detectors:
            raise ValueError(f"detectors is empty; name at least one of {known}")
        for detector in self.detectors:
            if detector not in DETECTORS:
                raise ValueError(f"detectors names {detector!r}; there are: {known}")
        if len(set(self.detectors)) < len(self.detectors):
            raise ValueError(f"detectors names one twice, got {list(self.detectors)}")
        check_alpha(self.alpha, usual=0.05)
        at_least(self, neighbours=1, min_rows=2, min_current=1, max_ids=0)
        for name, halves in (("max_training", 1), ("max_rows", 2)):
            if getattr(self, name) < halves * self.min_rows:
                raise ValueError(
                    f"{name} must be at least {halves * self.min_rows}, {halves} times min_rows, "
                    f"got {getattr(self, name)}, or the verdict is always 'cannot tell'"
                )


@dataclass(frozen=True)
class _Picked:
    """What one score says of the current rows.

    Attributes:
        p: ``(m,)``.
        rows: the places of those that are picked, the strangest first.
        p_value: of all together.
    """

    p: NDArray[np.float64]
    rows: NDArray[np.intp]
    p_value: float


@dataclass(frozen=True)
class _Test:
    """What is said of the current rows.

    Attributes:
        together: by all detectors.
        alone: by each.
        training: rows learned from.
        calibration: rows that p-values are ranks among.
        fewest: how many outliers at once can be named at the least.
    """

    together: _Picked
    alone: dict[Detector, _Picked] = field(default_factory=dict)
    training: int = 0
    calibration: int = 0
    fewest: int = 1


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Name the current records that do not belong.

    ``statistic`` is the number of records picked, which is an alarm above ``threshold``, 0.
    ``p_value`` is Simes' for all records together, at most ``alpha`` exactly if any is picked, and
    ``effect_size`` the share of current contents that are. ``record_ids`` are the picked, strangest
    first, and ``parts`` what each detector by itself would pick at ``alpha``. ``detail`` has the
    sizes of both parts of the reference, ``fewest_named``, how many outliers must at the least come
    together for any to be named, and the rows left out, as in `flows.monitors.drift`.

    Raises:
        ValueError: if the samples differ in width.
    """
    _rows.check_widths(reference, current)
    ours, theirs = _rows.one_a_content(reference, current, rng)
    detail = _rows.left_out(reference, current, (ours, theirs))
    ours = _rows.draw(ours, params.max_rows, rng)
    n, m = len(ours), len(theirs)
    if n < 2 * params.min_rows or m == 0:
        summary = _untested(len(reference), n, m, params)
        return Finding("outliers", "cannot tell", summary, None, None, None, None, n, m, (), detail)
    test = _run(reference.vectors[rng.permutation(ours)], current.vectors[theirs], rng, params)
    verdict = _verdict(test, m, params)
    ids = _rows.ids_at(current.record_ids, theirs)
    return Finding(
        monitor="outliers",
        verdict=verdict,
        summary=_summary(test, verdict, ids, n, params),
        statistic=float(len(test.together.rows)),
        threshold=0.0,
        p_value=test.together.p_value,
        effect_size=len(test.together.rows) / m,
        n_reference=n,
        n_current=m,
        record_ids=_ids(test.together, ids, params),
        detail=detail | _figures(test),
        parts=tuple(_part(name, alone, ids, test, params) for name, alone in test.alone.items()),
    )


def _run(
    reference: NDArray[np.float32],
    current: NDArray[np.float32],
    rng: np.random.Generator,
    params: Params,
) -> _Test:
    training = min(len(reference) // 2, params.max_training)
    calibration, m = len(reference) - training, len(current)
    rows = np.concatenate([reference[training:], current])
    found: dict[Detector, NDArray[np.float64]] = {
        detector: scores(detector, reference[:training], rows, params.neighbours, rng)
        for detector in params.detectors
    }
    return _Test(
        together=_pick(added(list(found.values())), calibration, params.alpha),
        alone={name: _pick(score, calibration, params.alpha) for name, score in found.items()},
        training=training,
        calibration=calibration,
        fewest=_conformal.fewest(m, 1 / (1 + calibration), params.alpha),
    )


def added(found: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The scores of several detectors as one; each is ``(n,)``."""
    from scipy.stats import rankdata

    if len(found) == 1:
        return found[0]
    reached = [rankdata(-score, method="max") / len(score) for score in found]
    total: NDArray[np.float64] = -np.log(reached).sum(axis=0)
    return total


def _pick(score: NDArray[np.float64], calibration: int, alpha: float) -> _Picked:
    p = _conformal.p_values(score[:calibration], score[calibration:])
    rows = _conformal.select(p, alpha)
    strangest = rows[np.argsort(-score[calibration:][rows], kind="stable")]
    return _Picked(p, strangest, _conformal.simes(p))


def _verdict(test: _Test, m: int, params: Params) -> Verdict:
    if len(test.together.rows):
        return "alarm"
    return "cannot tell" if m < params.min_current or test.fewest > m else "quiet"


def _ids(picked: _Picked, ids: list[str], params: Params) -> tuple[str, ...]:
    return tuple(ids[row] for row in picked.rows[: params.max_ids].tolist())


def _figures(test: _Test) -> dict[str, float]:
    return {
        "training": float(test.training),
        "calibration": float(test.calibration),
        "fewest_named": float(test.fewest),
        "least_p": 1 / (1 + test.calibration),
    }


def _part(detector: Detector, alone: _Picked, ids: list[str], test: _Test, params: Params) -> Part:
    count, m = len(alone.rows), len(ids)
    if count:
        told = f"by itself would name {count:,} of {m:,}, first {named(ids, alone.rows)}"
    else:
        told = f"by itself would name none of {m:,}"
    return Part(
        kind="detector",
        name=detector,
        verdict=_verdict(_Test(alone, fewest=test.fewest), m, params),
        summary=f"{told} ({_told.p_value(alone.p_value)})",
        figures={"selected": float(count), "p_value": alone.p_value},
        record_ids=_ids(alone, ids, params),
    )


def _untested(reference_rows: int, n: int, m: int, params: Params) -> str:
    if not reference_rows:
        return FIRST
    return (
        f"{_told.sizes(n, m)}; {2 * params.min_rows} of the reference are needed, one half to "
        "learn from and one to rank among, and a current one"
    )


def _summary(test: _Test, verdict: Verdict, ids: list[str], n: int, params: Params) -> str:
    picked, m = test.together, len(ids)
    by = f"({_told.p_value(picked.p_value)}, {_told.sizes(n, m)})"
    if verdict == "alarm":
        wholesale = len(picked.rows) > max(_FEW, _WHOLESALE * m)
        drifted = "; of so many it is the data that has changed: see drift" if wholesale else ""
        return (
            f"{len(picked.rows):,} of {m:,} records do not belong: {named(ids, picked.rows)}"
            f"{drifted} {by}"
        )
    if verdict == "quiet":
        unseen = f"; fewer than {test.fewest:,} at once would not show" if test.fewest > 1 else ""
        return f"no record stands out{unseen} {by}"
    if test.fewest > m:
        return (
            f"{test.calibration:,} contents to rank among give no p-value below "
            f"{1 / (1 + test.calibration):.2g}, and alpha is {params.alpha:g}; raise alpha or give "
            f"more reference contents {by}"
        )
    return f"no record stands out, and fewer than {params.min_current} say nothing of a run {by}"
