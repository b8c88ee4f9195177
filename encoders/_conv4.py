"""A small convolutional network, to be learned from nothing: four blocks, each half the size.

The one of Vinyals et al. 2016, "Matching Networks for One Shot Learning", and of most that came
after it, but for group normalisation (Wu & He 2018) in place of that over the batch: it is the
same in learning and in encoding, and has no statistics to be kept. It stands behind the pooling,
where there is a quarter of the values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Weights = dict[str, Tensor]

BLOCKS = 4
SMALLEST = 2**BLOCKS
"""Pixels a side; smaller images have nothing left after the last block."""

_GROUP = 8
_KERNEL = 3


def width(size: int, channels: int) -> int:
    """How many features an image has."""
    return channels * (size >> BLOCKS) ** 2


def shapes(colours: int, channels: int) -> dict[str, tuple[int, ...]]:
    """The name and shape of every weight."""
    found: dict[str, tuple[int, ...]] = {}
    for block in range(BLOCKS):
        inputs = channels if block else colours
        found[f"filters_{block}"] = (channels, inputs, _KERNEL, _KERNEL)
        found[f"gain_{block}_bias"] = (channels,)  # as a bias it is not drawn towards 0
        found[f"shift_{block}_bias"] = (channels,)
    return found


def initial(
    colours: int, channels: int, rng: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """Weights to begin with (He et al. 2015: as large as keeps the variance through a ReLU)."""
    found: dict[str, NDArray[np.float32]] = {}
    for name, shape in shapes(colours, channels).items():
        if name.startswith("filters"):
            drawn = rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape)
        else:
            drawn = np.full(shape, float(name.startswith("gain")))
        found[name] = drawn.astype(np.float32)
    return found


def features(weights: Weights, pixels: Tensor) -> Tensor:
    """``(n, colours, size, size)`` pixels from -1 to 1 to ``(n, width)`` features, none below 0."""
    import torch
    from torch.nn import functional

    # Twice as fast on a CPU as with the channels first.
    maps = pixels.contiguous(memory_format=torch.channels_last)
    for block in range(BLOCKS):
        maps = functional.conv2d(maps, weights[f"filters_{block}"], padding=_KERNEL // 2)
        maps = functional.max_pool2d(maps, 2)
        gain, shift = weights[f"gain_{block}_bias"], weights[f"shift_{block}_bias"]
        # A channel by itself would be all zeros where a single place is left of it.
        groups = int(np.gcd(len(gain), max(1, len(gain) // _GROUP)))
        maps = functional.group_norm(maps, groups, gain, shift).relu()
    return maps.flatten(1)
