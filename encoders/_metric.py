"""Losses that draw the vectors of one class together and those of others apart.

Contrastive: Hadsell, Chopra & LeCun 2006, "Dimensionality Reduction by Learning an Invariant
Mapping". Triplet: Schroff, Kalenichenko & Philbin 2015, "FaceNet", whose semi-hard negatives are
the default; hard ones are those of Hermans, Beyer & Leibe 2017, "In Defense of the Triplet Loss".
All work on every pair of a batch, and on Euclidean distances.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Loss: TypeAlias = Literal["triplet", "contrastive"]
Mining: TypeAlias = Literal["semi_hard", "hard"]

LOSSES = ("triplet", "contrastive")
MININGS = ("semi_hard", "hard")

_NEAREST = 1e-12
"""Squared distances below it count as this: the root has no slope at 0."""


@dataclass(frozen=True)
class Objective:
    """What is to become small.

    Attributes:
        loss: of pairs or of triplets.
        mining: which negatives a triplet is made with.
        margin: how much further away another class should be: than the own, in a triplet; at
            all, in a pair.
    """

    loss: Loss
    mining: Mining
    margin: float

    def __call__(self, vectors: Tensor, classes: Tensor) -> tuple[Tensor, int]:
        """The summed loss of a batch to learn from, and of how many pairs or triplets it is.

        Args:
            vectors: ``(n, dim)`` float32.
            classes: ``(n,)`` int64; at least one class must be there twice, and two at all.
        """
        away, same, other = _pairs(vectors, classes)
        if self.loss == "contrastive":
            return contrastive(away, same, other, self.margin)
        mined = semi_hard if self.mining == "semi_hard" else hard
        return mined(away, same, other, self.margin)

    def measure(self, vectors: Tensor, classes: Tensor) -> tuple[Tensor, int]:
        """The same of a batch to judge by: of all its triplets, not of the telling ones alone.

        What is mined changes with the vectors, so that its loss may rise while they get better.
        """
        away, same, other = _pairs(vectors, classes)
        if self.loss == "contrastive":
            return contrastive(away, same, other, self.margin)
        short = (self.margin + away[:, :, None] - away[:, None, :]).clamp_min(0)
        asked = same[:, :, None] & other[:, None, :]
        return (short * asked).sum(), int(asked.sum())


def contrastive(away: Tensor, same: Tensor, other: Tensor, margin: float) -> tuple[Tensor, int]:
    """Squared distances within classes, and what others lack to the margin, squared.

    Both kinds of pairs count alike, though there are many more of the second: their sum is that
    of as many pairs as there are of the first, twice.
    """
    alike, unlike = int(same.sum()), int(other.sum())
    near = (away.square() * same).sum()
    far = ((margin - away).clamp_min(0).square() * other).sum()
    return near + far * (alike / unlike), 2 * alike


def semi_hard(away: Tensor, same: Tensor, other: Tensor, margin: float) -> tuple[Tensor, int]:
    """For each pair of a class the nearest of another that is further away than the pair is.

    Where there is none, the furthest of all: nearer ones, taken early, draw all vectors into
    one point (Schroff et al. 2015, 3.2).
    """
    import torch

    further = other[:, None, :] & (away[:, None, :] > away[:, :, None])
    nearest = away[:, None, :].masked_fill(~further, torch.inf).amin(2)
    furthest = away.masked_fill(~other, -torch.inf).amax(1, keepdim=True)
    negative = torch.where(nearest.isinf(), furthest, nearest)
    return ((margin + away - negative).clamp_min(0) * same).sum(), int(same.sum())


def hard(away: Tensor, same: Tensor, other: Tensor, margin: float) -> tuple[Tensor, int]:
    """For each vector the furthest of its class and the nearest of another."""
    import torch

    positive = away.masked_fill(~same, -torch.inf).amax(1)
    negative = away.masked_fill(~other, torch.inf).amin(1)
    asked = same.any(1) & other.any(1)
    return (margin + positive - negative)[asked].clamp_min(0).sum(), int(asked.sum())


def distances(vectors: Tensor) -> Tensor:
    """Euclidean, of all pairs: ``(n, n)``."""
    lengths = vectors.square().sum(1)
    squared = lengths[:, None] + lengths[None, :] - 2 * vectors @ vectors.T
    return squared.clamp_min(_NEAREST).sqrt()


def _pairs(vectors: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distances, and which pairs are of one class, a vector and itself apart, or of two."""
    alike = classes[:, None] == classes[None, :]
    same = alike.clone().fill_diagonal_(False)  # noqa: FBT003 - torch's own parameter
    return distances(vectors), same, ~alike
