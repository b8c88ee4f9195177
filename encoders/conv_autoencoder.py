"""Images by a convolutional autoencoder: learned without labels, from giving them back.

Masci et al. 2011, "Stacked Convolutional Auto-Encoders for Hierarchical Feature Extraction", and
with noise Vincent et al. 2008, "Extracting and Composing Robust Features with Denoising
Autoencoders". See `encoders._autoencoder` for the network.

What is learned has dimensions of any spread: each is standardised by the sample, so that none
rules the distance because it happened to be written large.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from encoders import _cached, _streams, media
from encoders._device import pick_device
from encoders._learned import Learned, expect
from encoders._libraries import majors
from encoders._pictures import check_rgb, squeezed, unit
from encoders._ranges import check_counts, check_held_out, check_steps
from encoders.base import EncoderError, State
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from encoders._autoencoder import Sizes
    from encoders.base import Json, Metric, Modality

MODALITY: Modality = "image"
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""

_STEP = 8
_LEAST = 10
_LEAST_SPREAD = 1e-6
_COUNTS = ("dim", "channels", "epochs", "patience", "batch_size")


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "conv_autoencoder"``.

    Attributes:
        size: images are squeezed to so many pixels a side; a multiple of 8.
        dim: the width of the vectors.
        channels: of the first convolution; the second and third have twice and four times as many.
        noise: laid upon what goes in while learning, in standard deviations of the pixels about
            the mean image; 0 for none.
        normalize: give vectors of L2 norm 1.
        held_out: share of the sample that is not learned from, to know when to stop.
        epochs: at most so many passes over the sample.
        patience: how many passes may bring nothing before it stops.
        rate: learning rate at the first step.
        decay: weight decay.
        device: ``auto`` (CUDA where there is one), or any device of torch.
        batch_size: images encoded at a time.

    Raises:
        ValueError: if a value is out of its range.
    """

    size: int = 32
    dim: int = 64
    channels: int = 32
    noise: float = 0.1
    normalize: bool = False
    held_out: float = 0.1
    epochs: int = 40
    patience: int = 5
    rate: float = 0.002
    decay: float = 0.01
    device: str = "auto"
    batch_size: int = 128

    def __post_init__(self) -> None:
        check_counts(self, _COUNTS)
        if self.size < _STEP or self.size % _STEP:
            raise ValueError(
                f"size must be a multiple of {_STEP}, which three halvings leave whole, got "
                f"{self.size}"
            )
        if not 0 <= self.noise <= 2:  # noqa: PLR2004 - beyond it nothing is seen of the image
            raise ValueError(f"noise must be from 0 to 2, got {self.noise}")
        check_held_out(self.held_out)
        check_steps(self.rate, self.decay)

    def sizes(self) -> Sizes:
        """Those of the network."""
        from encoders._autoencoder import Sizes

        return Sizes(self.size, self.channels, self.dim)


def build(params: Params) -> ConvAutoencoder:
    """Build the encoder; it must be fitted or restored before it encodes."""
    return ConvAutoencoder(params)


@dataclass(frozen=True)
class _Model:
    weights: dict[str, Tensor]
    figures: Json


