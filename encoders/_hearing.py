"""Recordings of any length by the audio tower of CLAP, the same recording always to the same row.

The library's preprocessor hears a random part of what is longer than ten seconds, and marks one
recording of a batch at random as long where none is. So it is given windows no longer than that,
one at a time, and the mark is set here: where a model fuses long recordings, it is what a single
recording is given, whatever is beside it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from encoders._cached import in_parts
from encoders._loading import loading_checkpoint
from encoders._pictures import unit
from encoders._recordings import check_finite
from encoders._resample import resample
from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

    from encoders._towers import Towers
    from encoders.media import Audio

_TOGETHER = 4
"""Batches whose windows are cut at a time, so that several can be under way."""


class Hearing:
    """The preprocessor of a checkpoint, and the tower behind it."""

    def __init__(self, folder: Path, name: str, towers: Towers) -> None:
        """Load the preprocessor.

        Raises:
            EncoderError: if there is none, or the tower cannot take what it gives.
        """
        from transformers import ClapFeatureExtractor

        with loading_checkpoint(folder, name, "a model and its processor"):
            self._extractor: Any = ClapFeatureExtractor.from_pretrained(
                folder, local_files_only=True
            )
        self._towers = towers
        self._fuses = bool(towers.model.config.audio_config.enable_fusion)
        if self._fuses != (self._extractor.truncation == "fusion"):
            raise EncoderError(
                f"the preprocessor of {name!r} has truncation {self._extractor.truncation!r}, and "
                f"its model {'fuses' if self._fuses else 'does not fuse'} long recordings: they "
                "are not of one kind; copy both from the same place"
            )
        try:
            self._rows([np.zeros(self.rate, np.float32)], 1)
        except (ValueError, RuntimeError) as error:
            raise EncoderError(
                f"the audio tower of {name!r} cannot take what its preprocessor gives ({error}); "
                "copy both from the same place"
            ) from error

    @property
    def rate(self) -> int:
        """What recordings are resampled to, Hz."""
        return int(self._extractor.sampling_rate)

    def encode(self, batch: Sequence[Audio], batch_size: int) -> NDArray[np.float32]:
        """Recordings of any rate and length to ``(n, dim)`` float32: the mean of their windows.

        Raises:
            MediaError: if a recording holds NaN or infinity.
        """
        sums = np.zeros((len(batch), self._towers.dim), np.float32)
        for part in in_parts(self._windows(batch), _TOGETHER * batch_size):
            found = unit(self._rows([window for _, window, _ in part], batch_size))
            for (row, _, of), vector in zip(part, found, strict=True):
                sums[row] += vector / np.float32(of)
        return sums

    def _windows(self, batch: Sequence[Audio]) -> Iterator[tuple[int, NDArray[np.float32], int]]:
        """The windows of each recording: its row, samples, and how many windows it has.

        As few as cover it, spread evenly, so that all of them are full and each counts alike.
        """
        longest = int(self._extractor.nb_max_samples)
        for row, audio in enumerate(batch):
            check_finite(audio, row)
            samples = resample(audio.samples, audio.rate, self.rate)
            if not len(samples):
                samples = np.zeros(1, np.float32)
            count = -(-len(samples) // longest)
            last = max(len(samples) - longest, 0)
            for start in np.linspace(0, last, count).round().astype(int):
                yield row, samples[start : start + longest], count

    def _rows(self, windows: Sequence[NDArray[np.float32]], batch_size: int) -> NDArray[np.float32]:
        features = self._towers.model.get_audio_features
        return self._towers.run_each(features, self._given, windows, batch_size)

    def _given(self, windows: Sequence[NDArray[np.float32]]) -> Mapping[str, torch.Tensor]:
        import torch

        heard = [
            self._extractor(window, sampling_rate=self.rate, return_tensors="pt")["input_features"]
            for window in windows
        ]
        given = {"input_features": torch.cat(heard).float()}
        if self._fuses:
            given["is_longer"] = torch.ones((len(windows), 1), dtype=torch.bool)
        return given
