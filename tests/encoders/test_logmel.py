from __future__ import annotations

import numpy as np
import pytest

from encoders._mel import Mel, centres, log_mel
from encoders.base import EncoderError
from encoders.logmel import LogMel, Params, build
from encoders.media import Audio
from encoders.mfcc import Params as MfccParams
from encoders.mfcc import build as build_mfcc
from tests.encoders.sounds import RATE, by_librosa, chirp, tones


@pytest.fixture(scope="module")
def fitted() -> LogMel:
    encoder = build(Params())
    encoder.fit(tones(30), np.random.default_rng(0))
    return encoder


@pytest.mark.slow  # librosa compiles itself at its first call
@pytest.mark.parametrize(
    ("mel", "seconds"),
    [
        (Mel(), 1.5),
        (Mel(), 0.04),
        (Mel(rate=22_050, mels=80, top_db=80), 1.5),
        (Mel(rate=8000, mels=26, fmin=60, fmax=3800), 1.0),
        (Mel(window_ms=32, hop_ms=7, mels=30), 12.0),
    ],
)
def test_the_spectrogram_equals_that_of_librosa(mel: Mel, seconds: float) -> None:

    samples = chirp(seconds, mel.rate)
    expected = by_librosa(samples, mel).T
    got = log_mel(samples, mel.rate, mel)
    assert got.shape == expected.shape == (1 + len(samples) // mel.hop, mel.mels)
    assert np.abs(got - expected).max() < 1e-3


@pytest.mark.slow  # as above
def test_bands_peak_where_those_of_librosa_do() -> None:
    import librosa

    mel = Mel(fmin=80, fmax=7000)
    expected = librosa.mel_frequencies(mel.mels + 2, fmin=80, fmax=7000)[1:-1]
    assert np.allclose(centres(mel), expected)


def test_a_tone_is_loudest_in_its_band() -> None:
    mel = Mel()
    time = np.arange(RATE) / RATE
    for band in (4, 15, 30):
        tone = (0.5 * np.sin(2 * np.pi * centres(mel)[band] * time)).astype(np.float32)
        assert (log_mel(tone, RATE, mel)[10:-10].argmax(axis=1) == band).all()


def test_ten_times_as_loud_is_twenty_decibels_more() -> None:
    loud, quiet = (log_mel(chirp(1) * np.float32(by), RATE, Mel()) for by in (1, 0.1))
    assert np.allclose(loud - quiet, 20, atol=1e-3)


def test_a_disturbed_band_disturbs_no_other(fitted: LogMel) -> None:
    """A hum of the mains moves the bands it is in; of MFCCs it moves every one."""
    clean = chirp(1)
    time = np.arange(len(clean)) / RATE
    hum = clean + (0.05 * np.sin(2 * np.pi * 60 * time)).astype(np.float32)
    cepstral = build_mfcc(MfccParams())
    cepstral.fit(tones(30), np.random.default_rng(0))
    moved = {}
    for name, encoder, columns in (("logmel", fitted, 40), ("mfcc", cepstral, 20)):
        one, other = encoder.encode([Audio(clean, RATE), Audio(hum, RATE)])
        moved[name] = np.mean(np.abs(one - other)[:columns] > 0.02)
    assert moved["logmel"] <= 0.25
    assert moved["mfcc"] >= 0.75


def test_states_of_others_are_refused(fitted: LogMel) -> None:
    cepstral = build_mfcc(MfccParams(coefficients=40))
    cepstral.fit(tones(4), np.random.default_rng(0))
    with pytest.raises(EncoderError, match=r"got mfcc with .*expected logmel with .*\(560,\)"):
        build(Params()).restore(cepstral.state())
    with pytest.raises(EncoderError, match=r"got logmel with .*expected logmel with .*\(480,\)"):
        build(Params(segments=3)).restore(fitted.state())
    with pytest.raises(EncoderError, match="logmel needs 2 recordings or more"):
        build(Params()).fit(tones(1), np.random.default_rng(0))


def test_parameters_are_checked() -> None:
    with pytest.raises(ValueError, match="segments must be 1 or more, got 0"):
        Params(segments=0)
    with pytest.raises(ValueError, match="rate must be 1000 or more, got 999"):
        Params(rate=999)
    with pytest.raises(EncoderError, match=r"of 200 mel bands .* fall between the 257 frequencies"):
        build(Params(mels=200))
