"""What vectors are worth on classes that were held out, and whether they have collapsed.

Sums are torch's, which `encoders._repeatable.one_core` makes the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from encoders.base import EncoderError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from encoders.learning import Watch

_COINCIDES = 1e-6
_CROWDED = 0.05
_FEW = 2.0
_CHANCE = 0.55


@dataclass(frozen=True)
class Spread:
    """How far vectors lie apart.

    Attributes:
        share: their variance about their mean, as a share of their mean squared length: 0 where
            all coincide, 1 where they point evenly into all directions.
        rank: the effective rank of their covariance (Roy & Vetterli 2007): as many directions as
            are in use; 1 where all lie on a line.
    """

    share: float
    rank: float

    @classmethod
    def of(cls, vectors: Tensor) -> Spread:
        """Measure ``(n, dim)`` vectors."""
        import torch

        rows = vectors.double()
        away = rows - rows.mean(0)
        length = float(rows.square().sum(1).mean())
        variances = torch.linalg.svdvals(away).square()
        total = float(variances.sum())
        share = total / len(rows) / (length or 1.0)
        if share <= _COINCIDES:
            return cls(share, 1.0)
        return cls(share, float(torch.special.entr(variances / total).sum().exp()))


def separation(vectors: Tensor, classes: NDArray[np.int64]) -> float:
    """The chance that a pair of one class is nearer than a pair of two: the area under the ROC.

    0.5 is what chance gives, 1 is a clean cut. Distances are Euclidean.
    """
    from scipy.stats import rankdata

    upper = np.triu_indices(len(classes), 1)
    ranks = rankdata(squared_distances(vectors)[upper])
    same = (classes[:, None] == classes[None, :])[upper]
    alike, unlike = int(same.sum()), int((~same).sum())
    below = float(ranks[same].sum()) - alike * (alike + 1) / 2
    return 1 - below / (alike * unlike)


def nearest(vectors: Tensor, classes: NDArray[np.int64]) -> float:
    """The share of vectors whose nearest other one is of their class."""
    away = squared_distances(vectors)
    np.fill_diagonal(away, np.inf)
    return float((classes[away.argmin(1)] == classes).mean())


def squared_distances(vectors: Tensor) -> NDArray[np.float64]:
    """Of all pairs: ``(n, n)``, none below 0."""
    rows = vectors.double()
    lengths = rows.square().sum(1)
    found = lengths[:, None] + lengths[None, :] - 2 * rows @ rows.T
    return found.clamp_min(0).cpu().numpy()


def check_collapse(spread: Spread, separated: float, watch: Watch) -> None:
    """Refuse vectors that all coincide, and tell the watch of those that nearly do.

    Raises:
        EncoderError: if they coincide.
    """
    if spread.share <= _COINCIDES:
        raise EncoderError(
            f"the fit has collapsed: the vectors of all held-out images coincide (their spread is "
            f"{spread.share:.1e} of their length); lower the rate, take mining = 'semi_hard', or "
            "give a larger margin"
        )
    if spread.share < _CROWDED or spread.rank < _FEW:
        watch.note(
            f"nearly collapsed: the held-out vectors vary by {spread.share:.1%} of their length, "
            f"in {spread.rank:.1f} directions; lower the rate, or give more classes"
        )
    if separated < _CHANCE:
        watch.note(
            f"on what was held out, images of one class are nearer than others in {separated:.0%} "
            "of pairs, where chance gives 50 %: nothing was learned that carries over"
        )