class ConvAutoencoder(Learned[_Model]):
    """Images to ``(n, dim)`` float32, each dimension of unit variance in the sample."""

    modality: ClassVar[Modality] = "image"
    metric: Metric = "cosine"
    fit_size = 10_000
    kind = "conv_autoencoder"

    def __init__(self, params: Params) -> None:
        super().__init__()
        self._params = params
        self._device = pick_device(params.device)
        self.batch_size = params.batch_size

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self._params.dim

    def fit(self, sample: Sequence[Image], rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Learn to give images back, until held-out ones come back no better.

        Raises:
            EncoderError: if there are too few images, or the fit diverges.
        """
        import torch

        from encoders._autoencoder import initial, learn
        from encoders._descent import Descent
        from encoders._repeatable import one_core

        if len(sample) < _LEAST:
            raise EncoderError(
                f"conv_autoencoder needs {_LEAST} images or more to learn from, got {len(sample)}"
            )
        params = self._params
        order = rng.permutation(len(sample))
        out = max(1, round(params.held_out * len(sample)))
        drawn = initial(params.sizes(), rng)
        weights = {name: torch.from_numpy(array) for name, array in drawn.items()}
        weights = {name: weight.to(self._device) for name, weight in weights.items()}
        with one_core():
            pixels = self._pixels(sample)
            train, held = pixels[order[out:]], pixels[order[:out]]
            fixed = _statistics(train)
            train, held = _standard(train, fixed), _standard(held, fixed)
            descent = Descent(params.epochs, params.rate, params.decay, params.patience)
            figures = learn(weights, train, held, params.noise, descent, rng, watch)
            found = {name: weight.detach() for name, weight in weights.items()} | fixed
            found |= _spread(found, train)
        arrays = {name: tensor.cpu().numpy() for name, tensor in found.items()}
        self._take(self._read(State(arrays, {"figures": figures})))

    def _written(self, model: _Model) -> State:
        """The weights and the statistics of the sample, float32."""
        arrays = {name: tensor.cpu().numpy() for name, tensor in model.weights.items()}
        return State(arrays, {"figures": model.figures})

    def _read(self, state: State) -> _Model:
        import torch

        expect(state, self._shapes())
        weights = {
            name: torch.tensor(array, dtype=torch.float32, device=self._device)
            for name, array in state.arrays.items()
        }
        return _Model(weights, state.meta.get("figures"))

    def recipe(self) -> dict[str, Json]:
        """Parameters, code, decoders, and the digest of what was learned (None before)."""
        params: dict[str, Json] = asdict(self._params)
        for name in ("device", "batch_size"):
            del params[name]
        return {
            "kind": "conv_autoencoder",
            "code": REVISION,
            "decoding": media.REVISION,
            "params": params,
            "libraries": majors("pillow", "torch"),
            "state": self._digest,
        }

    def encode(self, batch: Sequence[Image]) -> NDArray[np.float32]:
        """Encode RGB images: ``(n, dim)`` float32.

        Raises:
            EncoderError: before `fit` or `restore`, or if an image is not RGB.
        """
        import numpy as np

        weights = self._known().weights
        if len(batch) == 0:
            return np.empty((0, self.dim), np.float32)
        rows = self._mapped(partial(self._vectors, weights), batch)
        return unit(rows) if self._params.normalize else rows

    def reconstruct(self, batch: Sequence[Image]) -> NDArray[np.float32]:
        """What is left of images in their vectors: ``(n, size, size, 3)`` float32, 0 to 255.

        Raises:
            EncoderError: as `encode` does.
        """
        import numpy as np

        weights, size = self._known().weights, self._params.size
        if len(batch) == 0:
            return np.empty((0, size, size, 3), np.float32)
        return self._mapped(partial(self._given_back, weights), batch)

    def _mapped(
        self, work: Callable[[list[Image]], NDArray[np.float32]], batch: Sequence[Image]
    ) -> NDArray[np.float32]:
        """What is made of images, as many at a time as the caches hold the first maps of."""
        import numpy as np

        check_rgb(batch)  # here, where their places in the batch are known
        widest = self._params.channels * self._params.size**2
        together = _cached.together(self._device, _cached.VALUES, widest, self.batch_size)
        parts = _cached.in_parts(batch, together)
        return np.concatenate(_streams.mapped(work, parts, self._device))

    def _vectors(self, weights: dict[str, Tensor], images: list[Image]) -> NDArray[np.float32]:
        import torch

        from encoders._autoencoder import encode

        with torch.inference_mode():
            vectors = encode(weights, _standard(self._pixels(images), weights))
            found = (vectors - weights["centre"]) / weights["scale"]
        rows: NDArray[np.float32] = found.cpu().numpy()
        return rows

    def _given_back(self, weights: dict[str, Tensor], images: list[Image]) -> NDArray[np.float32]:
        import torch

        from encoders._autoencoder import decode, encode

        with torch.inference_mode():
            pixels = _standard(self._pixels(images), weights)
            back = decode(weights, encode(weights, pixels), self._params.size // _STEP)
            back = back * weights["pixel_scale"] + weights["mean_image"]
        rows: NDArray[np.float32] = back.clamp(0, 255).permute(0, 2, 3, 1).cpu().numpy()
        return rows

    def _pixels(self, images: Sequence[Image]) -> Tensor:
        import torch

        pixels = torch.from_numpy(squeezed(images, self._params.size))
        return pixels.permute(0, 3, 1, 2).float().to(self._device)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        sizes, dim = self._params.sizes(), self.dim
        side = (sizes.size, sizes.size)
        statistics = {"mean_image": (3, *side), "pixel_scale": ()}
        return sizes.shapes() | statistics | {"centre": (dim,), "scale": (dim,)}


def _statistics(pixels: Tensor) -> dict[str, Tensor]:
    """The mean image of a sample, and by how much pixels are off it."""
    mean = pixels.mean(0)
    off = (pixels - mean).square().mean().sqrt()
    return {"mean_image": mean, "pixel_scale": off.clamp_min(1.0)}


def _standard(pixels: Tensor, statistics: dict[str, Tensor]) -> Tensor:
    return (pixels - statistics["mean_image"]) / statistics["pixel_scale"]


def _spread(weights: dict[str, Tensor], train: Tensor) -> dict[str, Tensor]:
    """The mean of each dimension over a sample, and what it is divided by."""
    import torch

    from encoders._autoencoder import encode

    with torch.no_grad():
        vectors = torch.cat([encode(weights, block) for block in torch.split(train, 256)])
    spread = vectors.std(0, correction=0)
    scale = torch.where(spread > _LEAST_SPREAD, spread, torch.ones_like(spread))
    return {"centre": vectors.mean(0), "scale": scale}
