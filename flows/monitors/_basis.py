"""What the sketches of a version are taken over: features, directions, bins, cells, fixed once.

Sketches can only be added up if all were taken in the same terms, so these are learned once, from
some rows, and never again while the version lives. What is learned from rows fits those rows better
than any others: their variance along the directions is larger, they lie nearer the cells' centres.
A test between samples one of which holds more of them than the other would take that for a change.
So the rows that a basis is learned from are in no sketch: the contents whose hash is below a border
make the basis, the others make the sketches. A hash knows nothing of a vector, so what is left is a
fair draw, and a test is right whatever the basis is.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.monitors import _cells as _clusters
from flows.monitors import _rff

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

FREQUENCIES = 128
"""Complex random Fourier features: half as many as the row-wise tests', which see fewer rows."""

COMPONENTS = 32
BINS = 64
CELLS = 16
ROWS = 5_000
"""Rows that a basis is learned from at most."""

_ROWS_A_CELL = 20
_SAME_NORM = 1e-3
_FLAT = 1e-9


@dataclass(frozen=True)
class Basis:
    """The terms that sketches are taken in; k is the number of components, at most 32.

    Attributes:
        centre: ``(dim,)`` float64, the mean of the rows that it was learned from.
        frequencies: ``(dim, 128)`` float64, of a Gaussian kernel (`flows.monitors._rff`).
        components: ``(dim, k)`` float64, orthonormal, the leading principal directions first.
        rest: ``(at most dim - k,)`` float64, the variances beyond these, largest first.
        edges: ``(k, 63)`` float64, borders of bins along each component, ascending.
        cells: ``(at most 16, k)`` float64, centres among the components, by k-means.
        norm_edges: ``(at most 63,)`` float64, borders of bins of norms.
        bandwidth: of the kernel, ``(1,)`` float64.
    """

    centre: NDArray[np.float64]
    frequencies: NDArray[np.float64]
    components: NDArray[np.float64]
    rest: NDArray[np.float64]
    edges: NDArray[np.float64]
    cells: NDArray[np.float64]
    norm_edges: NDArray[np.float64]
    bandwidth: NDArray[np.float64]

    @property
    def dim(self) -> int:
        """The width of a row."""
        return len(self.centre)

    @cached_property
    def digest(self) -> str:
        """What tells it from other bases: 32 hex digits."""
        found = blake2b(digest_size=16)
        for name, array in self.arrays().items():
            found.update(f"{name} {array.shape}".encode())
            found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """All there is of it, to be kept."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Basis:
        """A basis that was kept.

        Raises:
            KeyError: if something is missing.
        """
        return cls(**{field.name: arrays[field.name] for field in fields(cls)})

    @classmethod
    def learn(cls, rows: NDArray[np.float32], rng: np.random.Generator) -> Basis:
        """A basis from ``(n, dim)`` finite rows, n at least 1, which then belong in no sketch.

        Args:
            rows: a fair draw of what there is; more than 5,000 are no use.
            rng: all chance.

        Raises:
            ValueError: if there are no rows.
        """
        if not len(rows):
            raise ValueError(f"a basis is learned from rows, got none of shape {rows.shape}")
        plain = rows.astype(np.float64)
        centre = plain.mean(axis=0)
        norms = np.linalg.norm(plain, axis=1)
        plain -= centre
        bandwidth = _rff.median_distance(plain, rng)
        components, rest = _directions(plain)
        places = plain @ components
        return cls(
            centre=centre,
            frequencies=_rff.frequencies(rows.shape[1], 2 * FREQUENCIES, bandwidth, rng),
            components=components,
            rest=rest,
            edges=np.quantile(places, _shares(), axis=0).T.reshape(-1, BINS - 1),
            cells=_cells(places, rng),
            norm_edges=_norm_edges(norms),
            bandwidth=np.array([bandwidth]),
        )


def _shares() -> NDArray[np.float64]:
    return np.arange(1, BINS, dtype=np.float64) / BINS


def _directions(rows: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The leading principal directions of centred rows, and the variances along the others."""
    n, dim = rows.shape
    _, spreads, directions = np.linalg.svd(_squared(rows), full_matrices=False)
    variances = spreads**2 / max(1, n - 1)
    kept = min(COMPONENTS, dim, int(np.sum(variances > variances[0] * _FLAT)) if n > 1 else 0)
    return np.ascontiguousarray(directions[:kept].T), _less_noise(variances[kept:dim], dim, kept, n)


def _squared(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """No more rows than there are columns, with the same products: a fraction of the work."""
    n, dim = rows.shape
    return rows if n <= dim else np.asarray(np.linalg.qr(rows, mode="r"))


def _less_noise(variances: NDArray[np.float64], dim: int, kept: int, n: int) -> NDArray[np.float64]:
    """The variances of a sample lie further apart than those of what it is drawn from.

    The sum of their squares is too large by about the square of their sum over n; they are drawn
    towards their mean until it is right, as by Ledoit & Wolf 2004.
    """
    width = dim - kept
    if not width:
        return np.empty(0)
    every = np.zeros(width)
    every[: len(variances)] = variances
    total, squares = float(every.sum()), float((every**2).sum())
    even = total**2 / width
    if squares <= even:
        return every
    wanted = max(even, squares - total**2 / n)
    return total / width + float(np.sqrt((wanted - even) / (squares - even))) * (
        every - total / width
    )


def _cells(places: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Centres of k-means, at least 20 rows a cell; one at the middle where there is no spread."""
    count = min(CELLS, len(places) // _ROWS_A_CELL)
    if count < 2 or not places.shape[1]:  # noqa: PLR2004 - one cell is no division
        return np.zeros((1, places.shape[1]))
    return np.ascontiguousarray(_clusters.fit(places, count, rng))


def _norm_edges(norms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles; none between norms that are equal but for rounding."""
    low, high = norms.min(), norms.max()
    if high - low <= _SAME_NORM * high:
        return np.empty(0)
    return np.unique(np.quantile(norms, _shares()))
