"""Images near to each other where they are of one class: learned from labels, or from views.

A siamese network (Bromley et al. 1993; Koch, Zemel & Salakhutdinov 2015, "Siamese Neural Networks
for One-shot Image Recognition") sends both images of a pair through the same weights, and learns
to lay those of one class together (`encoders._metric` has the losses). What it learns is a
distance, which goes on to new classes: one image of each is enough to tell them apart.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from encoders import _augment, _cached, _streams, media
from encoders._augment import Augment
from encoders._device import pick_device
from encoders._learned import Learned, expect
from encoders._metric import LOSSES, MININGS, Loss, Mining
from encoders._pictures import check_rgb
from encoders._ranges import check_count, check_held_out, check_steps
from encoders.base import EncoderError, EncoderUsageError, State
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from encoders._backbones import Backbone
    from encoders._siamese import Regime
    from encoders._views import Net
    from encoders.base import Json, Metric, Modality

MODALITY: Modality = "image"
PATHS = ("weights",)
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""

_FROM_NOTHING = "conv4"
_SIZE, _CHANNELS = 32, 64
_SMALLEST = 16
_LEAST = 8
_COUNTS = {"dim": 1, "epochs": 1, "patience": 1, "batch_size": 1, "classes": 2, "images": 2}
_MOST_IN_A_BATCH = 512
"""All triplets of a batch are looked at together: 2 GB of them."""
_NETWORK_KEYS = ("weights", "weights_sha256", "preset", "train_backbone")
_CONV4_KEYS = ("size", "grey", "channels")


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "siamese"``.

    Attributes:
        label: the kept column of the source with the class of each image; None learns without:
            then views of one image are alike, and all others are not.
        backbone: ``conv4``, a small network that is learned from nothing, or a classification
            model of torchvision, such as ``resnet18``.
        weights: for torchvision's: as in ``vision``.
        weights_sha256: for torchvision's: as in ``vision``.
        preset: for torchvision's: as in ``vision``.
        train_backbone: for torchvision's: learn on in all its weights, not in a layer upon it
            alone.
        size: for ``conv4``: images are squeezed to so many pixels a side (default 32).
        grey: for ``conv4``: leave colours out.
        channels: for ``conv4``: of each block (default 64).
        dim: the width of the vectors.
        normalize: give vectors of L2 norm 1, and learn on them; else their length counts.
        loss: ``triplet`` or ``contrastive``.
        mining: which other class a triplet is made with: ``semi_hard`` or ``hard``.
        margin: how much further away it should be than the own; for ``contrastive``, at all.
        classes: a batch holds so many, or all where there are fewer.
        images: a batch holds so many of each class, and 512 of all classes at most.
        turns: take each class turned by 90, 180 and 270 degrees for three more classes.
        rotate: degrees by which a view is turned at most.
        shear: degrees by which its uprights lean at most.
        shift: share of the side by which it is moved at most.
        zoom: share by which it is enlarged or reduced at most.
        brightness: how far its brightness and its contrast may change.
        flip: whether left and right may be exchanged: not for digits and letters.
        held_out: share of the classes that is not learned from, to know when to stop.
        epochs: at most so many passes over the sample.
        patience: how many passes may bring nothing before it stops.
        rate: learning rate at the first step.
        decay: weight decay.
        device: ``auto`` (CUDA where there is one), or any device of torch.
        batch_size: images encoded at a time.

    Raises:
        ValueError: if a value is out of its range.
    """

    label: str | None = None
    backbone: str = _FROM_NOTHING
    weights: str | None = None
    weights_sha256: str | None = None
    preset: str | None = None
    train_backbone: bool = False
    size: int | None = None
    grey: bool = False
    channels: int | None = None
    dim: int = 64
    normalize: bool = True
    loss: Loss = "triplet"
    mining: Mining = "semi_hard"
    margin: float = 0.5
    classes: int = 32
    images: int = 4
    turns: bool = False
    rotate: float = 10.0
    shear: float = 10.0
    shift: float = 0.1
    zoom: float = 0.15
    brightness: float = 0.2
    flip: bool = False
    held_out: float = 0.15
    epochs: int = 30
    patience: int = 5
    rate: float = 0.001
    decay: float = 0.01
    device: str = "auto"
    batch_size: int = 64

    def __post_init__(self) -> None:
        for name, least in _COUNTS.items():
            check_count(name, getattr(self, name), least)
        self._check_network()
        self._check_learning()
        if self.label is None and self.augment().nothing:
            raise ValueError(
                "without a label views of an image are all there is to learn from, got none: set "
                "label, or rotate, shear, shift, zoom or brightness above 0"
            )

    def _check_network(self) -> None:
        if self.size is not None and self.size < _SMALLEST:
            raise ValueError(
                f"size must be {_SMALLEST} or more, of which four halvings leave a pixel, got "
                f"{self.size}"
            )
        if self.channels is not None and self.channels < 1:
            raise ValueError(f"channels must be 1 or more, got {self.channels}")

    def _check_learning(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {self.loss!r}")
        if self.mining not in MININGS:
            raise ValueError(f"mining must be one of {', '.join(MININGS)}, got {self.mining!r}")
        if self.classes * self.images > _MOST_IN_A_BATCH:
            raise ValueError(
                f"classes x images must be at most {_MOST_IN_A_BATCH}, got {self.classes} x "
                f"{self.images}: memory grows with the third power of a batch"
            )
        if not self.margin > 0:
            raise ValueError(f"margin must be positive, got {self.margin}")
        if self.normalize and self.margin >= 2:  # noqa: PLR2004 - the diameter of the sphere
            raise ValueError(
                f"margin must be below 2, the furthest that vectors of norm 1 can be, got "
                f"{self.margin}; lower it or set normalize = false"
            )
        check_held_out(self.held_out)
        check_steps(self.rate, self.decay)

    def augment(self) -> Augment:
        """How far views may lie from their images."""
        return Augment(
            rotate=self.rotate,
            shear=self.shear,
            shift=self.shift,
            zoom=self.zoom,
            brightness=self.brightness,
            flip=self.flip,
        )

    def regime(self) -> Regime:
        """How to learn."""
        from encoders._descent import Descent
        from encoders._metric import Objective
        from encoders._siamese import Regime

        return Regime(
            classes=self.classes,
            images=self.images,
            turns=self.turns,
            alone=self.label is None,
            normalize=self.normalize,
            objective=Objective(self.loss, self.mining, self.margin),
            descent=Descent(self.epochs, self.rate, self.decay, self.patience),
        )


def build(params: Params) -> Siamese:
    """Build the encoder; it must be fitted or restored before it encodes.

    Raises:
        EncoderError: if parameters clash, or a backbone's weights are not to be had.
    """
    return Siamese(params)


@dataclass(frozen=True)
class _Model:
    net: Net
    head: dict[str, Tensor]
    figures: Json


class Siamese(Learned[_Model]):
    """Images to ``(n, dim)`` float32."""

    modality: ClassVar[Modality] = "image"
    kind = "siamese"

    def __init__(self, params: Params) -> None:
        super().__init__()
        self._params = params
        self._backbone = _backbone(params)
        self.label = params.label
        self.fit_size = self._backbone.fit_size
        self.batch_size = params.batch_size
        self.metric: Metric = "cosine" if params.normalize else "l2"

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self._params.dim

    def fit(self, sample: Sequence[Image], rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Learn from views of each image; with a `label` set, call `fit_labelled`.

        Raises:
            EncoderError: if there are too few images, or labels are wanted; see `fit_labelled`.
        """
        import numpy as np

        if self.label is not None:
            raise EncoderUsageError(
                f"label = {self.label!r} asks to learn from labels, got images alone; call "
                "fit_labelled, or leave label out"
            )
        if len(sample) < _LEAST:
            raise EncoderError(f"siamese needs {_LEAST} images or more, got {len(sample)}")
        self._learn(sample, list(np.arange(len(sample))[:, None]), rng, watch)

    def fit_labelled(
        self,
        sample: Sequence[Image],
        labels: Sequence[str | None],
        rng: np.random.Generator,
        watch: Watch = QUIET,
    ) -> None:
        """Learn from the class of each image.

        Raises:
            EncoderError: if there are too few classes with enough images, the fit diverges, or
                all vectors become one.
        """
        from encoders._classes import by_label

        if len(labels) != len(sample):
            raise EncoderError(f"got {len(labels)} labels for {len(sample)} images")
        self._learn(sample, by_label(labels, watch), rng, watch)

    def _written(self, model: _Model) -> State:
        """All weights that were learned, float32, by name."""
        weights = model.head | model.net.weights
        arrays = {name: weight.detach().cpu().numpy() for name, weight in weights.items()}
        return State(arrays, {"figures": model.figures})

    def _read(self, state: State) -> _Model:
        import torch

        own = self._shapes()
        expect(state, own | self._backbone.shapes())
        device = pick_device(self._params.device)
        head = {
            name: torch.tensor(state.arrays[name], dtype=torch.float32, device=device)
            for name in own
        }
        return _Model(self._backbone.restored(state.arrays), head, state.meta.get("figures"))

    def recipe(self) -> dict[str, Json]:
        """Parameters, code, backbone, and the digest of what was learned (None before)."""
        params: dict[str, Json] = asdict(self._params)
        for name in ("device", "batch_size", *_NETWORK_KEYS[:3], *_CONV4_KEYS):
            del params[name]
        return {
            "kind": "siamese",
            "code": [REVISION, _augment.REVISION],
            "decoding": media.REVISION,
            "params": params,
            "backbone": self._backbone.recipe(),
            "libraries": self._backbone.libraries(),
            "state": self._digest,
        }

    def encode(self, batch: Sequence[Image]) -> NDArray[np.float32]:
        """Encode RGB images: ``(n, dim)`` float32.

        Raises:
            EncoderError: before `fit` or `restore`, or if an image is not RGB.
        """
        import numpy as np

        known, device = self._known(), self._backbone.device
        if len(batch) == 0:
            return np.empty((0, self.dim), np.float32)
        check_rgb(batch)  # here, where their places in the batch are known
        parts = _cached.in_parts(batch, self._backbone.together(self.batch_size))
        return np.concatenate(_streams.mapped(partial(self._vectors, known), parts, device))

    def _vectors(self, known: _Model, images: Sequence[Image]) -> NDArray[np.float32]:
        """Those of images that run through the network together."""
        import torch

        from encoders._siamese import project

        with torch.inference_mode():
            features = known.net.features(self._backbone.pixels(images))
            found = project(known.head, features, normalize=self._params.normalize)
        rows: NDArray[np.float32] = found.cpu().numpy()
        return rows

    def _learn(
        self,
        sample: Sequence[Image],
        classes: list[NDArray[np.int64]],
        rng: np.random.Generator,
        watch: Watch,
    ) -> None:
        from encoders._classes import split
        from encoders._repeatable import one_core
        from encoders._siamese import begun, learn
        from encoders._views import Viewing

        params = self._params
        parts = split(classes, params.held_out, rng, watch)
        viewing = Viewing(params.augment(), 4 if params.turns else 1, params.label is None, rng)
        with one_core():
            net = self._backbone.fresh(rng)
            views = self._backbone.views(net, sample, viewing)
            head = begun(views, parts, params.dim, rng)
            figures = learn(views, head, parts, params.regime(), rng, watch)
        arrays = {name: weight.cpu().numpy() for name, weight in (head | net.weights).items()}
        self._take(self._read(State(arrays, {"kind": self.kind, "figures": figures})))

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        from encoders._siamese import head_shapes

        return head_shapes(self._backbone.width, self.dim)


def _backbone(params: Params) -> Backbone:
    learned = params.backbone == _FROM_NOTHING
    for key in _NETWORK_KEYS if learned else _CONV4_KEYS:
        if getattr(params, key) not in (None, False):
            owner = "torchvision's networks" if learned else f"backbone = {_FROM_NOTHING!r}"
            raise EncoderUsageError(
                f"{key} = {getattr(params, key)!r} is a parameter of {owner}, got backbone = "
                f"{params.backbone!r}; remove it or choose the other backbone"
            )
    device = pick_device(params.device)
    if not learned:
        from encoders._torchvision_backbone import Torchvision

        return Torchvision.load(
            params.backbone,
            params.weights,
            params.preset,
            params.weights_sha256,
            device,
            learns=params.train_backbone,
        )
    from encoders._backbones import Conv4

    size = _SIZE if params.size is None else params.size
    channels = _CHANNELS if params.channels is None else params.channels
    return Conv4(size, params.grey, channels, device)
