"""Drift by slices: which values of the kept columns hold other records than they used to.

A change in one label can be lost among all others, and that one label comes more often is a change
of its own. Each slice is asked both: whether its contents come from the distribution that the
reference's in it came from (MMD over random Fourier features, `flows.monitors.mmd`, with
permutations within the slice), and whether it holds another share of all contents (Fisher's exact
test). Both are exact at every size, and all of them together are held to a rate of false
discoveries that holds however the slices overlap (Benjamini & Yekutieli 2001).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors import _multiple, _rff, _rows, _sliced, _told, _two_sample
from flows.monitors._ranges import at_least
from flows.monitors.base import FIRST, Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.monitors._cutting import Column
    from flows.monitors._sliced import Looked
    from flows.monitors.base import Sample, Verdict

COUNTS = "slices"
READS = {"kept"}

_NAMED = 3


@dataclass(frozen=True)
class Params(_two_sample.Params):
    """How slices are cut and tested.

    Attributes:
        alpha: of the slices that are said to have changed, the share that may not have.
        max_rows: contents drawn from each sample.
        min_rows: contents of either side that a slice needs to be looked into.
        columns: the kept columns to cut; all where none is named. The share of times is tested
            only where their column is named: later runs have later ones by nature.
        max_values: different values of a column that are slices each; more numbers or times are
            cut at their quartiles, and other columns left out.
        max_slices: the most slices, those with most contents.
        features: random Fourier features, an even number.
    """

    alpha: float = 0.05
    max_rows: int = 5000
    min_rows: int = 10
    columns: tuple[str, ...] = ()
    max_values: int = 30
    max_slices: int = 60
    features: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        _rff.check_features(self.features)
        at_least(self, max_values=1, max_slices=1)


def columns(params: Params) -> Mapping[str, Sequence[str]]:
    """The columns that keys name, by key."""
    return {"columns": params.columns}


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Test every slice against itself.

    ``statistic`` is the number of slices that have changed, held against a ``threshold`` of 0.
    ``p_value`` is the least p-value adjusted by Benjamini & Yekutieli, a valid one of nothing
    having changed in any slice. ``effect_size`` is the share of the current contents that are in
    a slice that has changed. ``parts`` are the slices, those that changed most clearly first, each
    with its shares, its MMD where it had enough contents to be looked into, and adjusted p-values
    ``q_share`` and ``q_inside``; and the columns that could not be cut. ``record_ids`` of an alarm
    are current records of these slices, those that look least like the reference's first. Rows
    that are not finite, and repeats of a content, are left out and counted in ``detail``.

    Raises:
        ValueError: if the samples differ in width.
    """
    _rows.check_widths(reference, current)
    rows = _rows.one_a_content(reference, current, rng)
    ours, theirs = (_rows.draw(side, params.max_rows, rng) for side in rows)
    sizes, less = (len(ours), len(theirs)), _rows.left_out(reference, current, rows)
    named = _sliced.columns(reference, current, (ours, theirs), params.columns, params.max_values)
    if why := _cannot(reference, named, sizes, params):
        return Finding("slices", "cannot tell", why, None, None, None, None, *sizes, (), less)
    pool = np.concatenate([reference.vectors[ours], current.vectors[theirs]]).astype(np.float64)
    pool -= pool.mean(axis=0)
    ids = _rows.ids_at(current.record_ids, theirs)
    mmd, _ = _rff.fit(pool, sizes, params.features, rng)
    looked, left_out = _sliced.look(named, mmd, rng, params, only=params.max_slices)
    finding = _finding(_judged(looked), named, ids, sizes, left_out, params)
    return replace(finding, detail=less | finding.detail)


def _cannot(
    reference: Sample, columns: Sequence[Column], sizes: tuple[int, int], params: Params
) -> str:
    """Why there is nothing to test; empty if there is."""
    if not len(reference):
        return FIRST
    if min(sizes) < params.min_rows:
        return f"{_told.sizes(*sizes)}, and {params.min_rows} a side are needed"
    if not columns:
        return "no kept columns to slice by; name some as keep in the source"
    if not any(column.slices for column in columns):
        reasons = "; ".join(f"{column.name}: {column.why}" for column in columns[:_NAMED])
        return f"no kept columns that can be sliced ({reasons})"
    return ""


