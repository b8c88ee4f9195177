"""Images of a sample as a backbone takes them while it learns: as they are, or other views."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from encoders._augment import Augment
    from encoders._descent import Weights

    Rows = NDArray[np.int64]

_BLOCK = 32
_COPIES = 4
"""Views of an image, where they are drawn once: each costs a run of the backbone."""


@dataclass(frozen=True)
class Net:
    """What makes features of images.

    Attributes:
        weights: those that learn, by name; none where features are to stay as they are.
        features: ``(n, colours, height, width)`` pixels to ``(n, width)``.
    """

    weights: Weights
    features: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Viewing:
    """What views a sample is learned from.

    Attributes:
        augment: how far they may lie from their images.
        quarters: by how many quarters images are turned, from none on: 1 or 4.
        alone: whether nothing is like an image but its views.
        rng: what is drawn once.
    """

    augment: Augment
    quarters: int
    alone: bool
    rng: np.random.Generator


class Views(Protocol):
    """A sample, to learn from."""

    @property
    def net(self) -> Net:
        """What its features are made with."""
        ...

    @property
    def from_pixels(self) -> bool:
        """Whether that learns from nothing, so that there are pixels alone before."""
        ...

    def plain(self, rows: Rows) -> Tensor:
        """Some images as they are."""
        ...

    def drawn(self, rows: Rows, turns: Rows, rng: np.random.Generator) -> Tensor:
        """A view of each image, left to chance; turned by so many quarters first."""
        ...

    def features(self, given: Tensor) -> Tensor:
        """``(n, width)`` of what one of these two gave."""
        ...

    def raw(self, given: Tensor) -> Tensor:
        """What there is of it before anything is learned: ``(n, anything)``."""
        ...


@dataclass(frozen=True)
class Drawing:
    """Views drawn anew each time, for a backbone that learns.

    Attributes:
        net: it.
        look: rows of the sample to their pixels.
        augment: how far views may lie from their images.
        from_pixels: whether it learns from nothing.
    """

    net: Net
    look: Callable[[Rows], Tensor]
    augment: Augment
    from_pixels: bool

    def plain(self, rows: Rows) -> Tensor:
        """Pixels."""
        return self.look(rows)

    def drawn(self, rows: Rows, turns: Rows, rng: np.random.Generator) -> Tensor:
        """Pixels."""
        import torch

        pixels = self.look(rows)
        for quarters in range(1, 4):
            chosen = torch.from_numpy(turns == quarters)
            if bool(chosen.any()):
                pixels[chosen] = pixels[chosen].rot90(quarters, (2, 3))
        return pixels if self.augment.nothing else self.augment(pixels, rng)

    def features(self, given: Tensor) -> Tensor:
        """Run the backbone."""
        return self.net.features(given)

    def raw(self, given: Tensor) -> Tensor:
        """The pixels, or the features of weights that have learned before."""
        return given.flatten(1) if self.from_pixels else self.net.features(given)


@dataclass(frozen=True)
class Bank:
    """Views drawn once, for a backbone that stays as it is: its features are kept.

    Attributes:
        net: it.
        images: ``(n, width)``, of the images as they are.
        views: ``(turns, copies, n, width)``.
    """

    net: Net
    images: Tensor
    views: Tensor

    @property
    def from_pixels(self) -> bool:
        """Never: what learns from pixels has no views to keep."""
        return False

    @classmethod
    def of(cls, drawing: Drawing, count: int, viewing: Viewing) -> Bank:
        """Run the backbone over `count` images and their views.

        With labels an image is its own only view; without, there are a few of each.
        """
        import torch

        blocks = [np.arange(at, min(at + _BLOCK, count)) for at in range(0, count, _BLOCK)]
        images = torch.cat([drawing.features(drawing.plain(rows)) for rows in blocks])
        copies = _COPIES if viewing.alone else 1

        def turned(turn: int) -> Tensor:
            if turn == 0 and not viewing.alone:
                return images[None]
            every = [
                drawing.features(drawing.drawn(rows, np.full_like(rows, turn), viewing.rng))
                for _ in range(copies)
                for rows in blocks
            ]
            return torch.cat(every).view(copies, *images.shape)

        views = torch.stack([turned(turn) for turn in range(viewing.quarters)])
        return cls(drawing.net, images, views)

    def plain(self, rows: Rows) -> Tensor:
        """Features."""
        return self.images[rows]

    def drawn(self, rows: Rows, turns: Rows, rng: np.random.Generator) -> Tensor:
        """Features."""
        copies = rng.integers(self.views.shape[1], size=len(rows))
        return self.views[turns, copies, rows]

    def features(self, given: Tensor) -> Tensor:
        """They are that already."""
        return given

    def raw(self, given: Tensor) -> Tensor:
        """The features."""
        return given
