"""Many small ridge regressions at once: a step of alternating least squares, and of folding in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Ints = NDArray[np.integer[Any]]

_ENTRIES = 2**16
"""Rows of the design, or of all left-hand sides, at a time: with 64 factors 32 MiB each."""


@dataclass(frozen=True)
class Evidence:
    """What is known of n rows, in the manner of a sparse matrix by rows.

    Attributes:
        starts: ``(n + 1,)`` int, where each row begins.
        others: ``(nnz,)`` int, the rows of the factors that it is about.
        weights: ``(nnz,)`` float64, by which each counts.
        targets: ``(nnz,)`` float64, weight times the value that each should have.
    """

    starts: Ints
    others: Ints
    weights: NDArray[np.float64]
    targets: NDArray[np.float64]


def solved(
    factors: NDArray[np.floating[Any]], evidence: Evidence, prior: NDArray[np.float64]
) -> NDArray[np.float64]:
    """For each row the x that minimises ``sum(w (v.x - t/w)^2) + x' prior x``.

    Rows with as much evidence are solved together, each by itself: what a row comes to does not
    depend on the others.

    Args:
        factors: ``(m, k)``, the v.
        evidence: of n rows.
        prior: ``(k, k)``, positive definite.

    Returns:
        ``(n, k)``; zeros where there is no evidence.
    """
    counts = np.diff(evidence.starts)
    found = np.zeros((len(counts), factors.shape[1]))
    for rows, count in _alike(counts, factors.shape[1]):
        left = np.broadcast_to(prior, (len(rows), *prior.shape)).copy()
        right = np.zeros((len(rows), factors.shape[1]))
        for at in range(0, count, _ENTRIES):
            places = evidence.starts[rows][:, None] + np.arange(at, min(at + _ENTRIES, count))
            design = factors[evidence.others[places]].astype(np.float64)
            turned = design.transpose(0, 2, 1)
            left += turned @ (evidence.weights[places][:, :, None] * design)
            right += (turned @ evidence.targets[places][:, :, None])[:, :, 0]
        found[rows] = np.linalg.solve(left, right[:, :, None])[:, :, 0]
    return found


def _alike(counts: Ints, width: int) -> Iterator[tuple[NDArray[np.intp], int]]:
    """Rows of equal counts, some at a time; those of none are left out."""
    order = np.argsort(counts, kind="stable")
    ends = np.flatnonzero(np.diff(counts[order])) + 1
    for group in np.split(order, ends):
        count = int(counts[group[0]]) if len(group) else 0
        if count:
            step = max(1, _ENTRIES // max(count, width))
            for at in range(0, len(group), step):
                yield group[at : at + step], count
