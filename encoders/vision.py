"""Images: by a network of torchvision, or by patches learned from the images themselves.

The default, ``kmeans``, needs no download: it learns from a sample of the user's own images
(`encoders._patches`). Networks are He et al. 2016 (ResNet), Simonyan & Zisserman 2015 (VGG),
Szegedy et al. 2016 (Inception v3) and all others that torchvision has for classification, and the
backbones of those that it has for segmentation (Long, Shelhamer & Darrell 2015; Chen et al. 2017),
with the weights and the transforms that it publishes for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from encoders import _cached, _networks, _streams, media
from encoders._device import moved, pick_device
from encoders._libraries import majors
from encoders._patches import PATCH, QUARTERS, Codebook
from encoders._pictures import LONGEST, check_rgb, middle, squeezed, unit
from encoders._precision import Dtype, resolved
from encoders._repeatable import one_core
from encoders._tap import Tap
from encoders.base import EncoderError, EncoderUsageError, Json, Metric, Modality, State, digest
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

MODALITY: Modality = "image"
PATHS = ("weights",)
REVISION = 1
"""To be raised with any change of this file or its two helpers that changes vectors."""

_LEAST_SIZE = 8
_LONGEST_WHOLE = 4
"""Long sides, in short ones, that a network without a crop is given: its memory grows with them."""
_OF_NETWORKS = ("weights", "weights_sha256", "preset", "layer", "dtype")
_OF_PATCHES = ("size", "centroids")


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "vision"``.

    Attributes:
        model: ``kmeans``, or a classification or segmentation model of torchvision, such as
            ``resnet50``.
        weights: for a network: the name of published weights, such as ``IMAGENET1K_V2``
            (default: what torchvision calls ``DEFAULT``), or the path or the http(s) address of a
            state dict as .safetensors, .pth or .pt (from Python, a relative path begins with
            ``./`` or ``../``). Half-precision weights are computed with as float32.
        weights_sha256: for a network: SHA-256 of the file that holds its weights, 64 hex digits.
            An address needs one.
        preset: for a network with a state dict from a file: the published weights whose
            transforms fit it (default: ``DEFAULT``).
        layer: for a network: the module whose output to take, such as ``classifier`` or
            ``layer3`` (default: what goes into the classification layer, or the backbone's map).
        size: for ``kmeans``: images are resized to so many pixels a side (default 32).
        centroids: for ``kmeans``: how many patches to learn (default 400); the vectors have four
            times as many dimensions.
        normalize: give vectors of L2 norm 1.
        device: ``auto`` (CUDA where there is one), or any device of torch.
        dtype: for a network: the precision to compute in; ``auto`` is bfloat16 on CUDA and on
            processors that compute in it, else float32 (the default), so that the fingerprint may
            differ between machines. The vectors are float32 in any case, and those of one image
            the same whatever its batch.
        batch_size: images that run through the model at a time, at most; on a CPU fewer of those
            that are large, since its caches hold no more.
    """

    model: str = "kmeans"
    weights: str | None = None
    weights_sha256: str | None = None
    preset: str | None = None
    layer: str | None = None
    size: int | None = None
    centroids: int | None = None
    normalize: bool = False
    device: str = "auto"
    dtype: Dtype | None = None
    batch_size: int = 32


def build(params: Params) -> PatchEncoder | NetworkEncoder:
    """Build the encoder; the weights of a large network take seconds to read and to digest.

    Raises:
        EncoderError: if parameters clash or weights are not to be had.
    """
    if params.batch_size < 1:
        raise EncoderUsageError(f"batch_size must be at least 1, got {params.batch_size}")
    learned = params.model == "kmeans"
    for key in _OF_NETWORKS if learned else _OF_PATCHES:
        if getattr(params, key) is not None:
            owner = "the networks of torchvision" if learned else "model = 'kmeans'"
            raise EncoderUsageError(
                f"{key} = {getattr(params, key)!r} is a parameter of {owner}, got model = "
                f"{params.model!r}; remove it or choose the other model"
            )
    return PatchEncoder(params) if learned else NetworkEncoder(params)


