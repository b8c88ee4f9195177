"""A sketch: what is kept of many contents so that they can be compared without their rows.

Sums over contents, in the terms of a `Basis`: of random Fourier features and of their products, of
the vectors, their squares and the products of their leading components, of these products' own
products, and counts of bins and cells. Sketches of different contents add up to the sketch of all
of them, and a sketch takes the same room whatever it is of: about 390 KB at 384 dimensions.

A kept sketch that lacks one of these is of an earlier release, and is not read.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.monitors import _rff, _rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from flows.monitors._basis import Basis

LEADING = 16
"""Components whose products' covariance is kept."""

_TRIANGLES = ("products", "cross", "moments")
"""Symmetric matrices, of which one triangle is kept."""


@dataclass(frozen=True)
class Sketch:
    """Sums over n contents; k components, F frequencies, all of ``basis``.

    Attributes:
        basis: the terms it is taken in.
        count: n, how many contents it holds.
        left_out: rows that were not finite, and so are not among them.
        features: ``(2F,)`` float64, the sum of the features, real and imaginary parts in turn.
        products: ``(2F, 2F)`` float64, the sum of their outer products.
        total: ``(dim,)`` float64, the sum of the vectors less the basis' centre.
        squares: ``(dim,)`` float64, that of their squares.
        cross: ``(k, k)`` float64, the sum of the outer products of the components.
        moments: ``(p, p)`` float64, that of the outer products of the first 16 components joined
            with their products ``z_i z_j``, i up to j, as `pairs` has them; p is 152, or less
            where there are fewer components.
        bins: ``(k, 64)`` int64, contents by bin of each component.
        cells: ``(cells,)`` int64, contents by nearest centre.
        norms: ``(norm bins,)`` int64, contents by norm.
    """

    basis: Basis
    count: int
    left_out: int
    features: NDArray[np.float64]
    products: NDArray[np.float64]
    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    cross: NDArray[np.float64]
    moments: NDArray[np.float64]
    bins: NDArray[np.int64]
    cells: NDArray[np.int64]
    norms: NDArray[np.int64]

    @classmethod
    def of(cls, basis: Basis, blocks: Iterable[NDArray[np.float32]]) -> Sketch:
        """The sketch of rows that are given some at a time, each content once.

        Args:
            basis: the terms.
            blocks: ``(any number, dim)`` each; rows that are not finite are left out and counted.

        Raises:
            ValueError: if a block is not as wide as the basis.
        """
        found = cls._empty(basis)
        for block in blocks:
            if block.ndim != 2 or block.shape[1] != basis.dim:  # noqa: PLR2004 - a matrix
                raise ValueError(
                    f"the basis is {basis.dim} wide, got rows of shape {block.shape}; a sketch is "
                    "taken over the basis of its own version"
                )
            for some in _rows.blocks(len(block)):
                found = found + cls._of_block(basis, block[some])
        return found

    def __add__(self, other: Sketch) -> Sketch:
        """The sketch of the contents of both, which have none in common.

        Raises:
            ValueError: if they are not taken over one basis.
        """
        return self._with(other, np.add)

    def __sub__(self, other: Sketch) -> Sketch:
        """The sketch without some of its contents.

        Raises:
            ValueError: if they are not taken over one basis.
        """
        return self._with(other, np.subtract)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All there is of it but the basis, to be kept."""
        plain = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)[1:]}
        return plain | {name: _triangle(plain[name]) for name in _TRIANGLES}

    @classmethod
    def of_arrays(cls, basis: Basis, arrays: Mapping[str, NDArray[Any]]) -> Sketch:
        """A sketch that was kept.

        Raises:
            KeyError: if something is missing.
        """
        plain: dict[str, Any] = {field.name: arrays[field.name] for field in fields(cls)[1:]}
        plain |= {name: _whole(arrays[name]) for name in _TRIANGLES}
        plain |= {name: int(plain[name]) for name in ("count", "left_out")}
        return cls(basis, **plain)

    def check(self, other: Sketch) -> None:
        """See that another is taken over the same basis.

        Raises:
            ValueError: if it is not.
        """
        if self.basis is not other.basis and self.basis.digest != other.basis.digest:
            raise ValueError(
                f"a sketch over the basis {self.basis.digest[:8]} cannot be put together with one "
                f"over {other.basis.digest[:8]}; sketch both anew over one basis"
            )

    def _with(self, other: Sketch, merge: Callable[[Any, Any], Any]) -> Sketch:
        self.check(other)
        names = [field.name for field in fields(self)[1:]]
        merged = {name: merge(getattr(self, name), getattr(other, name)) for name in names}
        merged |= {name: int(merged[name]) for name in ("count", "left_out")}
        return Sketch(self.basis, **merged)

    @classmethod
    def _empty(cls, basis: Basis) -> Sketch:
        return cls._of_block(basis, np.empty((0, basis.dim), np.float32))

    @classmethod
    def _of_block(cls, basis: Basis, block: NDArray[np.float32]) -> Sketch:
        sound = _rows.finite(block)
        rows = block[sound].astype(np.float64)
        norms = np.linalg.norm(rows, axis=1)
        rows -= basis.centre
        features = _rff.transform(rows, basis.frequencies).view(np.float64)
        places = rows @ basis.components
        norm_bins = np.searchsorted(basis.norm_edges, norms, side="right")
        return cls(
            basis=basis,
            count=len(rows),
            left_out=int(len(block) - len(rows)),
            features=features.sum(axis=0),
            products=features.T @ features,
            total=rows.sum(axis=0),
            squares=np.einsum("nd,nd->d", rows, rows),
            cross=places.T @ places,
            moments=_moments(places[:, :LEADING]),
            bins=_binned(places, basis.edges),
            cells=np.bincount(_nearest(places, basis.cells), minlength=len(basis.cells)),
            norms=np.bincount(norm_bins, minlength=len(basis.norm_edges) + 1),
        )


def pairs(components: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of which components the products of so many are, ``(pairs,)`` each, the lower first."""
    first, second = np.triu_indices(components)
    return first, second


def _moments(places: NDArray[np.float64]) -> NDArray[np.float64]:
    first, second = pairs(places.shape[1])
    joined = np.hstack([places, places[:, first] * places[:, second]])
    return np.asarray(joined.T @ joined)


def _binned(places: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    width = edges.shape[1] + 1
    found = np.zeros((len(edges), width), np.int64)
    for component, borders in enumerate(edges):
        bins = np.searchsorted(borders, places[:, component], side="right")
        found[component] = np.bincount(bins, minlength=width)
    return found


def _nearest(places: NDArray[np.float64], cells: NDArray[np.float64]) -> NDArray[np.intp]:
    distances = (cells**2).sum(axis=1) - 2 * places @ cells.T
    return np.asarray(np.argmin(distances, axis=1), np.intp)


def _triangle(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(matrix[np.triu_indices(len(matrix))])


def _whole(triangle: NDArray[np.float64]) -> NDArray[np.float64]:
    size = int((np.sqrt(8 * len(triangle) + 1) - 1) / 2)
    upper = np.zeros((size, size))
    upper[np.triu_indices(size)] = triangle
    return upper + np.triu(upper, 1).T
