"""A convolutional autoencoder: images through a narrow place, and back.

Masci, Meier, Cireşan & Schmidhuber 2011, "Stacked Convolutional Auto-Encoders for Hierarchical
Feature Extraction": convolutions with max-pooling down to a vector, and convolutions up again to
the image. All layers are learned at once, in place of one after the other, with leaky ReLUs for
tanh. There is no normalisation within: it would take from an image the light and the contrast that
have to come back (measured on CIFAR-10, ten epochs: 35 % of the variance lost with it over groups
of channels, 26 % without). Noise upon what goes in, not upon what is to come out, makes it a
denoising one (Vincent et al. 2008, "Extracting and Composing Robust Features").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from encoders._descent import descend, seeded

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from encoders._descent import Descent, Weights
    from encoders.base import Json
    from encoders.learning import Watch

HALVINGS = 3
STEP: int = 2**HALVINGS
"""Sides are a multiple of this, so that what is halved can be doubled again."""

_KERNEL = 3
_LEAK = 0.1
_BATCH = 32
_BLOCK = 256
_NOTHING = 0.9
_COMPARED = 4_000
"""Images at most that principal components are taken of: seconds, not minutes."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of the network.

    Attributes:
        size: pixels a side.
        channels: of the first convolution; each further one has twice as many.
        dim: of the vector.
    """

    size: int
    channels: int
    dim: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of every weight that is learned by descent."""
        wide = [3, *(self.channels << at for at in range(HALVINGS))]
        inner = wide[-1] * self.side * self.side
        found: dict[str, tuple[int, ...]] = {}
        for at in range(HALVINGS):
            found[f"down_{at}"] = (wide[at + 1], wide[at], _KERNEL, _KERNEL)
            found[f"down_{at}_bias"] = (wide[at + 1],)
            back = wide[at] if at else self.channels
            found[f"up_{at}"] = (back, wide[at + 1], _KERNEL, _KERNEL)
            found[f"up_{at}_bias"] = (back,)
        ends = {"narrow": (inner, self.dim), "narrow_bias": (self.dim,)}
        ends |= {"widen": (self.dim, inner), "widen_bias": (inner,)}
        last = {"paint": (3, self.channels, _KERNEL, _KERNEL), "paint_bias": (3,)}
        return found | ends | last

    @property
    def side(self) -> int:
        """Places a side where the network is narrowest."""
        return self.size // STEP


def encode(weights: Weights, pixels: Tensor) -> Tensor:
    """``(n, 3, size, size)`` float32 to ``(n, dim)``."""
    import torch
    from torch.nn.functional import max_pool2d

    maps = pixels.contiguous(memory_format=torch.channels_last)
    for at in range(HALVINGS):
        maps = _block(weights, f"down_{at}", maps)
        maps = max_pool2d(maps, 2)
    return torch.addmm(weights["narrow_bias"], maps.flatten(1), weights["narrow"])


