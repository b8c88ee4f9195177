"""What the two-sample tests share: their parameters, and the rows that they compare.

A permutation test is exact for rows that could as well have come in any other order. Copies of one
content could not: a batch that brings a text five times brings all five together. So each content
is tested once, on the side of one of its rows, drawn evenly from all of them on both sides. That
draw knows nothing of the vectors, so the level is right for copies within a batch, even if some
kinds of content are copied more; for popular contents that come back in batch after batch; and for
contents published again under new ids, if which ones has nothing to do with their vectors. Keeping
such contents on both sides instead would give the smaller sample a larger share of the popular
ones, which is an alarm without a change, and would hide changes behind those published again.

Where there are more contents than are drawn, whole sketches of both sides are compared, made by
the same rule (`flows.monitoring.sketching`), and rows only name records.

The price: what is compared is contents, not rows. That some come more often than they used to is
seen only as far as it moves them from one side to the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from flows.monitors import _analytic, _moments, _rows, _wording
from flows.monitors._ranges import at_least, check_alpha
from flows.monitors.base import FIRST, Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from flows.monitors._evidence import Evidence
    from flows.monitors._sketch import Sketch
    from flows.monitors.base import Part, Sample

_FEW = 99
"""Random splits of rows that only have to name records."""


@dataclass(frozen=True)
class Params:
    """What every two-sample test takes.

    Attributes:
        alpha: the share of runs without drift that may raise an alarm.
        permutations: random splits behind the p-value.
        most_permutations: random splits of a second round, drawn where none of the first reaches
            the true one, for a p-value as low as 1/(most_permutations + 1); 0 for no such round.
        max_rows: contents drawn from each sample.
        min_rows: with fewer contents on either side the verdict is ``cannot tell``.
        min_effect: an effect size below this is no alarm, however sure it is.
        max_ids: how many records a finding names.
    """

    alpha: float = 0.01
    permutations: int = 999
    most_permutations: int = 19_999
    max_rows: int = 2000
    min_rows: int = 20
    min_effect: float = 0.0
    max_ids: int = 20

    def __post_init__(self) -> None:
        check_alpha(self.alpha, usual=0.01)
        at_least(self, permutations=1, most_permutations=0, min_rows=2, max_rows=2, max_ids=0)
        if self.max_rows < self.min_rows:
            raise ValueError(
                f"max_rows ({self.max_rows}) must not be below min_rows ({self.min_rows}), "
                "or the verdict is always 'cannot tell'"
            )

    @property
    def rounds(self) -> tuple[int, int]:
        """Random splits of the first round and of the second."""
        return self.permutations, self.most_permutations


P = TypeVar("P", bound=Params)


@dataclass(frozen=True)
class Sides:
    """The contents to compare.

    Attributes:
        pool: ``(n + m, dim)`` float64, the reference's n rows first; its mean is 0.
        n: rows of the reference, at least 2.
        m: current rows, at least 2.
        ids: the m current records.
        left_out: how many rows are not tested, by why not and sample.
        kept: the columns that both samples keep, n + m values each.
    """

    pool: NDArray[np.float64]
    n: int
    m: int
    ids: Sequence[str]
    left_out: dict[str, float]
    kept: dict[str, list[object]]

    @property
    def sizes(self) -> tuple[int, int]:
        """Rows of either side."""
        return self.n, self.m

    @property
    def reference(self) -> NDArray[np.float64]:
        """The reference's rows, ``(n, dim)``."""
        return self.pool[: self.n]

    @property
    def current(self) -> NDArray[np.float64]:
        """The current rows, ``(m, dim)``."""
        return self.pool[self.n :]

    @cached_property
    def shift(self) -> float:
        """How far the mean has moved, less what sampling alone gives."""
        return _moments.shift(self.reference, self.current)

    @cached_property
    def spread(self) -> float:
        """The reference's total standard deviation: the root of the trace of its covariance.

        Exactly 0 for equal rows, whatever rounding says.
        """
        rows = self.reference
        if (rows == rows[0]).all():
            return 0.0
        return math.sqrt(float(rows.var(axis=0, ddof=1).sum()))

    @property
    def mean_shift(self) -> float | None:
        """The shift in units of the spread; None where there is none."""
        return self.shift / self.spread if self.spread > 0 else None


