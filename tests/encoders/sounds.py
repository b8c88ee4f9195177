"""Recordings made of tones, for the tests of every encoder that hears."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from encoders.media import Audio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from encoders._mel import Mel

RATE = 16_000


def chirp(seconds: float, rate: int = RATE, seed: int = 0) -> NDArray[np.float32]:
    """A rising tone with a swelling loudness over faint noise."""
    time = np.arange(int(rate * seconds)) / rate
    tone = np.sin(2 * np.pi * (300 + 900 * time) * time) * (0.2 + 0.6 * time / seconds)
    noise = np.random.default_rng(seed).normal(scale=0.01, size=len(time))
    return np.clip(tone + noise, -1, 1).astype(np.float32)


def tones(count: int, seed: int = 0) -> list[Audio]:
    """Chords of random notes and lengths."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        time = np.arange(rng.integers(2000, 9000)) / RATE
        notes = rng.uniform(100, 4000, 3)
        chord = np.sin(2 * np.pi * notes[:, None] * time).mean(axis=0)
        made.append(Audio((chord * rng.uniform(0.1, 1)).astype(np.float32), RATE))
    return made


def gliding(count: int, seed: int = 0) -> tuple[list[Audio], list[str]]:
    """Tones that rise, fall or stay, at any pitch, and which of these each does.

    The three have like spectra over the whole; only the order in time tells them apart.
    """
    rng = np.random.default_rng(seed)
    audio, ways = [], []
    for row in range(count):
        way = ("rises", "falls", "trills")[row % 3]
        time = np.arange(rng.integers(3000, 6000)) / RATE
        share = time / time[-1]
        course = {"rises": share, "falls": 1 - share, "trills": np.abs(4 * share % 2 - 1)}[way]
        pitch = rng.uniform(300, 600) * 2 ** (2 * course)
        wave = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) + 0.05 * rng.standard_normal(len(time))
        audio.append(Audio((rng.uniform(0.2, 0.8) * wave).clip(-1, 1).astype(np.float32), RATE))
        ways.append(way)
    return audio, ways


def by_librosa(samples: NDArray[np.float32], mel: Mel) -> NDArray[np.float64]:
    """The log-mel spectrogram ``(mels, frames)`` in decibels, as librosa has it."""
    import librosa

    power = librosa.feature.melspectrogram(
        y=samples.astype(np.float64),
        sr=mel.rate,
        n_fft=mel.fft,
        win_length=mel.window,
        hop_length=mel.hop,
        n_mels=mel.mels,
        fmin=mel.fmin,
        fmax=mel.fmax,
    )
    found: NDArray[np.float64] = librosa.power_to_db(power, top_db=mel.top_db)
    return found
