"""VGGish: its layers, and the names under which their weights are published.

Hershey et al. 2017, "CNN Architectures for Large-Scale Audio Classification": VGG's configuration A
less its last group, on one log-mel example. How wide the layers are is read from the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from encoders._vggish_input import BANDS, FRAMES
from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Weights = Mapping[str, NDArray[np.float32]]

_GROUPS = ((0,), (1,), (2, 3), (4, 5))
"""Convolutions between one pooling and the next."""

_CONVOLUTIONS, _DENSE = 6, 3
_PLACES = (FRAMES >> len(_GROUPS)) * (BANDS >> len(_GROUPS))
_TENSORFLOW = (
    *("conv1", "conv2", "conv3/conv3_1", "conv3/conv3_2", "conv4/conv4_1", "conv4/conv4_2"),
    *("fc1/fc1_1", "fc1/fc1_2", "fc2"),
)
_TORCH = (("features", (0, 3, 6, 8, 11, 13)), ("embeddings", (0, 2, 4)))
_TORCHAUDIO = (("features_network", _TORCH[0][1]), ("embedding_network", _TORCH[1][1]))

Layer = tuple[Any, Any]
"""Weights and biases, arrays or tensors."""


class Vggish:
    """The network, in float32.

    Attributes:
        dim: the width of its embeddings, 128 as published.
    """

    def __init__(self, weights: Weights, origin: str, device: str) -> None:
        import torch

        layers = _named(weights, origin)
        _check(layers, origin)
        self.dim = len(layers[-1][1])
        self._layers: list[Layer] = [
            (torch.from_numpy(weight).to(device), torch.from_numpy(bias).to(device))
            for weight, bias in layers
        ]
        self._device = device

    def embed(self, examples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The embeddings ``(n, dim)`` float32 of examples ``(n, 96, 64)``, before activation."""
        import torch
        from torch.nn.functional import conv2d, linear, max_pool2d

        with torch.inference_mode():
            x = torch.from_numpy(examples).to(self._device).unsqueeze(1)
            for group in _GROUPS:
                for weight, bias in [self._layers[at] for at in group]:
                    x = conv2d(x, weight, bias, padding=1).relu_()
                x = max_pool2d(x, 2)
            # TensorFlow lays channels last, and so do the weights behind, in all ports.
            x = x.permute(0, 2, 3, 1).flatten(1)
            for weight, bias in self._layers[_CONVOLUTIONS:-1]:
                x = linear(x, weight, bias).relu_()
            found: NDArray[np.float32] = linear(x, *self._layers[-1]).cpu().numpy()
        return found


def _named(weights: Weights, origin: str) -> list[Layer]:
    """Weights and biases in order: ``(out, in, 3, 3)`` and ``(out, in)``, as torch has them."""
    if any(name.startswith("vggish/") for name in weights):
        # A variable's name may end in the number of its operation's output.
        plain = {name.removesuffix(":0"): array for name, array in weights.items()}
        names = [f"vggish/{name}" for name in _TENSORFLOW]
        layers = _taken(plain, [(f"{n}/weights", f"{n}/biases") for n in names], origin)
        return [(_turned(weight), bias) for weight, bias in layers]
    theirs = (
        _TORCHAUDIO if any(name.startswith("features_network.") for name in weights) else _TORCH
    )
    names = [f"{part}.{at}" for part, places in theirs for at in places]
    return _taken(weights, [(f"{n}.weight", f"{n}.bias") for n in names], origin)


def _taken(weights: Weights, pairs: list[tuple[str, str]], origin: str) -> list[Layer]:
    missing = [name for pair in pairs for name in pair if name not in weights]
    if missing:
        found = ", ".join(map(repr, sorted(weights)[:3])) or "nothing"
        raise EncoderError(
            f"weights {origin!r} lack {len(missing)} of the {2 * len(pairs)} tensors of VGGish, "
            f"such as {missing[0]!r}, and hold {found}; expected names as in the published "
            "checkpoint (vggish/conv1/weights), in torchvggish (features.0.weight) or in "
            "torchaudio (features_network.0.weight)"
        )
    return [(weights[weight], weights[bias]) for weight, bias in pairs]


def _turned(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """TensorFlow's order of axes, ``(height, width, in, out)`` and ``(in, out)``, to torch's."""
    # In memory too, so that all layouts give vectors that are equal to the bit.
    kernels = 4
    turned = weight.transpose(3, 2, 0, 1) if weight.ndim == kernels else weight.T
    return np.ascontiguousarray(turned)


def _check(layers: list[Layer], origin: str) -> None:
    """Refuse layers that do not follow on one another."""
    width = 1
    for at, (weight, bias) in enumerate(layers):
        if at == _CONVOLUTIONS:
            width *= _PLACES
        kernel = (3, 3) if at < _CONVOLUTIONS else ()
        expected = (*bias.shape[:1], width, *kernel)
        if bias.ndim != 1 or weight.shape != expected:
            raise EncoderError(
                f"weights {origin!r} do not fit VGGish: layer {at + 1} of {len(layers)} has "
                f"weights {weight.shape} and biases {bias.shape}, expected {expected} as torch "
                "lays them out: save the weights of that very network again"
            )
        width = len(bias)