def decode(weights: Weights, vectors: Tensor, side: int) -> Tensor:
    """``(n, dim)`` to ``(n, 3, size, size)``."""
    import torch
    from torch.nn.functional import conv2d, interpolate, leaky_relu

    wide = torch.addmm(weights["widen_bias"], vectors, weights["widen"])
    maps = leaky_relu(wide.view(len(vectors), -1, side, side), _LEAK)
    maps = maps.contiguous(memory_format=torch.channels_last)
    for at in reversed(range(HALVINGS)):
        # After the convolution, where there are half the channels and a quarter of the places.
        maps = interpolate(_block(weights, f"up_{at}", maps), scale_factor=2.0)
    return conv2d(maps, weights["paint"], weights["paint_bias"], padding=_KERNEL // 2)


def _block(weights: Weights, name: str, maps: Tensor) -> Tensor:
    from torch.nn.functional import conv2d, leaky_relu

    return leaky_relu(
        conv2d(maps, weights[name], weights[f"{name}_bias"], padding=_KERNEL // 2), _LEAK
    )


def initial(sizes: Sizes, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Weights to begin with (He et al. 2015); the last layer begins at the mean image."""
    found: dict[str, NDArray[np.float32]] = {}
    for name, shape in sizes.shapes().items():
        if name.endswith("bias"):
            drawn = np.zeros(shape)
        else:
            inputs = shape[0] if len(shape) == 2 else np.prod(shape[1:])  # noqa: PLR2004 - a matrix
            gain = {"paint": 0.01, "narrow": 1.0}.get(name, 2.0)
            drawn = rng.normal(0, (gain / inputs) ** 0.5, shape)
        found[name] = drawn.astype(np.float32)
    return found


def learn(
    weights: Weights,
    train: Tensor,
    held: Tensor,
    noise: float,
    descent: Descent,
    rng: np.random.Generator,
    watch: Watch,
) -> dict[str, Json]:
    """Change weights in place until held-out images come back no better; what the fit measured.

    Errors are mean squares, as shares of what the mean image leaves.

    Args:
        weights: as `initial` gives them, on the device.
        train: ``(n, 3, size, size)`` float32, standardised.
        held: the same of images that are not learned from.
        noise: standard deviation of what is laid upon what goes in.
        descent: how to descend.
        rng: all chance.
        watch: hears of the fit.

    Raises:
        EncoderError: if the fit diverges.
    """
    import torch

    generator = seeded(rng, str(train.device))
    side = train.shape[2] // STEP

    def batches() -> list[Tensor]:
        order = torch.from_numpy(rng.permutation(len(train))).to(train.device)
        return list(torch.split(order, _BATCH))

    def loss(rows: Tensor) -> tuple[Tensor, int]:
        clean = train[rows]
        drawn = torch.randn(clean.shape, generator=generator, device=clean.device)
        back = decode(weights, encode(weights, clean + noise * drawn), side)
        return (back - clean).square().sum(), clean.numel()

    stopping = descend(weights, batches, loss, lambda: error(weights, held), descent, watch=watch)
    dim = weights["narrow"].shape[1]
    of_mean = float((held - train.mean(0)).square().mean(dtype=torch.float64))
    found, of_pca = (
        lost / (of_mean or 1.0) for lost in (error(weights, held), error_of_pca(train, held, dim))
    )
    _tell(found, of_pca, watch)
    return {
        **stopping.figures(),
        "images": len(train),
        "held_out_images": len(held),
        "held_out_error": found,
        "held_out_error_of_pca": of_pca,
    }


def _tell(found: float, of_pca: float, watch: Watch) -> None:
    if found > _NOTHING:
        watch.note(
            f"held-out images come back with {found:.0%} of the error of the mean image: next to "
            "nothing was learned; give more images, more epochs, or another rate"
        )
    elif found > of_pca:
        watch.note(
            f"held-out images come back with {found:.0%} of the error of the mean image, and from "
            f"as many principal components with {of_pca:.0%}: for more than their classes or "
            "likeness, give more images or more epochs"
        )


def error(weights: Weights, pixels: Tensor) -> float:
    """The mean squared difference of what comes back, a value."""
    import torch

    side, total = pixels.shape[2] // STEP, 0.0
    with torch.no_grad():
        for block in torch.split(pixels, _BLOCK):
            back = decode(weights, encode(weights, block), side)
            total += float((back - block).square().sum(dtype=torch.float64))
    return total / pixels.numel()


def error_of_pca(train: Tensor, held: Tensor, dim: int) -> float:
    """The same of principal components, as many as the vector has dimensions: what is linear.

    The best that an autoencoder without non-linear layers can do (Baldi & Hornik 1989).
    """
    import torch

    rows, others = train[:_COMPARED].flatten(1), held.flatten(1)
    mean = rows.mean(0)
    rows, others = rows - mean, others - mean
    dim = min(dim, len(rows) - 1)  # about their mean so many images have no more directions
    if len(rows) < rows.shape[1]:
        _, vectors = torch.linalg.eigh((rows @ rows.T).double())
        axes = torch.linalg.qr(rows.double().T @ vectors[:, len(rows) - dim :]).Q.float()
    else:
        _, vectors = torch.linalg.eigh((rows.T @ rows).double())
        axes = vectors[:, rows.shape[1] - dim :].float()
    lost = others - (others @ axes) @ axes.T
    return float(lost.square().mean(dtype=torch.float64))
