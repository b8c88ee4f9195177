"""Images and texts in one space, by CLIP and its like.

Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision": a
tower for images and one for texts, trained so that a picture and its caption have near vectors.
Checkpoints of CLIP, SigLIP (Zhai et al. 2023), ALIGN (Jia et al. 2021) and Chinese CLIP (Yang et
al. 2022) are read, from a folder or the hub.

An encoder reads records of one modality, and puts queries of the other into the same space
(`encoders.abilities.Bridging`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from encoders import media
from encoders._bridge import Bridge, Sense, check, located
from encoders._bridge import recipe as common_recipe
from encoders._device import pick_device
from encoders._libraries import majors
from encoders._pixels import Pixels
from encoders._precision import Dtype, resolved
from encoders._towers import Texts, Towers

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from encoders.base import Json, Modality

PATHS = ("model",)
READS: tuple[Modality, ...] = ("image", "text")
REVISION = 1
"""To be raised with any change of this file or its helpers that changes vectors."""

TYPES = {
    "align": Texts(64),
    "chinese_clip": Texts(52),
    "clip": Texts(77),
    "siglip": Texts(64, padded=True),
}
"""How the models of each type were trained to read texts, by their papers and published code."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "clip"``.

    Attributes:
        model: a folder that ``save_pretrained`` of a model and its processor filled, or a name on
            the hub. From Python, a relative path begins with ``./`` or ``../``.
        reads: what the feature's records are, ``image`` or ``text``.
        revision: a commit, tag or branch on the hub; a commit makes a first download repeatable.
        prompt: the words around every text, such as ``a photo of a {}.``; the text stands at
            ``{}``. Of an encoder of images it decides no vector of a record, so that it is no
            part of the fingerprint.
        normalize: give vectors of L2 norm 1.
        dtype: the precision to compute in; ``auto`` is bfloat16 on CUDA and on processors that
            compute in it, else float32, so that the fingerprint may differ between machines. The
            vectors are float32 in any case.
        device: ``auto`` (CUDA where there is one), or any device of torch.
        batch_size: records that run through the model at a time.

    Raises:
        ValueError: if a value is none of those above.
    """

    model: str
    reads: Literal["image", "text"]
    revision: str | None = None
    prompt: str = "{}"
    normalize: bool = True
    dtype: Dtype = "float32"
    device: str = "auto"
    batch_size: int = 32

    def __post_init__(self) -> None:
        check(self, ("image", "text"))


def build(params: Params) -> Bridge:
    """Load a model; the weights of a large one take seconds to read and to digest.

    Raises:
        EncoderError: if the model is not there, is not whole, or is of a type not read here.
    """
    folder = located(params)
    found = _recipe(params, folder)
    dtype = resolved(params.dtype, params.device)
    towers = Towers(folder, params.model, TYPES, pick_device(params.device), dtype)
    pixels = Pixels(folder, params.model)

    def look(images: Sequence[Image], batch_size: int) -> NDArray[np.float32]:
        return towers.run_each(
            towers.model.get_image_features,
            lambda part: {"pixel_values": pixels.of(part)},
            images,
            batch_size,
        )

    return Bridge(params, towers, Sense("image", look), lambda: found | _decoding(params))


def modality(params: Params) -> Modality:
    """What the records are, which is the user's choice."""
    return params.reads


def recipe(params: Params) -> dict[str, Json]:
    """The recipe of the encoder that `build` gives, without loading the model.

    Raises:
        EncoderError: if the model is nowhere to be had.
    """
    return _recipe(params, located(params)) | _decoding(params)


def _recipe(params: Params, folder: Path) -> dict[str, Json]:
    shared = common_recipe(params, folder)
    return {"kind": "clip", "code": REVISION, **shared}


def _decoding(params: Params) -> dict[str, Json]:
    if params.reads == "text":
        return {"libraries": majors("tokenizers", "transformers")}
    return {"decoding": media.REVISION, "libraries": majors("pillow", "transformers")}