class PatchEncoder:
    """Coates, Lee & Ng 2011: sums of soft answers to learned patches. Must be fitted.

    Images are squeezed to a square of ``size`` pixels, whatever their shape. Linear probe on
    CIFAR-10 with 2,000 labels: 56 % correct.
    """

    modality: ClassVar[Modality] = "image"
    metric: Metric = "cosine"
    fit_size = 2_000

    def __init__(self, params: Params) -> None:
        self._params = params
        self._size = 32 if params.size is None else params.size
        self._centroids = 400 if params.centroids is None else params.centroids
        if self._size < _LEAST_SIZE:
            raise EncoderUsageError(
                f"size must be at least {_LEAST_SIZE} pixels, a {PATCH} x {PATCH} patch in every "
                f"quarter, got {self._size}"
            )
        if self._centroids < 2:  # noqa: PLR2004 - with one, no patch is nearer than average
            raise EncoderUsageError(f"centroids must be at least 2, got {self._centroids}")
        self._device = pick_device(params.device)
        self._codebook: Codebook | None = None
        self._digest: str | None = None
        self.batch_size = params.batch_size

    @property
    def dim(self) -> int:
        """Four quarters, each with one sum a centroid."""
        return QUARTERS * self._centroids

    @property
    def fitted(self) -> bool:
        """Whether patches have been learned or restored."""
        return self._codebook is not None

    def recipe(self) -> dict[str, Json]:
        """Parameters, code, and the digest of what was learned (none before fitting)."""
        return {
            "kind": "vision",
            "code": REVISION,
            "decoding": media.REVISION,
            "model": "kmeans",
            "size": self._size,
            "centroids": self._centroids,
            "normalize": self._params.normalize,
            "libraries": majors("pillow"),
            "state": self._digest,
        }

    def fit(self, sample: Sequence[Image], rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Learn patches and the spread of their sums; some 2,000 images are plenty."""
        del watch  # a fit takes seconds
        pixels = squeezed(sample, self._size)
        with one_core():
            self._take(Codebook.learn(pixels, self._centroids, rng, self._device))

    def state(self) -> State:
        """The learned arrays, see `encoders._patches.Codebook`."""
        return self._learned().state()

    def restore(self, state: State) -> None:
        """Take over learned arrays.

        Raises:
            EncoderError: if their shapes are those of other parameters.
        """
        self._take(Codebook.restore(state, self._centroids, self._device))

    def encode(self, batch: Sequence[Image]) -> NDArray[np.float32]:
        """Encode RGB images: ``(n, dim)`` float32, each dimension of unit variance in the sample.

        Raises:
            EncoderError: if nothing was learned yet, or an image is not RGB.
        """
        codebook = self._learned()
        if len(batch) == 0:
            return np.empty((0, self.dim), dtype=np.float32)
        rows = codebook.encode(squeezed(batch, self._size)).cpu().numpy()
        return unit(rows) if self._params.normalize else rows

    def _take(self, codebook: Codebook) -> None:
        self._codebook = codebook
        self._digest = digest(codebook.state())

    def _learned(self) -> Codebook:
        if self._codebook is None:
            raise EncoderError(
                "the vision encoder 'kmeans' has not learned its patches yet; call fit with a "
                "sample of images, or restore with a saved state"
            )
        return self._codebook


class NetworkEncoder:
    """A network of torchvision, read at one layer."""

    modality: ClassVar[Modality] = "image"
    metric: Metric = "cosine"

    def __init__(self, params: Params) -> None:
        import torch
        from PIL import Image

        self._params = params
        self.batch_size = params.batch_size
        self._dtype = resolved(params.dtype or "float32", params.device)
        self._device = pick_device(params.device)
        network = _networks.load(params.model, params.weights, params.preset, params.weights_sha256)
        self._transforms = network.transforms
        self._longest = LONGEST if network.cropped else _LONGEST_WHOLE
        named = network.module.state_dict()
        self._weights = digest(State({name: value.numpy() for name, value in named.items()}))
        # Channels last is how convolutions are fastest on a CPU; no value changes by it.
        self._module = network.module.to(self._device, getattr(torch, self._dtype)).to(
            memory_format=torch.channels_last
        )
        blank = self._given([self._pixels(Image.new("RGB", (8, 8)))])
        self._tap = Tap.fit(self._module, params.layer, blank)
        self._dim = self._tap.read(self._module, blank).shape[1]

    @property
    def dim(self) -> int:
        """The width of the layer."""
        return self._dim

    def recipe(self) -> dict[str, Json]:
        """Model, layer, transforms, and the digest of the weights as float32, file or fetched."""
        # Said only where it is so: the fingerprints of all others are what they were.
        short = {} if self._dtype == "float32" else {"dtype": self._dtype}
        return {
            **short,
            "kind": "vision",
            "code": REVISION,
            "decoding": media.REVISION,
            "model": self._params.model,
            "weights": self._weights,
            "transforms": repr(self._transforms),
            "layer": self._tap.name,
            "takes_input": self._tap.takes_input,
            "normalize": self._params.normalize,
            "libraries": majors("pillow", "torchvision"),
        }

    def encode(self, batch: Sequence[Image]) -> NDArray[np.float32]:
        """Encode RGB images: ``(n, dim)`` float32.

        Raises:
            EncoderError: if an image is not RGB.
        """
        check_rgb(batch)
        rows = np.empty((len(batch), self.dim), dtype=np.float32)
        for at in range(0, len(batch), self.batch_size):
            some = batch[at : at + self.batch_size]
            pixels = _streams.mapped(self._pixels, some, "cpu")
            parts = [
                [places[place] for place in part]
                for places in _by_shape(pixels)
                for part in self._parts([pixels[place] for place in places])
            ]
            given = [[pixels[place] for place in part] for part in parts]
            found = _streams.mapped(self._read, given, self._device)
            for part, vectors in zip(parts, found, strict=True):
                rows[[at + place for place in part]] = vectors
        return unit(rows) if self._params.normalize else rows

    def _pixels(self, image: Image) -> Tensor:
        pixels: Tensor = self._transforms(middle(image, self._longest))
        return pixels

    def _parts(self, pixels: list[Tensor]) -> Iterator[list[int]]:
        """The places of pixels of one shape that run through the network together."""
        return self._parts_of([each.shape[1] * each.shape[2] for each in pixels])

    def _parts_of(self, sizes: list[int]) -> Iterator[list[int]]:
        budget = _cached.bound(self._device, _cached.PIXELS)
        return _cached.parts(sizes, self.batch_size, budget)

    def _read(self, pixels: list[Tensor]) -> NDArray[np.float32]:
        """The vectors of images of one shape: ``(n, dim)``."""
        found = self._tap.read(self._module, self._given(pixels))[: len(pixels)]
        rows: NDArray[np.float32] = found.float().cpu().numpy()
        return rows

    def _given(self, pixels: list[Tensor]) -> Tensor:
        """Pixels of one shape as the network takes them."""
        import torch

        if self._dtype != "float32":
            # The last digit of a short type hangs on how many there are, so it is always as many.
            pixels = pixels + [torch.zeros_like(pixels[0])] * (self._full(pixels[0]) - len(pixels))
        given = torch.stack(pixels).to(getattr(torch, self._dtype))
        on: Tensor = moved({"pixels": given}, self._device)["pixels"]
        return on.contiguous(memory_format=torch.channels_last)

    def _full(self, pixels: Tensor) -> int:
        """How many images of a shape a full part has."""
        many = [pixels.shape[1] * pixels.shape[2]] * self.batch_size
        return len(next(self._parts_of(many)))


def _by_shape(pixels: Sequence[Tensor]) -> list[list[int]]:
    """The places of pixels of one shape: what runs through a network together."""
    found: dict[tuple[int, ...], list[int]] = {}
    for place, each in enumerate(pixels):
        found.setdefault(tuple(each.shape), []).append(place)
    return list(found.values())
