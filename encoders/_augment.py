"""Other views of an image, such as a camera or a hand would have given of the same thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

REVISION = 1
"""Raised whenever equal chance would give other views than before."""


@dataclass(frozen=True)
class Augment:
    """How far a view may lie from its image; 0 leaves that alone.

    Attributes:
        rotate: degrees at most, either way.
        shear: degrees at most by which uprights lean, either way.
        shift: share of the side at most, along both axes.
        zoom: share at most by which it is enlarged or reduced.
        brightness: by how many standard deviations of an image's pixels at most it is made
            lighter or darker, and by which share at most its contrast changes.
        flip: whether left and right are exchanged in half of the views.

    Raises:
        ValueError: if a value is out of its range.
    """

    rotate: float = 10.0
    shear: float = 10.0
    shift: float = 0.1
    zoom: float = 0.15
    brightness: float = 0.2
    flip: bool = False

    def __post_init__(self) -> None:
        most = {"rotate": 180.0, "shear": 60.0, "shift": 0.5, "zoom": 0.9, "brightness": 0.9}
        for name, limit in most.items():
            if not 0 <= getattr(self, name) <= limit:
                raise ValueError(f"{name} must be from 0 to {limit:g}, got {getattr(self, name)}")

    @property
    def nothing(self) -> bool:
        """Whether a view is its image."""
        moved = (self.rotate, self.shear, self.shift, self.zoom, self.brightness)
        return not (any(moved) or self.flip)

    def __call__(self, pixels: Tensor, rng: np.random.Generator) -> Tensor:
        """One view of each image.

        Args:
            pixels: ``(n, c, side, side)`` float32, in any unit; what comes in from outside an
                image is its border's.
            rng: all chance.

        Returns:
            as `pixels`.
        """
        import torch
        from torch.nn.functional import affine_grid, grid_sample

        theta = torch.from_numpy(self._maps(len(pixels), rng)).to(pixels.device)
        grid = affine_grid(theta, list(pixels.shape), align_corners=False)
        views = grid_sample(pixels, grid, padding_mode="border", align_corners=False)
        if self.brightness == 0:
            return views
        light, contrast = rng.uniform(-self.brightness, self.brightness, (2, len(pixels), 1, 1, 1))
        light, contrast = (
            torch.from_numpy(drawn.astype(np.float32)).to(pixels.device)
            for drawn in (light, contrast)
        )
        # In units of the image itself, so that pixels from 0 to 1 and standardised ones do alike.
        level = views.mean((1, 2, 3), keepdim=True)
        spread = views.std((1, 2, 3), correction=0, keepdim=True)
        return level + (views - level) * (1 + contrast) + light * spread

    def _maps(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """``(count, 2, 3)`` float32: where each place of a view lies in its image, from -1 to 1."""
        turn, lean = (
            np.radians(rng.uniform(-most, most, count)) for most in (self.rotate, self.shear)
        )
        size = (1 + self.zoom) ** rng.uniform(-1, 1, count)
        away = 2 * rng.uniform(-self.shift, self.shift, (count, 2))
        mirror = np.where(rng.random(count) < 0.5 * self.flip, -1.0, 1.0)
        cos, sin = np.cos(turn), np.sin(turn)
        slope = np.tan(lean)
        maps = np.empty((count, 2, 3), np.float32)
        maps[:, 0] = np.stack(
            [mirror * cos * size, mirror * (slope * cos - sin) * size, away[:, 0]], 1
        )
        maps[:, 1] = np.stack([sin * size, (slope * sin + cos) * size, away[:, 1]], 1)
        return maps
