"""What a siamese network looks at images with, and the one that it learns from nothing."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from encoders import _cached, _conv4
from encoders._libraries import majors
from encoders._pictures import squeezed
from encoders._views import Drawing, Net

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from encoders._views import Viewing, Views
    from encoders.base import Json


class Backbone(Protocol):
    """Makes features of images."""

    @property
    def fit_size(self) -> int:
        """How many images it should learn from."""
        ...

    @property
    def width(self) -> int:
        """How many features an image has."""
        ...

    @property
    def device(self) -> str:
        """Of torch."""
        ...

    def recipe(self) -> dict[str, Json]:
        """All that decides the features, but what the fit learns; the libraries apart."""
        ...

    def libraries(self) -> dict[str, Json]:
        """The major versions of those that decide the features."""
        ...

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of all weights that learn."""
        ...

    def fresh(self, rng: np.random.Generator) -> Net:
        """A net to learn with, equal for equal chance."""
        ...

    def restored(self, arrays: Mapping[str, NDArray[Any]]) -> Net:
        """A net that has learned the weights that `shapes` names."""
        ...

    def pixels(self, images: Sequence[Image]) -> Tensor:
        """As the net takes them."""
        ...

    def together(self, most: int) -> int:
        """How many images run through the net at a time, at most so many."""
        ...

    def views(self, net: Net, sample: Sequence[Image], viewing: Viewing) -> Views:
        """A sample to learn from."""
        ...


@dataclass(frozen=True)
class Conv4:
    """Four blocks of convolutions, learned from nothing.

    Attributes:
        size: pixels a side that images are squeezed to.
        grey: whether colours are left out.
        channels: of each block.
        device: of torch.
    """

    size: int
    grey: bool
    channels: int
    device: str
    fit_size: int = 5_000

    @property
    def width(self) -> int:
        """``channels`` for each place that is left."""
        return _conv4.width(self.size, self.channels)

    def recipe(self) -> dict[str, Json]:
        """Its sizes."""
        return {"size": self.size, "grey": self.grey, "channels": self.channels}

    def libraries(self) -> dict[str, Json]:
        """Pillow squeezes, torch computes."""
        return majors("pillow", "torch")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """All its weights."""
        return _conv4.shapes(self._colours, self.channels)

    def fresh(self, rng: np.random.Generator) -> Net:
        """Drawn by chance."""
        return self.restored(_conv4.initial(self._colours, self.channels, rng))

    def restored(self, arrays: Mapping[str, NDArray[Any]]) -> Net:
        """Weights copied."""
        import torch

        weights = {
            name: torch.tensor(arrays[name], dtype=torch.float32, device=self.device)
            for name in self.shapes()
        }
        return Net(weights, partial(_conv4.features, weights))

    def pixels(self, images: Sequence[Image]) -> Tensor:
        """``(n, 1 or 3, size, size)`` float32 from -1 to 1."""
        return _scaled(self._squeezed(images)).to(self.device)

    def together(self, most: int) -> int:
        """As many as the caches hold what the first block makes of."""
        return _cached.together(self.device, _cached.VALUES, self.channels * self.size**2, most)

    def views(self, net: Net, sample: Sequence[Image], viewing: Viewing) -> Views:
        """Pixels are kept as bytes; views are drawn anew each time."""
        pixels = self._squeezed(sample)

        def look(rows: NDArray[np.int64]) -> Tensor:
            return _scaled(pixels[rows]).to(self.device)

        return Drawing(net, look, viewing.augment, from_pixels=True)

    @property
    def _colours(self) -> int:
        return 1 if self.grey else 3

    def _squeezed(self, images: Sequence[Image]) -> Tensor:
        import torch

        pixels = squeezed(images, self.size)
        if self.grey:
            luma = pixels @ np.array([0.299, 0.587, 0.114], np.float32)
            pixels = np.rint(luma).astype(np.uint8)[..., None]
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)


def _scaled(pixels: Tensor) -> Tensor:
    return pixels.float() / 127.5 - 1
