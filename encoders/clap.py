"""Recordings and texts in one space, by CLAP.

Wu et al. 2023, "Large-scale Contrastive Language-Audio Pretraining with Feature Fusion and
Keyword-to-Caption Augmentation": what CLIP is to images, this is to sounds. Checkpoints of LAION's
CLAP are read, from a folder or the hub.

The model hears ten seconds at a time. Its own preprocessor takes ten seconds of a longer recording
at random, or three such pieces; here the recording is cut into windows that cover all of it, and
its vector is the mean of theirs (`encoders._hearing`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from encoders import media
from encoders._bridge import Bridge, Sense, check, located
from encoders._bridge import recipe as common_recipe
from encoders._device import pick_device
from encoders._hearing import Hearing
from encoders._libraries import majors
from encoders._precision import Dtype, resolved
from encoders._recordings import audio_libraries
from encoders._towers import Texts, Towers

if TYPE_CHECKING:
    from pathlib import Path

    from encoders.base import Json, Modality

PATHS = ("model",)
READS: tuple[Modality, ...] = ("audio", "text")
REVISION = 1
"""To be raised with any change of this file or its helpers that changes vectors."""

TYPES = {"clap": Texts(77)}
"""LAION trained with texts of 77 tokens; the checkpoints' tokenizers would allow for more."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "clap"``.

    Attributes:
        model: a folder that ``save_pretrained`` of a model and its processor filled, or a name on
            the hub. From Python, a relative path begins with ``./`` or ``../``.
        reads: what the feature's records are, ``audio`` or ``text``.
        revision: a commit, tag or branch on the hub; a commit makes a first download repeatable.
        prompt: the words around every text, such as ``this is a sound of {}.``; the text stands
            at ``{}``. Of an encoder of recordings it decides no vector of a record, so that it is
            no part of the fingerprint.
        normalize: give vectors of L2 norm 1. Off, the vector of a long recording is the mean of
            those of its windows, shorter the more these differ.
        dtype: the precision to compute in; ``auto`` is bfloat16 on CUDA and on processors that
            compute in it, else float32, so that the fingerprint may differ between machines. The
            vectors are float32 in any case.
        device: ``auto`` (CUDA where there is one), or any device of torch.
        batch_size: texts, or windows of recordings, that run through the model at a time.

    Raises:
        ValueError: if a value is none of those above.
    """

    model: str
    reads: Literal["audio", "text"]
    revision: str | None = None
    prompt: str = "{}"
    normalize: bool = True
    dtype: Dtype = "float32"
    device: str = "auto"
    batch_size: int = 16

    def __post_init__(self) -> None:
        check(self, ("audio", "text"))


def build(params: Params) -> Bridge:
    """Load a model; the weights of a large one take seconds to read and to digest.

    Raises:
        EncoderError: if the model is not there, is not whole, or is of a type not read here.
    """
    folder = located(params)
    found = _recipe(params, folder)
    dtype = resolved(params.dtype, params.device)
    towers = Towers(folder, params.model, TYPES, pick_device(params.device), dtype)
    sense = Sense("audio", Hearing(folder, params.model, towers).encode)
    return Bridge(params, towers, sense, lambda: found | _decoding(params))


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
    return {"kind": "clap", "code": REVISION, **shared}


def _decoding(params: Params) -> dict[str, Json]:
    if params.reads == "text":
        return {"libraries": majors("tokenizers", "transformers")}
    libraries = {**audio_libraries(), **majors("scipy", "transformers")}
    return {"decoding": media.REVISION, "libraries": libraries}
