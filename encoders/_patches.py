"""Features of small image patches, learned without labels from the user's own images.

Coates, Lee & Ng 2011, "An Analysis of Single-Layer Networks in Unsupervised Feature Learning":
patches are normalised for brightness and contrast, whitened (ZCA) and clustered; an image is how
strongly its patches answer to each cluster, summed over its four quarters. The clusters are found
by angle, as in Coates & Ng 2012, "Learning Feature Representations with K-means", which classified
better here than plain k-means. The sums are then standardised with the statistics of the sample:
without that, the answers common to all images drown what tells them apart (CIFAR-10, 2,000 labelled
images: nearest neighbours 42 % correct instead of 39 %).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from encoders.base import EncoderError, State

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

PATCH = 6
"""Side of a patch in pixels: the best of the paper."""

QUARTERS = 4
_VALUES = 3 * PATCH * PATCH
_SAMPLED = 50_000
_ROUNDS = 15
_CONTRAST_FLOOR = 10.0  # variance of noise, for pixels of 0 to 255: as in the paper
_WHITENING_FLOOR = 0.1  # as in the paper
_BLOCK = 2**21  # floats of distances held at a time: 8 MiB stay near the processor


@dataclass(frozen=True)
class Codebook:
    """What was learned, as float32 tensors.

    Attributes:
        mean: ``(108,)`` the mean normalised patch.
        whitening: ``(108, 108)`` applied from the right.
        centroids: ``(k, 108)`` of L2 norm 1.
        centre: ``(4 * k,)`` means of the sums over the sample.
        scale: ``(4 * k,)`` what the centred sums are divided by.
    """

    mean: Tensor
    whitening: Tensor
    centroids: Tensor
    centre: Tensor
    scale: Tensor

    @classmethod
    def learn(
        cls, images: NDArray[np.uint8], k: int, rng: np.random.Generator, device: str
    ) -> Codebook:
        """Learn from ``(n, size, size, 3)`` images.

        Raises:
            EncoderError: if they hold fewer patches than ``k``.
        """
        import torch

        patches = _sample(images, rng, device)
        if len(patches) < k:
            raise EncoderError(
                f"{len(images)} images of {images.shape[1]} pixels gave {len(patches)} patches, "
                f"expected at least one for each of the {k} centroids; fit on more images or set "
                "fewer centroids"
            )
        mean = patches.mean(0)
        patches -= mean
        whitening = _zca(patches)
        centroids = _cluster(patches @ whitening, k, rng)
        nothing = torch.zeros(QUARTERS * k, device=device)
        raw = cls(mean, whitening, centroids, nothing, nothing + 1)
        sums = raw.encode(images)
        spread = sums.std(0, correction=0)
        # A centroid that hardly any image of the sample answers to must not rule over the others.
        floor = 0.05 * float(spread.mean()) or 1.0
        return cls(mean, whitening, centroids, sums.mean(0), spread.clamp_min(floor))

    def encode(self, images: NDArray[np.uint8]) -> Tensor:
        """The standardised sums of ``(n, size, size, 3)`` images: ``(n, 4 * k)`` float32."""
        import torch

        positions = (images.shape[1] - PATCH + 1) ** 2
        step = max(1, _BLOCK // (positions * len(self.centroids)))
        blocks = [self._sums(images[at : at + step]) for at in range(0, len(images), step)]
        return torch.cat(blocks).sub_(self.centre).div_(self.scale)

    def _sums(self, images: NDArray[np.uint8]) -> Tensor:
        import torch

        n, side = len(images), images.shape[1] - PATCH + 1
        patches = _patches(images, str(self.mean.device)).sub_(self.mean).view(-1, _VALUES)
        whitened = patches @ self.whitening
        lengths = whitened.square().sum(1, keepdim=True).add_(1)  # centroids have length 1
        away = torch.addmm(lengths, whitened, self.centroids.T, alpha=-2).clamp_min_(0).sqrt_()
        near = away.mean(1, keepdim=True).sub(away).clamp_min_(0)  # the paper's triangle
        grid, half = near.view(n, side, side, -1), (side + 1) // 2
        rows = grid[:, :half].sum(1), grid[:, half:].sum(1)
        return torch.cat([part.sum(1) for r in rows for part in (r[:, :half], r[:, half:])], 1)

    def state(self) -> State:
        """The five arrays, by name."""
        return State({f.name: getattr(self, f.name).cpu().numpy() for f in fields(self)})

    @classmethod
    def restore(cls, state: State, k: int, device: str) -> Codebook:
        """Take the arrays of a state.

        Raises:
            EncoderError: if they are not those of a codebook of ``k`` centroids.
        """
        import torch

        expected = {
            "mean": (_VALUES,),
            "whitening": (_VALUES, _VALUES),
            "centroids": (k, _VALUES),
            "centre": (QUARTERS * k,),
            "scale": (QUARTERS * k,),
        }
        found = {name: array.shape for name, array in state.arrays.items()}
        if found != expected:
            raise EncoderError(
                f"the state holds arrays of shapes {found}, expected {expected}: it was learned "
                "with other parameters; fit again"
            )
        arrays = {name: np.array(state.arrays[name], dtype=np.float32) for name in expected}
        return cls(**{name: torch.from_numpy(a).to(device) for name, a in arrays.items()})


def _patches(images: NDArray[np.uint8], device: str) -> Tensor:
    """All patches of each image, normalised: ``(n, positions, 108)`` float32."""
    import torch
    from torch.nn.functional import unfold

    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float()
    patches = unfold(pixels, PATCH).transpose(1, 2).contiguous()
    patches -= patches.mean(2, keepdim=True)
    return patches.div_(patches.var(2, keepdim=True).add_(_CONTRAST_FLOOR).sqrt_())


def _sample(images: NDArray[np.uint8], rng: np.random.Generator, device: str) -> Tensor:
    """Some patches of every image: ``(about 50,000 or all there are, 108)``."""
    import torch

    positions = (images.shape[1] - PATCH + 1) ** 2
    each = min(positions, -(-_SAMPLED // max(1, len(images))))
    taken = [torch.empty(0, _VALUES, device=device)]
    for at in range(len(images)):
        chosen = torch.from_numpy(rng.choice(positions, each, replace=False))
        taken.append(_patches(images[at : at + 1], device)[0, chosen.to(device)])
    return torch.cat(taken)


def _zca(centred: Tensor) -> Tensor:
    import torch

    covariance = (centred.T @ centred).double() / len(centred)
    values, vectors = torch.linalg.eigh(covariance)
    shrink = (values.clamp_min(0) + _WHITENING_FLOOR).rsqrt()
    whitening: Tensor = (vectors * shrink) @ vectors.T
    return whitening.float()


def _cluster(rows: Tensor, k: int, rng: np.random.Generator) -> Tensor:
    """K-means by angle: ``(k, 108)`` unit vectors. Rows count by their length along theirs."""
    import torch
    from torch.nn.functional import normalize

    def draw(count: int) -> Tensor:
        chosen = rng.choice(len(rows), count, replace=False)
        return normalize(rows[torch.from_numpy(chosen).to(rows.device)])

    centroids = draw(k)
    for _ in range(_ROUNDS):
        along, nearest = (rows @ centroids.T).max(1)
        sums = torch.zeros_like(centroids).index_add_(0, nearest, rows * along[:, None])
        centroids = normalize(sums)
        empty = torch.bincount(nearest, minlength=k) == 0
        if bool(empty.any()):
            centroids[empty] = draw(int(empty.sum()))
    # A row of zeros has no direction; a centroid of zeros would be as near to every patch.
    lost = centroids.norm(dim=1) < 0.5  # noqa: PLR2004 - they are 0 or 1
    centroids[lost] = _VALUES**-0.5
    return centroids
