"""One slice of two samples, looked at: what is in it, and how much of all it is."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _cells, _cutting, _rff, _rows, _splits, _told
from flows.monitors.base import Part
from storage.parts import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from flows.monitors._cutting import Column, Slice
    from flows.monitors.base import Sample, Verdict
    from flows.monitors.slices import Params

    Rows = NDArray[np.intp]

_MOST = 1000
"""Contents of either side of a slice that are looked at."""


@dataclass(frozen=True)
class Looked:
    """A slice, and what its tests say.

    Attributes:
        slice: its rows are places in the pool, the reference's first.
        sizes: rows of either side of the whole pool.
        p_values: ``inside``, whether its contents have changed, where there were enough; and
            ``share``, whether there are more or fewer of them.
        least_p: the least p-value that ``inside`` could have had.
        mmd: of its two sides; 0 where it was not looked into.
        strangest: current rows, less the reference's number, those least like the reference first.
        q_values: p-values adjusted for all that was tested.
    """

    slice: Slice
    sizes: tuple[int, int]
    p_values: dict[str, float]
    least_p: float
    mmd: float
    strangest: Rows
    q_values: dict[str, float] = field(default_factory=dict)

    @property
    def current(self) -> Rows:
        """Its current rows, less the reference's number."""
        rows = self.slice.rows
        later: Rows = rows[rows >= self.sizes[0]] - self.sizes[0]
        return later

    @property
    def counts(self) -> tuple[int, int]:
        """Its rows of either side."""
        theirs = len(self.current)
        return len(self.slice.rows) - theirs, theirs

    @property
    def shares(self) -> tuple[float, float]:
        """Of either side, the share that is in it."""
        return self.counts[0] / self.sizes[0], self.counts[1] / self.sizes[1]

    @property
    def least_q(self) -> float:
        """Of the test that says most clearly that it has changed."""
        return min(self.q_values.values(), default=1.0)

    @property
    def is_new(self) -> bool:
        """Whether the reference does not have this value."""
        return self.slice.is_value and not self.counts[0]

    @property
    def is_gone(self) -> bool:
        """Whether only the reference has this value."""
        return self.slice.is_value and not self.counts[1]

    @property
    def clearest(self) -> str:
        """It and the clearer of what its tests say, in words."""
        name, inside = _told.sliced(self.slice.name), self.q_values.get("inside", 1.0)
        if inside < self.q_values.get("share", 1.0):
            return f"{name}, whose contents are others (MMD {self.mmd:.2g})"
        return f"{name} {_told.moved(*self.shares)}"

    @property
    def told(self) -> str:
        """What was measured, in words."""
        words = [f"{_told.moved(*self.shares)} of contents"]
        if "share" in self.q_values:
            words[0] += f" ({_told.p_value(self.q_values['share'], adjusted=True)})"
        if "inside" in self.q_values:
            q_value = _told.p_value(self.q_values["inside"], adjusted=True)
            words.append(f"MMD within {self.mmd:.2g} ({q_value})")
        return ", ".join(words)

    @classmethod
    def counted(cls, one: Slice, sizes: tuple[int, int], p_value: float, adjusted: float) -> Looked:
        """A slice of which nothing but the share was tested."""
        later = one.rows[one.rows >= sizes[0]] - sizes[0]
        return cls(one, sizes, {"share": p_value}, 1.0, 0.0, later, {"share": adjusted})

    def part(self, ids: Sequence[str], alpha: float, most: int, needed: int = 0) -> Part:
        """It as a part of a finding.

        Args:
            ids: of the current rows.
            alpha: adjusted p-values up to it are a change.
            most: records that are named.
            needed: contents a side to be looked into; 0 where that was not asked.
        """
        changed = self.least_q <= alpha
        unseen = needed > 0 and "inside" not in self.p_values
        verdict: Verdict = "cannot tell" if unseen else "quiet"
        lacks = f"; {needed} contents a side are needed to look into it" if unseen else ""
        ours, theirs = self.counts
        figures = {
            "share_reference": self.shares[0],
            "share_current": self.shares[1],
            "n_reference": float(ours),
            "n_current": float(theirs),
            **{f"q_{kind}": value for kind, value in self.q_values.items()},
        }
        if "inside" in self.p_values:
            figures["mmd"] = self.mmd
        return Part(
            kind="slice",
            name=self.slice.name,
            verdict="alarm" if changed else verdict,
            summary=self.told + lacks,
            figures=figures,
            record_ids=tuple(_rows.ids_at(ids, self.strangest[:most])) if changed else (),
        )


