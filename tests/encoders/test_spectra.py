"""What the kinds that encode recordings by the moments of their spectra promise alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from encoders import logmel, mfcc
from encoders.media import Audio, decode_audio
from tests.encoders.sounds import RATE, chirp, tones

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from encoders._moments import Moments


KINDS: dict[str, Callable[[], Moments]] = {
    "logmel": lambda: logmel.build(logmel.Params()),
    "mfcc": lambda: mfcc.build(mfcc.Params()),
}


@pytest.fixture(scope="module", params=KINDS)
def fitted(request: pytest.FixtureRequest) -> Moments:
    encoder = KINDS[request.param]()
    encoder.fit(tones(30), np.random.default_rng(0))
    return encoder


@pytest.mark.parametrize("rate", [100, 8000, 11_025, 44_100, 44_101, 192_000, 9_999_991])
def test_any_rate_is_encoded(fitted: Moments, rate: int) -> None:
    vectors = fitted.encode([Audio(chirp(2000 / rate, rate), rate)])
    assert vectors.shape == (1, {"logmel": 560, "mfcc": 280}[str(fitted.recipe()["kind"])])
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize("length", [0, 1, 2, 159, 160, 400, 1000])
@pytest.mark.parametrize("loudness", [0.0, 1e-7, 1.0])
def test_any_length_is_encoded_silence_too(fitted: Moments, length: int, loudness: float) -> None:
    samples = np.full(length, loudness, dtype=np.float32)
    vectors = fitted.encode([Audio(samples, RATE), Audio(samples, 8000)])
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()


def test_the_fit_sample_comes_out_standardised(fitted: Moments) -> None:
    vectors = fitted.encode(tones(30)).astype(np.float64)
    spread = vectors.std(axis=0)
    assert np.allclose(vectors.mean(axis=0), 0, atol=1e-4)
    # in a band that none of the tones reaches, nothing differs
    assert np.allclose(spread[spread > 0], 1, atol=1e-3)
    assert np.mean(spread > 0) > 0.9


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least"), [("logmel", 0.96), ("mfcc", 0.95)])
def test_spoken_digits_are_told_apart(data: Path, kind: str, least: float) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    files = sorted((data / "audio" / "fsdd").glob("*.wav"))
    digits = np.array([int(file.name[0]) for file in files])
    order = np.random.default_rng(0).permutation(len(files))
    train, test = order[400:], order[:400]
    audio = [decode_audio(file.read_bytes()) for file in files]
    encoder = KINDS[kind]()
    encoder.fit([audio[row] for row in train[: encoder.fit_size]], np.random.default_rng(0))
    vectors = encoder.encode(audio)
    probe = LogisticRegression(max_iter=2000).fit(vectors[train], digits[train])
    near = KNeighborsClassifier(5, metric="cosine").fit(vectors[train], digits[train])
    assert len(files) == 2000
    assert probe.score(vectors[test], digits[test]) >= least
    assert near.score(vectors[test], digits[test]) >= 0.95
