"""The Fréchet distance of two sketches, and how it varies where nothing changed.

Mean and covariance of a large sample are nearly normal together, whatever the rows' distribution,
and their covariance is that of the rows and of the rows' products over the number of rows (the
delta method; van der Vaart 1998, chapter 3). Around two equal Gaussians the squared distance is a
quadratic form: ``|d|²`` in the difference of the means and ``½ Σ H_ij² / (λ_i + λ_j)`` in that of
the covariances, written along the eigenvectors of the common one, whose eigenvalues are λ (the
metric of Bures 1969; Malagò, Montrucchio & Pistone 2018). So where nothing changed it is a weighted
sum of squares of normals, as the statistics of `flows.monitors._analytic` are.

Where tails are so heavy that a few rows make most of a covariance, it is nothing like normal. The
p-values are then too large rather than too small, and little is seen; how heavy they are is known
from the same sums (`excess`): 1 for normal rows, 1.1 for photographs and the like, about 2 for
Student's t with 5 degrees of freedom, and from 2 up to 300 where the variance is hardly finite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.monitors._frechet import frechet2
from flows.monitors._sketch import LEADING, pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors._sketch import Sketch

    Values = NDArray[np.float64]

_NOTHING = 1e-12


@dataclass(frozen=True)
class Moments:
    """What a sketch knows of its first k components.

    Attributes:
        count: n, how many contents.
        sums: ``(k,)`` of the components.
        products: ``(k, k)``, the sum of their outer products.
        scatter: ``(p, p)``, of what each content adds to the mean and to the covariance, its pairs
            as `flows.monitors._sketch.pairs` has them.
    """

    count: int
    sums: Values
    products: Values
    scatter: Values

    @classmethod
    def of(cls, sketch: Sketch, most: int) -> Moments:
        """Of the first components of a sketch, at most so many, and at most 16."""
        components = sketch.basis.components
        kept = min(LEADING, components.shape[1])
        k = min(most, kept)
        sums, products = sketch.total @ components[:, :k], sketch.cross[:k, :k]
        first, second = pairs(kept)
        within = np.flatnonzero(second < k)
        chosen = np.concatenate([np.arange(k), kept + within])
        joint = np.concatenate([sums, products[first[within], second[within]]])
        raw = sketch.moments[np.ix_(chosen, chosen)] - np.outer(joint, joint) / sketch.count
        centred = _centring(sums / sketch.count)
        return cls(sketch.count, sums, products, centred @ raw @ centred.T)

    @property
    def variance(self) -> float:
        """The mean squared deviation from the mean; exactly 0 for equal rows."""
        found = float(np.trace(self.within))
        return found / self.count if found > _NOTHING * float(np.trace(self.products)) else 0.0

    def __add__(self, other: Moments) -> Moments:
        """Of both together; their scatter is that within each."""
        return Moments(
            self.count + other.count,
            self.sums + other.sums,
            self.products + other.products,
            self.scatter + other.scatter,
        )

    @property
    def within(self) -> Values:
        """The scatter of the components themselves, ``(k, k)``."""
        return self.products - np.outer(self.sums, self.sums) / self.count


def _centring(mean: Values) -> Values:
    """Makes of a row and its products the row and the products of its deviations from a mean.

    ``(p, p)``; but for a constant: ``(z_i - a_i)(z_j - a_j)`` is ``z_i z_j - a_i z_j - a_j z_i``.
    """
    k = len(mean)
    first, second = pairs(k)
    made = np.eye(k + len(first))
    at = k + np.arange(len(first))
    np.add.at(made, (at, first), -mean[second])
    np.add.at(made, (at, second), -mean[first])
    return made


def distance2(ours: Moments, theirs: Moments) -> float:
    """The squared Fréchet distance; above 0 even where nothing changed."""
    sides = ((s.count, s.sums[None], s.products[None]) for s in (ours, theirs))
    return float(frechet2(*sides)[0])


def noise(ours: Moments, theirs: Moments) -> Values:
    """The covariance of the difference of both's mean and covariance where nothing changed."""
    n, m = ours.count, theirs.count
    pooled: Values = (ours.scatter + theirs.scatter) / (n + m - 2) * (1 / n + 1 / m)
    return pooled


def excess(ours: Moments, theirs: Moments) -> float:
    """How much more the difference of the covariances varies than that of normal rows would.

    Of the part of the squared distance that comes of them; 1 where there is no spread.
    """
    k = len(ours.sums)
    variances = np.maximum(np.linalg.eigvalsh(_pooled(ours, theirs)), 0.0)
    first, second = pairs(k)
    sums = variances[first] + variances[second]
    known = sums > _NOTHING * max(float(sums.max(initial=0.0)), _NOTHING)
    usual = (variances[first] * variances[second])[known] / sums[known]
    expected = float(usual.sum()) * (1 / ours.count + 1 / theirs.count)
    metric = _bures(_pooled(ours, theirs))
    found = float(np.trace(metric @ noise(ours, theirs)[k:, k:] @ metric.T))
    return found / expected if expected > 0 else 1.0


def _pooled(ours: Moments, theirs: Moments) -> Values:
    """The covariance of the components within both, ``(k, k)``."""
    pooled: Values = (ours.within + theirs.within) / (ours.count + theirs.count - 2)
    return pooled


def weights(ours: Moments, theirs: Moments) -> Values:
    """Of the squares whose sum the squared distance is where nothing changed, ``(p,)``."""
    k = len(ours.sums)
    metric = np.eye(len(ours.scatter))
    metric[k:, k:] = _bures(_pooled(ours, theirs))
    along = metric @ noise(ours, theirs) @ metric.T
    found: Values = np.maximum(np.linalg.eigvalsh(along), 0.0)
    return found


def _bures(covariance: Values) -> Values:
    """Makes of a small change of a covariance, by its pairs, one of that length: ``(p, p)``."""
    variances, turned = np.linalg.eigh(covariance)
    first, second = pairs(len(variances))
    apart = first != second
    rows = turned[first][:, first] * turned[second][:, second]
    rows = rows + apart[:, None] * turned[second][:, first] * turned[first][:, second]
    sums = np.maximum(variances, 0.0)[first] + np.maximum(variances, 0.0)[second]
    known = sums > _NOTHING * max(float(sums.max(initial=0.0)), _NOTHING)
    scale = np.where(known, np.where(apart, 1.0, 0.5) / np.where(known, sums, 1.0), 0.0)
    made: Values = np.sqrt(scale)[:, None] * rows.T
    return made