def columns(
    reference: Sample,
    current: Sample,
    rows: tuple[Rows, Rows],
    wanted: Sequence[str],
    most: int,
) -> list[Column]:
    """The kept columns cut into slices, or why they are not.

    Args:
        reference: has some columns.
        current: has some columns.
        rows: of either, in the order of the pool.
        wanted: which columns; where none is named, all but those that say of what record a row is
            a part, and which.
        most: different values that are slices each.
    """
    there = [name for name in reference.kept if name in current.kept]
    found = []
    every = [n for n in {**reference.kept, **current.kept} if n not in PARTS.names]
    for name in wanted or every:
        if name in there:
            values = [reference.kept[name][row] for row in rows[0].tolist()]
            values += [current.kept[name][row] for row in rows[1].tolist()]
            found.append(_cutting.cut(name, values, most))
        else:
            among = ", ".join(map(repr, there)) or "none"
            why = f"one of the two sides does not keep it; both keep: {among}"
            found.append(_cutting.Column(name, why=why))
    return found


def left_out(column: Column) -> Part:
    """What is said of a column that is not cut."""
    return Part("slice", column.name, "cannot tell", f"not cut into slices: {column.why}")


def names(some: Iterable[Looked], most: int) -> str:
    """Names of some slices, with how many contents are in them, the largest first."""
    ordered = sorted(some, key=lambda one: -len(one.slice.rows))
    told = [f"{one.slice.name} ({len(one.slice.rows):,} contents)" for one in ordered[:most]]
    more = [f"{len(ordered) - most:,} more"] if len(ordered) > most else []
    return ", ".join(told + more)


def look(
    cut: Sequence[Column],
    mmd: _rff.Mmd,
    rng: np.random.Generator,
    params: Params,
    *,
    only: int,
) -> tuple[list[Looked], int]:
    """Test slices of the pool.

    Args:
        cut: columns of slices of it.
        mmd: of the pool.
        rng: all chance.
        params: how it is tested.
        only: at most so many slices, the largest.

    Returns:
        The slices, and how many were left out.
    """
    pairs = [(one, p) for column in cut for one, p in _asked(column, mmd.sizes, params)]
    chosen = sorted(pairs, key=lambda pair: -len(pair[0].rows))[:only]
    return [_look(one, p, mmd, rng, params) for one, p in chosen], len(pairs) - len(chosen)


def shares(column: Column, sizes: tuple[int, int]) -> list[tuple[Slice, float]]:
    """The slices of a column, each with the p-value of its share not having changed."""
    if not column.slices:
        return []
    theirs = np.array([np.sum(one.rows >= sizes[0]) for one in column.slices], dtype=np.float64)
    ours = np.array([len(one.rows) for one in column.slices]) - theirs
    return list(zip(column.slices, _cells.p_values(ours, theirs).tolist(), strict=True))


def _asked(
    column: Column, sizes: tuple[int, int], params: Params
) -> Sequence[tuple[Slice, float | None]]:
    """As `shares`; without p-values for times that nobody asked for."""
    if column.is_time and column.name not in params.columns:
        return [(one, None) for one in column.slices]
    return shares(column, sizes)


def _look(
    one: Slice,
    p_share: float | None,
    mmd: _rff.Mmd,
    rng: np.random.Generator,
    params: Params,
) -> Looked:
    sides = one.rows[one.rows < mmd.sizes[0]], one.rows[one.rows >= mmd.sizes[0]]
    p_values = {} if p_share is None else {"share": p_share}
    later = sides[1] - mmd.sizes[0]
    if min(map(len, sides)) < params.min_rows:
        return Looked(one, mmd.sizes, p_values, 1.0, 0.0, later)
    ours, theirs = (_rows.draw(side, _MOST, rng) for side in sides)
    features = mmd.features[np.concatenate([ours, theirs])]
    own = _rff.Mmd(features, mmd.frequencies, (len(ours), len(theirs)))
    outcome = _splits.permute([own], own.sizes, params.rounds, rng)
    order = np.argsort(-own.witness()[len(ours) :], kind="stable")
    return Looked(
        one,
        mmd.sizes,
        p_values | {"inside": outcome.p_value},
        outcome.least_p,
        math.sqrt(max(outcome.observed, 0.0)),
        theirs[order] - mmd.sizes[0],
    )
