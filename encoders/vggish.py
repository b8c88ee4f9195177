"""Recordings by VGGish, the network behind AudioSet's published features.

Hershey et al. 2017, "CNN Architectures for Large-Scale Audio Classification"; Gemmeke et al. 2017,
"Audio Set: An ontology and human-labeled dataset for audio events". Each 0.96 s of a recording is
embedded, and a vector is the mean of its embeddings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np

from encoders import _streams, media
from encoders._cached import in_parts
from encoders._device import pick_device
from encoders._hub import sha256
from encoders._paths import as_path
from encoders._recordings import audio_libraries, check_finite
from encoders._resample import resample
from encoders._state_dict import SUFFIXES, read
from encoders._vggish import Vggish
from encoders._vggish_input import HOP_SECONDS, RATE, examples
from encoders._vggish_pca import Whitening
from encoders.base import EncoderUsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from encoders.base import Json, Metric, Modality
    from encoders.media import Audio

MODALITY: Modality = "audio"
PATHS = ("weights", "pca")
REVISION = 1
"""To be raised with any change of this file or its helpers that changes vectors."""

Activation = Literal["none", "relu"]
Postprocess = Literal["none", "pca", "quantized"]

_PUBLISHED = (
    "VGGish is published by AudioSet as vggish_model.ckpt (docs/encoders/vggish.md says how to "
    "make an .npz of it), and by torchvggish as vggish-10086976.pth"
)

_UNDER_WAY = 16
"""Runs whose examples are made at a time, so that several threads can have one."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "vggish"``.

    Attributes:
        weights: a .safetensors, .npz, .pth or .pt file with the names of AudioSet's checkpoint, of
            torchvggish or of torchaudio. From Python, a relative path begins with ``./``.
        activation: ``none``: embeddings before activation, as AudioSet's code gives them;
            ``relu``: after it, as torchvggish and torchaudio do.
        postprocess: ``none``; ``pca``: whitened; ``quantized``: whitened, cut off at ±2 and in
            whole numbers from 0 to 255, as the features that AudioSet published.
        pca: the file of the components, ``vggish_pca_params.npz``; not needed where they are in
            ``weights`` too.
        hop_seconds: from the beginning of one example of 0.96 s to the next, in hundredths.
        device: ``auto`` (CUDA where there is one), or any device of torch.
        batch_size: recordings encoded, and examples run through the network, at a time.

    Raises:
        ValueError: if a value is none of those above.
        EncoderUsageError: if components are given and not asked for.
    """

    weights: str
    activation: Activation = "none"
    postprocess: Postprocess = "none"
    pca: str | None = None
    hop_seconds: float = 0.96
    device: str = "auto"
    batch_size: int = 16

    def __post_init__(self) -> None:
        for name, kind in {"activation": Activation, "postprocess": Postprocess}.items():
            value, allowed = getattr(self, name), get_args(kind)
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        whole = math.isfinite(self.hop_seconds) and self.hop >= 1
        if not whole or not math.isclose(self.hop * HOP_SECONDS, self.hop_seconds):
            raise ValueError(
                f"hop_seconds must be a positive multiple of {HOP_SECONDS}, the time between two "
                f"frames, got {self.hop_seconds}"
            )
        if self.pca is not None and self.postprocess == "none":
            raise EncoderUsageError(
                f'pca = {self.pca!r} is used by postprocess = "pca" and "quantized", got "none"; '
                "remove it, or choose one of them"
            )

    @property
    def hop(self) -> int:
        """From one example to the next, in frames."""
        return round(self.hop_seconds / HOP_SECONDS)


class VggishEncoder:
    """Recordings to ``(n, 128)`` float32, whatever their rate and length."""

    modality: ClassVar[Modality] = "audio"

    def __init__(self, params: Params) -> None:
        self._files = _digests(params)
        self._params = params
        self.batch_size = params.batch_size
        # Whitened dimensions have one scale, and quantised ones no zero to measure angles from.
        self.metric: Metric = "cosine" if params.postprocess == "none" else "l2"
        weights = read(_file(params.weights, "weights"))
        self._device = pick_device(params.device)
        self._network = Vggish(weights, params.weights, self._device)
        self._whitening: Whitening | None = None
        if params.postprocess != "none":
            origin = params.pca or params.weights
            components = weights if params.pca is None else read(_file(params.pca, "pca"))
            self._whitening = Whitening.of(components, self.dim, origin)

    @property
    def dim(self) -> int:
        """The width of the embeddings: 128 of the published network."""
        return self._network.dim

    def recipe(self) -> dict[str, Json]:
        """Parameters, code, decoders, and the digests of the files."""
        return _recipe(self._params, self._files)

    def encode(self, batch: Sequence[Audio]) -> NDArray[np.float32]:
        """Encode recordings: ``(n, dim)`` float32, finite.

        Raises:
            MediaError: if a recording holds NaN or infinity.
        """
        sums, counts = np.zeros((len(batch), self.dim)), np.zeros((len(batch), 1))
        for runs in in_parts(self._runs(batch), _UNDER_WAY):
            # One alone is computed by all threads, but where it has to be equal to the bit.
            shared = len(runs) > 1 or self._params.postprocess == "quantized"
            device = self._device if shared else None
            found = _streams.mapped(self._embedded, [heard for _, heard in runs], device)
            for (rows, _), vectors in zip(runs, found, strict=True):
                np.add.at(sums, rows, vectors)
                np.add.at(counts, rows, 1)
        return np.asarray(sums / counts, dtype=np.float32)

    def _runs(self, batch: Sequence[Audio]) -> Iterator[tuple[list[int], NDArray[np.float32]]]:
        """Examples that go through the network together, and the recordings they are of."""
        # Rounding depends on the neighbours in a run, and can tip a quantised number over.
        most = 1 if self._params.postprocess == "quantized" else self.batch_size
        rows: list[int] = []
        heard: list[NDArray[np.float32]] = []
        for row, audio in enumerate(batch):
            check_finite(audio, row)
            for example in examples(resample(audio.samples, audio.rate, RATE), self._params.hop):
                rows.append(row)
                heard.append(example)
                if len(rows) == most:
                    yield rows, np.stack(heard)
                    rows, heard = [], []
        if rows:
            yield rows, np.stack(heard)

    def _embedded(self, heard: NDArray[np.float32]) -> NDArray[np.floating]:
        embeddings = self._network.embed(heard)
        if self._params.activation == "relu":
            embeddings = np.maximum(embeddings, 0)
        if self._whitening is None:
            return embeddings
        if self._params.postprocess == "pca":
            return self._whitening.whitened(embeddings)
        return self._whitening.quantized(embeddings)


def build(params: Params) -> VggishEncoder:
    """Load the network; the published one, 288 MB, takes a second to read and to digest.

    Raises:
        EncoderError: if weights are not to be had, or are not those of a VGGish.
    """
    return VggishEncoder(params)


def recipe(params: Params) -> dict[str, Json]:
    """The recipe of the encoder that `build` gives, without loading the network.

    Raises:
        EncoderUsageError: if its files are not there.
    """
    return _recipe(params, _digests(params))


def _digests(params: Params) -> dict[str, Json]:
    named = {"weights": params.weights, "pca": params.pca}
    return {key: sha256(_file(value, key)) for key, value in named.items() if value is not None}


def _recipe(params: Params, files: dict[str, Json]) -> dict[str, Json]:
    return {
        "kind": "vggish",
        "code": REVISION,
        "decoding": media.REVISION,
        "files": dict(files),
        "activation": params.activation,
        "postprocess": params.postprocess,
        "hop": params.hop,
        "libraries": audio_libraries(),
    }


def _file(value: str, key: str) -> Path:
    file = as_path(value)
    if file is None or not file.is_file() or file.suffix not in SUFFIXES:
        raise EncoderUsageError(
            f"{key} {value!r} of vggish is no file here that ends in {', '.join(SUFFIXES)}; give "
            "the path of one, absolute or in a configuration from the project folder. "
            f"{_PUBLISHED}; the components are vggish_pca_params.npz"
        )
    return file
