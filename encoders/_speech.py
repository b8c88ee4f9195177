"""A speech model of transformers: preprocessing and weights of one folder, run on samples.

Baevski et al. 2020, "wav2vec 2.0", and its heirs: they read the samples themselves, by convolutions
that make a frame of 25 ms every 20 ms, and a transformer over the frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from encoders import _streams
from encoders._device import moved
from encoders._loading import loading_checkpoint
from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

_PREPROCESSING = ("preprocessor_config.json", "processor_config.json")
_TRIED = 50
"""Frames of a trial, a second."""
_BEAR_PADDING = {"wav2vec2", "hubert", "unispeech", "unispeech-sat"}
"""Those that look past what a mask hides. The convolutions between the frames of others
(data2vec-audio, wav2vec2-conformer) run into it, mask or not, and WavLM hands torch a mask of a
kind that torch is about to refuse."""


class Speech:
    """A preprocessor and a model whose every weight was in its files.

    Attributes:
        rate: samples a second that the model reads, Hz.
        pads: whether recordings of different lengths can be run together. Models that normalise
            a channel over the time (``feat_extract_norm = "group"``) hear the silence that
            recordings are padded with, and were trained without a mask for it.
        turns: how many threads may call `run` at once.
    """

    def __init__(self, folder: Path, name: str, device: str, dtype: str) -> None:
        self.name = name
        self._extractor, self._model = _load(folder, name, dtype)
        self._model.to(device)
        self._device = device
        config = self._model.config
        self.rate = int(self._extractor.sampling_rate)
        self.pads = (
            config.model_type in _BEAR_PADDING
            and config.feat_extract_norm == "layer"
            and not getattr(config, "add_adapter", False)
            and not getattr(config, "conv_pos_batch_norm", False)
        )
        self._least = _least(config)
        # Relative positions of a conformer grow with the longest recording, beyond any trial.
        grows = getattr(config, "position_embeddings_type", None) == "relative"
        self.turns = _streams.Turns(self._model, None if grows else device, self._try, _TRIED)

    def prepared(self, samples: Samples) -> Samples:
        """A recording at `rate` as the model was trained on it, of mean 0 and deviation 1 or as is.

        One that is shorter than a frame is followed by silence to the length of one.
        """
        scaled = samples
        if len(samples):
            given = self._extractor(samples, sampling_rate=self.rate, return_tensors="np")
            scaled = given["input_values"][0].astype(np.float32)
        return np.pad(scaled, (0, max(0, self._least - len(scaled))))

    def run(self, waves: Sequence[Samples], *, every_layer: bool) -> list[torch.Tensor]:
        """The mean over the frames of each recording, layer by layer.

        Args:
            waves: as `prepared` gives them, of one length unless the model `pads`.
            every_layer: whether more than the last layer is wanted.

        Returns:
            ``(n, width)`` float32 each, the input of the transformer first; of the last layer
            alone if no other is wanted.
        """
        import torch

        lengths = [len(wave) for wave in waves]
        padded = np.stack([np.pad(wave, (0, max(lengths) - len(wave))) for wave in waves])
        read = torch.from_numpy(padded).to(self._model.dtype)
        given = moved({"input_values": read}, self._device)
        frames = None
        if len(set(lengths)) > 1:
            until = torch.tensor(lengths, device=self._device)[:, None]
            places = torch.arange(padded.shape[1], device=self._device)
            given["attention_mask"] = (places < until).long()
            frames = _frames(until, self._model.config)
        with self.turns.turn, torch.inference_mode():
            out = self._model(**given, output_hidden_states=every_layer, return_dict=True)
            # Its own last layer is there with the norm that some put behind, the list's without.
            last = out.last_hidden_state
            layers = [*out.hidden_states[:-1], last] if every_layer else [last]
            return [_mean(layer.float(), frames) for layer in layers]

    def _try(self, frames: int) -> None:
        self.run([np.zeros(self._least * frames, np.float32)], every_layer=False)


def _mean(layer: torch.Tensor, frames: torch.Tensor | None) -> torch.Tensor:
    """The mean over time of ``(n, frames, width)``, over so many ``(n, 1)`` of each if given."""
    import torch

    if frames is None:
        return layer.mean(dim=1)
    real = torch.arange(layer.shape[1], device=layer.device) < frames
    return layer.masked_fill(~real[:, :, None], 0).sum(dim=1) / frames


def _load(folder: Path, name: str, dtype: str) -> tuple[Any, Any]:
    import torch
    from transformers import AutoConfig, AutoFeatureExtractor, AutoModel

    if not any((folder / file).is_file() for file in _PREPROCESSING):
        raise EncoderError(
            f"{name!r} has no {_PREPROCESSING[0]}, so at which rate and scale it reads samples is "
            "not known; copy that file too, or save it there: "
            "AutoFeatureExtractor.from_pretrained(NAME).save_pretrained(FOLDER)"
        )
    local = {"local_files_only": True, "trust_remote_code": False}
    # Nothing but training reads the vector that stands for hidden frames, and many lack it.
    with loading_checkpoint(folder, name, "a model and its preprocessor", "masked_spec_embed"):
        config = AutoConfig.from_pretrained(folder, **local)
        extractor = AutoFeatureExtractor.from_pretrained(folder, **local)  # type: ignore[no-untyped-call] # the library's omission
        _check(config, extractor, name)
        model = AutoModel.from_pretrained(
            folder, config=config, dtype=getattr(torch, dtype), **local
        )
    return extractor, model.eval()


def _check(config: Any, extractor: Any, name: str) -> None:  # noqa: ANN401 - of many classes
    """Refuse a model that reads anything but a row of samples."""
    from transformers import Wav2Vec2FeatureExtractor

    if not (isinstance(extractor, Wav2Vec2FeatureExtractor) and hasattr(config, "conv_kernel")):
        raise EncoderError(
            f"{name!r}, of type {config.model_type!r} with a {type(extractor).__name__}, reads no "
            "plain samples; expected a model of the kind of Wav2Vec2, HuBERT, WavLM, UniSpeech, "
            "Data2VecAudio or Wav2Vec2-Conformer"
        )


def _frames(samples: torch.Tensor, config: Any) -> torch.Tensor:  # noqa: ANN401 - of many classes
    """How many frames the convolutions make of so many samples."""
    frames = samples
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        frames = (frames - kernel) // stride + 1
    return frames


def _least(config: Any) -> int:  # noqa: ANN401 - of many classes
    """How many samples make a frame: 400 of the published models, 25 ms at 16 kHz."""
    samples = int(getattr(config, "squeeze_factor", 1))  # SEW joins so many frames to one
    for kernel, stride in zip(config.conv_kernel[::-1], config.conv_stride[::-1], strict=True):
        samples = (samples - 1) * stride + kernel
    return samples
