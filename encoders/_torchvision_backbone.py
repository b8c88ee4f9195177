"""A network of torchvision, with its weights, as what a siamese network looks at images with."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from encoders import _cached, _networks
from encoders._libraries import majors
from encoders._pictures import check_rgb, middle
from encoders._tap import Tap
from encoders._views import Bank, Drawing, Net
from encoders.base import EncoderUsageError, State, digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor, nn

    from encoders._views import Viewing, Views
    from encoders.base import Json


@dataclass(frozen=True)
class Torchvision:
    """A classification network, read before its classes.

    Attributes:
        module: with the weights that it came with; never changed.
        tap: where it is read.
        transforms: from a PIL image to pixels.
        width: how many features an image has.
        area: pixels of an image as the transforms make it.
        learns: whether its weights learn on.
        device: of torch.
        name, weights: what it is called, and the digest of what it came with.
    """

    module: nn.Module
    tap: Tap
    transforms: Any
    width: int
    area: int
    learns: bool
    device: str
    name: str
    weights: str
    fit_size: int = 2_000

    @classmethod
    def load(
        cls,
        name: str,
        weights: str | None,
        preset: str | None,
        digest_of_file: str | None,
        device: str,
        *,
        learns: bool,
    ) -> Torchvision:
        """Load it with its weights, as `encoders._networks.load`.

        Raises:
            EncoderError: if there is no such network, it is not one that classifies, or its
                weights are not to be had.
        """
        from PIL import Image

        network = _networks.load(name, weights, preset, digest_of_file)
        if not network.cropped:
            raise EncoderUsageError(
                f"backbone {name!r} segments images, each in its own shape; expected 'conv4' or a "
                "classification model of torchvision"
            )
        named = network.module.state_dict()
        found = digest(State({key: value.numpy() for key, value in named.items()}))
        module = network.module.to(device)
        blank = network.transforms(Image.new("RGB", (8, 8)))[None].to(device)
        tap = Tap.fit(module, None, blank)
        width = tap.read(module, blank).shape[1]
        area = blank.shape[2] * blank.shape[3]
        return cls(module, tap, network.transforms, width, area, learns, device, name, found)

    def recipe(self) -> dict[str, Json]:
        """Weights, transforms, and the layer that is read."""
        return {
            "weights": self.weights,
            "transforms": repr(self.transforms),
            "layer": self.tap.name,
            "takes_input": self.tap.takes_input,
        }

    def libraries(self) -> dict[str, Json]:
        """Pillow resizes, torchvision has the network."""
        return majors("pillow", "torch", "torchvision")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """All its weights where they learn on; none where they do not."""
        return {name: tuple(weight.shape) for name, weight in self._learning(self.module).items()}

    def fresh(self, rng: np.random.Generator) -> Net:
        """The weights that it came with; nothing of it is left to chance."""
        del rng
        if not self.learns:
            return Net({}, partial(self.tap.read, self.module))
        module = copy.deepcopy(self.module)
        return Net(self._learning(module), partial(self.tap.read, module, learning=True))

    def restored(self, arrays: Mapping[str, NDArray[Any]]) -> Net:
        """The weights that it came with, and over them those that it has learned."""
        import torch

        if not self.learns:
            return Net({}, partial(self.tap.read, self.module))
        module = copy.deepcopy(self.module)
        learned = self._learning(module)
        with torch.no_grad():
            for name, weight in learned.items():
                weight.copy_(torch.tensor(arrays[name]))
        return Net(learned, partial(self.tap.read, module))

    def pixels(self, images: Sequence[Image]) -> Tensor:
        """``(n, 3, height, width)`` float32, as its transforms make them."""
        import torch

        check_rgb(images)
        return torch.stack([self.transforms(middle(image)) for image in images]).to(self.device)

    def together(self, most: int) -> int:
        """As many as the caches hold what the network makes of."""
        return _cached.together(self.device, _cached.PIXELS, self.area, most)

    def views(self, net: Net, sample: Sequence[Image], viewing: Viewing) -> Views:
        """Drawn anew each time where the weights learn on; else once."""

        def look(rows: NDArray[np.int64]) -> Tensor:
            return self.pixels([sample[row] for row in rows])

        drawing = Drawing(net, look, viewing.augment, from_pixels=False)
        return drawing if self.learns else Bank.of(drawing, len(sample), viewing)

    def _learning(self, module: nn.Module) -> dict[str, Tensor]:
        """Weights, not statistics: a batch of a few classes would spoil those."""
        prefix = "backbone."
        return {prefix + n: w for n, w in module.named_parameters()} if self.learns else {}
