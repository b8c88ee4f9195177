"""Speech by Wav2Vec 2.0 and its heirs, pooled over time, from a local folder or the hub.

Baevski et al. 2020, "wav2vec 2.0: A framework for self-supervised learning of speech
representations". HuBERT (Hsu et al. 2021), WavLM (Chen et al. 2022), UniSpeech, data2vec-audio and
Wav2Vec2-Conformer are read as well: whatever transformers' ``AutoModel`` loads that reads samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, get_args

import numpy as np

from encoders import _cached, _hub, _layers, media
from encoders._code import check_code
from encoders._device import pick_device
from encoders._libraries import majors
from encoders._precision import Dtype, resolved
from encoders._recordings import audio_libraries, check_finite
from encoders._resample import resample
from encoders._speech import Speech

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from encoders.base import Json, Metric, Modality
    from encoders.media import Audio

MODALITY: Modality = "audio"
PATHS = ("model",)
REVISION = 1
"""To be raised with any change of this file or `_speech` that changes vectors."""

_TOGETHER_SECONDS = 30
"""Of the recordings that run through a model at once: it takes some 17 MB for each, since its first
layer gives 102 numbers a sample."""

_STREAM_SECONDS = 4
"""The same on a processor, so that a batch of short recordings is shared out among its threads."""

_LEAST_SECONDS = 0.1


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "wav2vec2"``.

    Attributes:
        model: a folder that ``save_pretrained`` filled, or a name on the hub. From Python, a
            relative path begins with ``./`` or ``../``.
        revision: a commit, tag or branch on the hub; a commit makes a first download repeatable.
        layers: which layers are read: 0 is what goes into the transformer, 1 its first layer, -1
            the last. Of a list, the means over time are combined.
        combine: ``mean`` of the layers, or their vectors side by side (``concat``).
        normalize: give vectors of L2 norm 1.
        max_seconds: longer recordings are read in equal parts no longer than this, and the mean
            of their vectors taken: what a layer costs grows with the square of the length.
        dtype: the precision to compute in; ``auto`` is bfloat16 on CUDA and on processors that
            compute in it, else float32. The vectors are float32 in any case, but with the two
            short types a vector depends on its batch in the third digit.
        device: ``auto`` (CUDA where there is one), or any device of torch.
        batch_size: recordings, or parts of them, that run through the model at a time; fewer if
            they last over 30 s together, on a CPU 4 s, or if the model needs them to be of one
            length.

    Raises:
        ValueError: if a value is none of those above.
    """

    model: str
    revision: str | None = None
    layers: int | tuple[int, ...] = -1
    combine: _layers.Combine = "mean"
    normalize: bool = True
    max_seconds: float = 20.0
    dtype: Dtype = "float32"
    device: str = "auto"
    batch_size: int = 8

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        for name, kind in {"combine": _layers.Combine, "dtype": Dtype}.items():
            value, allowed = getattr(self, name), get_args(kind)
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
        if not (self.max_seconds >= _LEAST_SECONDS and math.isfinite(self.max_seconds)):
            raise ValueError(
                f"max_seconds must be {_LEAST_SECONDS} or more, got {self.max_seconds}"
            )
        if not isinstance(self.layers, int):
            object.__setattr__(self, "layers", _layers.asked(self.layers))


