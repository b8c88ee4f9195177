"""The layer of a network that vectors are read from, and how its maps become vectors."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from encoders._nearest import perhaps
from encoders.base import EncoderError, EncoderUsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

BACKBONE = "backbone"
"""What torchvision calls the part of a segmentation model that is a network of its own."""


@dataclass
class Tap:
    """Where a network is read: what goes into one module or comes out of it.

    Attributes:
        name: the module's name in the network.
        takes_input: whether the vectors are its input, or else its output.
    """

    name: str
    takes_input: bool
    # Threads that share the network each see what their own call gives.
    _seen: threading.local = field(default_factory=threading.local)

    @classmethod
    def fit(cls, module: nn.Module, layer: str | None, pixels: Tensor) -> Tap:
        """Choose the layer: the one named; else a backbone, or what goes into the classifier.

        Raises:
            EncoderError: if there is no such layer, or it does not give one vector an image.
        """
        names = {name for name, _ in module.named_modules() if name}
        if layer is not None and layer not in names:
            raise EncoderUsageError(
                f"the model has no layer {layer!r}; expected a name from its named_modules()"
                f"{perhaps(layer, names)}"
            )
        if layer is None and BACKBONE in names:
            layer = BACKBONE
        name = layer or _classifier(module, pixels)
        tap = cls(name, takes_input=layer is None)
        part = module.get_submodule(name)
        if tap.takes_input:
            part.register_forward_pre_hook(lambda _module, inputs: tap._see(inputs[0]))
        else:
            part.register_forward_hook(lambda _module, _inputs, out: tap._see(out))
        return tap

    def read(self, module: nn.Module, pixels: Tensor, *, learning: bool = False) -> Tensor:
        """Run ``(n, 3, height, width)`` pixels and give what the layer saw: ``(n, dim)``.

        Maps are averaged over their places and tokens over their number. What is read while
        `learning` can be differentiated by the weights.
        """
        import torch

        self._seen.values = []
        # What a segmentation model makes of its backbone's map costs as much again.
        runs = module.get_submodule(BACKBONE) if self.name == BACKBONE else module
        with nullcontext() if learning else torch.inference_mode():
            runs(pixels)
        values, self._seen.values = self._seen.values, []
        if not values:
            raise EncoderError(
                f"layer {self.name!r} is not run when encoding; choose one on the way to the output"
            )
        return self._pool(values[-1], pixels)

    def _see(self, value: object) -> None:
        if isinstance(value, Mapping):  # a backbone gives maps of several depths: the last counts
            value = value.get("out", value.get("high"))
        self._seen.values.append(value)

    def _pool(self, seen: object, pixels: Tensor) -> Tensor:
        import torch

        if torch.is_tensor(seen) and len(seen) == len(pixels):
            if seen.ndim == 2:  # noqa: PLR2004 - vectors
                return seen
            if seen.ndim == 3:  # noqa: PLR2004 - tokens
                return seen.mean(1)
            if seen.ndim == 4:  # noqa: PLR2004 - maps
                return seen.mean((1, 2) if _channels_last(seen, pixels) else (2, 3))
        shape = tuple(seen.shape) if torch.is_tensor(seen) else type(seen).__name__
        raise EncoderError(
            f"layer {self.name!r} gives {shape} for {len(pixels)} images, expected a vector, "
            "tokens or a map for each; choose the module around it"
        )


def _channels_last(seen: Tensor, pixels: Tensor) -> bool:
    """Whether a map is ``(n, height, width, channels)``, as Swin and parts of ConvNeXt have it.

    Those take squares, whose maps are squares; other shapes go into segmentation models alone, and
    none of them has its channels there.
    """
    square = pixels.shape[2] == pixels.shape[3]
    return square and seen.shape[1] == seen.shape[2] != seen.shape[3]


def _classifier(module: nn.Module, pixels: Tensor) -> str:
    """The last linear layer or convolution to run whose width is the number of classes."""
    import torch
    from torch import nn

    ran: list[tuple[str, int]] = []

    def noting(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _module, _given, output: ran.append((name, _width(output)))

    handles = [
        part.register_forward_hook(noting(name))
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear | nn.Conv2d)
    ]
    with torch.inference_mode():
        classes = module(pixels).shape[-1]
    for handle in handles:
        handle.remove()
    return [name for name, width in ran if width == classes][-1]


def _width(output: Tensor) -> int:
    maps = 4
    return int(output.shape[1 if output.ndim == maps else -1])