@dataclass(frozen=True)
class Result:
    """What a two-sample test found, wherever its figures came from.

    Attributes:
        evidence: what was measured, and what it is worth.
        effect: the size of the change.
        told: what moved and how far, in words, where no part says it.
        figures: for the finding's detail; None for what has no meaning here.
            ``smallest_visible`` is told in the summary of a finding that is no alarm.
        strangeness: ``(m,)`` how little each current row looks like the reference; empty where
            rows were not looked at.
        parts: of the finding.
        explain: makes the parts of an alarm, where that takes longer.
    """

    evidence: Evidence
    effect: float
    told: str
    figures: dict[str, float | None] = field(default_factory=dict)
    strangeness: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    parts: tuple[Part, ...] = ()
    explain: Callable[[], tuple[Part, ...]] | None = None


def compare(
    monitor: str,
    samples: tuple[Sample, Sample],
    rng: np.random.Generator,
    params: P,
    run: Callable[[Sides, np.random.Generator, P], Result],
    sketched: Callable[[Result, tuple[Sketch, Sketch], P], Result] | None = None,
) -> Finding:
    """Choose rows of the reference and the current sample, test them and word the finding.

    Where there are more contents than are drawn, and sketches of all of them, the verdict is that
    of the sketches, and the rows drawn only name records and parts.

    Args:
        monitor: its name.
        samples: the reference and the current one.
        rng: all chance.
        params: of the monitor.
        run: the test on rows.
        sketched: the test on sketches, given what that on rows found.

    Raises:
        ValueError: if the samples differ in width.
    """
    reference, current = samples
    _rows.check_widths(reference, current)
    rows = _rows.one_a_content(reference, current, rng)
    left_out = _rows.left_out(reference, current, rows)
    ours, theirs = (_rows.draw(side, params.max_rows, rng) for side in rows)
    n, m = len(ours), len(theirs)
    if min(n, m) < 2:  # noqa: PLR2004 - no spread is known from one row
        summary = _wording.too_few(n, m, params) if len(reference) else FIRST
        return Finding(monitor, "cannot tell", summary, None, None, None, None, n, m, (), left_out)
    pool = np.concatenate([reference.vectors[ours], current.vectors[theirs]]).astype(np.float64)
    pool -= pool.mean(axis=0)
    ids = _rows.ids_at(current.record_ids, theirs)
    sides = Sides(pool, n, m, ids, left_out, _kept(samples, (ours, theirs)))
    pair = _analytic.usable((reference.sketch, current.sketch), params.max_rows)
    if pair is None or sketched is None:
        return _wording.finding(monitor, run(sides, rng, params), sides, params)
    drawn = run(sides, rng, replace(params, permutations=_FEW, most_permutations=0))
    return _wording.finding(monitor, sketched(drawn, pair, params), _whole(sides, pair), params)


def _kept(
    samples: tuple[Sample, Sample], rows: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> dict[str, list[object]]:
    ours, theirs = (sample.kept for sample in samples)
    return {
        name: [side[name][row] for side, at in zip((ours, theirs), rows, strict=True) for row in at]
        for name in ours
        if name in theirs
    }


def _whole(sides: Sides, pair: tuple[Sketch, Sketch]) -> Sides:
    """The sizes of the sketches in the place of those of the rows drawn."""
    names = ("left_out_reference", "left_out_current")
    left_out = {name: float(side.left_out) for name, side in zip(names, pair, strict=True)}
    return replace(sides, n=pair[0].count, m=pair[1].count, left_out=left_out)