class SpeechEncoder:
    """Recordings to ``(n, dim)`` float32, whatever their rate and length."""

    modality: ClassVar[Modality] = "audio"
    metric: Metric = "cosine"

    def __init__(self, params: Params) -> None:
        folder = _located(params)
        self._files = _digests(folder)
        self._params = params
        self.batch_size = params.batch_size
        self._dtype = resolved(params.dtype, params.device)
        device = pick_device(params.device)
        self._speech = Speech(folder, params.model, device, self._dtype)
        self._together = _cached.bound(device, _STREAM_SECONDS) or _TOGETHER_SECONDS
        silence = self._speech.prepared(np.zeros(0, np.float32))
        self._layers = _layers.LAST
        if _layers.asked(params.layers) != _layers.LAST:
            known = len(self._speech.run([silence], every_layer=True))
            self._layers = _layers.resolved(_layers.asked(params.layers), known, params.model)
        self._dim = int(self._embed([silence]).shape[1])

    @property
    def dim(self) -> int:
        """The width of the vectors: that of the model, times the layers that are put together."""
        return self._dim

    def recipe(self) -> dict[str, Json]:
        """All that decides the vectors; the files by name and content, never by their place."""
        return _recipe(self._params, self._files)

    def encode(self, batch: Sequence[Audio]) -> NDArray[np.float32]:
        """Encode recordings: ``(n, dim)`` float32, L2 norm 1 unless ``normalize`` is off.

        Raises:
            MediaError: if a recording holds NaN or infinity.
        """
        sums, counts = np.zeros((len(batch), self.dim)), np.zeros((len(batch), 1))
        # The longest first, so that what the others need is in memory already.
        runs = [*self._runs(batch)][::-1]
        found = self._speech.turns.mapped(self._embed, [waves for _, waves in runs])
        for (rows, _), vectors in zip(runs, found, strict=True):
            np.add.at(sums, rows, vectors)
            np.add.at(counts, rows, 1)
        means = sums / counts
        if self._params.normalize:
            norms = np.linalg.norm(means, axis=1, keepdims=True)
            means = means / np.maximum(norms, np.finfo(np.float32).tiny)
        return means.astype(np.float32)

    def _runs(
        self, batch: Sequence[Audio]
    ) -> Iterator[tuple[list[int], list[NDArray[np.float32]]]]:
        """Waves that go through the model together, and the recordings they are of."""
        parts = [(row, part) for row, audio in enumerate(batch) for part in self._parts(audio, row)]
        parts.sort(key=lambda part: len(part[1]))  # so that little has to be padded
        rows: list[int] = []
        waves: list[NDArray[np.float32]] = []
        for row, wave in parts:
            if waves and not self._fits(waves, wave):
                yield rows, waves
                rows, waves = [], []
            rows.append(row)
            waves.append(wave)
        if waves:
            yield rows, waves

    def _parts(self, audio: Audio, row: int) -> list[NDArray[np.float32]]:
        check_finite(audio, row)
        speech = self._speech
        wave = speech.prepared(resample(audio.samples, audio.rate, speech.rate))
        count = math.ceil(len(wave) / int(self._params.max_seconds * speech.rate))
        return np.array_split(wave, count)

    def _fits(self, waves: list[NDArray[np.float32]], wave: NDArray[np.float32]) -> bool:
        """Whether a wave, longer than those before, can run beside them."""
        if len(wave) != len(waves[0]) and not self._speech.pads:
            return False
        together = len(wave) * (len(waves) + 1)
        return len(waves) < self.batch_size and together <= self._together * self._speech.rate

    def _embed(self, waves: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        layers = self._speech.run(waves, every_layer=self._layers != _layers.LAST)
        chosen = [layers[layer] for layer in self._layers]
        vectors: NDArray[np.float32] = _layers.combined(chosen, self._params.combine).cpu().numpy()
        return vectors


def build(params: Params) -> SpeechEncoder:
    """Load a model; the weights of a large one take seconds to read and to digest.

    Raises:
        EncoderError: if the model is not there, is not whole, or reads no samples.
    """
    return SpeechEncoder(params)


def recipe(params: Params) -> dict[str, Json]:
    """The recipe of the encoder that `build` gives, without loading the model.

    Raises:
        EncoderError: if the model is nowhere to be had.
    """
    return _recipe(params, _digests(_located(params)))


def _located(params: Params) -> Path:
    folder = _hub.locate(params.model, params.revision, checkpoint=True)
    check_code(folder, trusted=False)
    return _hub.transformer_folder(folder)


def _digests(folder: Path) -> dict[str, Json]:
    return dict(_hub.digest_checkpoint(folder))


def _recipe(params: Params, files: dict[str, Json]) -> dict[str, Json]:
    layers = _layers.asked(params.layers)
    return {
        "kind": "wav2vec2",
        "code": REVISION,
        "decoding": media.REVISION,
        "files": dict(files),
        "layers": list(layers),
        "combine": params.combine if len(layers) > 1 else None,
        "normalize": params.normalize,
        "max_seconds": params.max_seconds,
        "dtype": resolved(params.dtype, params.device),
        "libraries": {**audio_libraries(), **majors("transformers")},
    }