def _judged(looked: Sequence[Looked]) -> list[Looked]:
    """The slices with adjusted p-values, the clearest first."""
    tests = [(at, kind) for at, one in enumerate(looked) for kind in sorted(one.p_values)]
    adjusted = _multiple.benjamini_yekutieli(
        np.array([looked[at].p_values[kind] for at, kind in tests])
    )
    for (at, kind), q_value in zip(tests, adjusted.tolist(), strict=True):
        looked[at].q_values[kind] = q_value
    return sorted(looked, key=lambda one: (one.least_q, -one.mmd))


def _finding(
    looked: Sequence[Looked],
    columns: Sequence[Column],
    ids: Sequence[str],
    sizes: tuple[int, int],
    left_out: int,
    params: Params,
) -> Finding:
    changed = [one for one in looked if one.least_q <= params.alpha]
    touched = {row for one in changed for row in one.current.tolist()}
    effect = len(touched) / sizes[1]
    verdict = _verdict(looked, changed, effect, params)
    alarmed = verdict == "alarm"
    records = [name for one in changed for name in _rows.ids_at(ids, one.strangest)]
    return Finding(
        monitor="slices",
        verdict=verdict,
        summary=_summary(verdict, looked, changed, sizes, params),
        statistic=float(len(changed)),
        threshold=0.0,
        p_value=min((one.least_q for one in looked), default=1.0),
        effect_size=effect,
        n_reference=sizes[0],
        n_current=sizes[1],
        record_ids=tuple(dict.fromkeys(records))[: params.max_ids] if alarmed else (),
        detail={
            "slices": float(len(looked)),
            "slices_looked_into": float(sum("inside" in one.p_values for one in looked)),
            "slices_left_out": float(left_out),
            "columns_left_out": float(sum(not column.slices for column in columns)),
            "new_values": float(sum(one.is_new for one in looked)),
            "vanished_values": float(sum(one.is_gone for one in looked)),
        },
        parts=(
            *(one.part(ids, params.alpha, params.max_ids, params.min_rows) for one in looked),
            *(_sliced.left_out(column) for column in columns if not column.slices),
        ),
    )


def _verdict(
    looked: Sequence[Looked], changed: Sequence[Looked], effect: float, params: Params
) -> Verdict:
    if changed:
        return "alarm" if effect >= params.min_effect else "quiet"
    if not any("inside" in one.p_values for one in looked):
        return "cannot tell"
    return "cannot tell" if _least_q(looked) > params.alpha else "quiet"


def _least_q(looked: Sequence[Looked]) -> float:
    """The least adjusted p-value that one slice, changed inside, could have had."""
    tests = sum(len(one.p_values) for one in looked)
    harmonic = float((1 / np.arange(1, tests + 1)).sum())
    return tests * harmonic * min(one.least_p for one in looked if "inside" in one.p_values)


def _summary(
    verdict: Verdict,
    looked: Sequence[Looked],
    changed: Sequence[Looked],
    sizes: tuple[int, int],
    params: Params,
) -> str:
    least = min((one.least_q for one in looked), default=1.0)
    by = f"({_told.p_value(least, adjusted=True)}, {_told.sizes(*sizes)})"
    other = "".join(
        f"; {word}: {_sliced.names(some, _NAMED)}"
        for word, some in (
            ("new", [one for one in looked if one.is_new]),
            ("vanished", [one for one in looked if one.is_gone]),
        )
        if some
    )
    count = f"{len(looked):,} slices"
    if verdict == "alarm":
        return f"{len(changed):,} of {count} changed, most {changed[0].clearest}{other} {by}"
    if verdict == "quiet" and changed:
        return f"too small a part of all to matter, by min_effect: {changed[0].clearest} {by}"
    if verdict == "quiet":
        return f"no change seen in {count}{other} {by}"
    if not any("inside" in one.p_values for one in looked):
        return f"no slice has {params.min_rows} contents a side to look into{other} {by}"
    return (
        f"no adjusted p-value below {_least_q(looked):.2g} is possible for one slice of {count}, "
        f"and alpha is {params.alpha:g}; raise most_permutations or name fewer columns{other} {by}"
    )
