"""Recordings of pure tones."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import soundfile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


RATE = 8000
TONES = {"a": (300, 700, 1500, 2600), "b": (2000, 400), "c": (1000,)}
"""Hz, three seconds each."""


def tones(hertz: Sequence[float], seconds: float = 3.0) -> NDArray[np.float32]:
    time = np.arange(int(RATE * seconds)) / RATE
    hiss = np.random.default_rng(len(hertz)).normal(0, 0.003, len(time) * len(hertz))
    waves = np.concatenate([0.4 * np.sin(2 * np.pi * f * time) for f in hertz])
    return (waves + hiss).astype(np.float32)


def record(path: Path, hertz: Sequence[float], seconds: float = 3.0) -> None:
    soundfile.write(path, tones(hertz, seconds), RATE)


def encoded(container: str, subtype: str, samples: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=container, subtype=subtype)
    return file.getvalue()
