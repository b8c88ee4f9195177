from __future__ import annotations

import numpy as np
import pytest

from encoders.base import EncoderError, State, digest
from encoders.media import Audio, MediaError
from encoders.mfcc import Mfcc, Params, build, deltas, mfcc, pool
from tests.encoders.sounds import RATE, by_librosa, chirp, tones


@pytest.fixture(scope="module")
def fitted() -> Mfcc:
    encoder = build(Params())
    encoder.fit(tones(30), np.random.default_rng(0))
    return encoder


@pytest.mark.slow  # librosa compiles itself at its first call
@pytest.mark.parametrize(
    ("params", "seconds"),
    [
        (Params(), 1.5),
        (Params(), 30.0),
        (Params(), 0.04),
        (Params(rate=22_050, mels=64, coefficients=30, top_db=80), 1.5),
        (Params(rate=8000, mels=26, coefficients=13, fmin=60, fmax=3800), 1.0),
        (Params(window_ms=32, hop_ms=7, mels=30), 1.0),
    ],
)
def test_coefficients_equal_those_of_librosa(params: Params, seconds: float) -> None:
    import librosa

    samples = chirp(seconds, params.rate)
    decibels = by_librosa(samples, params)
    expected = librosa.feature.mfcc(S=decibels, n_mfcc=params.coefficients).T
    got = mfcc(samples, params.rate, params)
    assert got.shape == expected.shape == (1 + len(samples) // params.hop, params.coefficients)
    assert np.abs(got - expected).max() < 1e-3


@pytest.mark.slow  # librosa compiles itself at its first call
@pytest.mark.parametrize("order", [1, 2])
def test_deltas_equal_those_of_librosa(order: int) -> None:
    import librosa

    matrix = mfcc(chirp(1), RATE, Params())
    expected = librosa.feature.delta(matrix.T, order=order).T
    assert np.abs(deltas(matrix, order) - expected).max() < 1e-3


def test_deltas_of_a_parabola_are_its_derivatives() -> None:
    frame = np.arange(50, dtype=np.float32)
    matrix = np.stack([3 * frame, frame**2], axis=1)
    assert np.allclose(deltas(matrix, 1)[4:-4], np.stack([np.full(50, 3), 2 * frame], 1)[4:-4])
    assert np.allclose(deltas(matrix, 2), [[0, 2]] * 50, atol=1e-3)


@pytest.mark.parametrize(("frames", "slope"), [(1, 0), (2, 0), (3, 3), (4, 3), (8, 3), (9, 3)])
def test_deltas_of_few_frames_are_narrower(frames: int, slope: float) -> None:
    matrix = 3 * np.arange(frames, dtype=np.float32)[:, None]
    assert np.allclose(deltas(matrix, 1), slope, atol=1e-5)
    assert np.allclose(deltas(matrix, 2), 0, atol=1e-5)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mfcc(chirp(2), RATE, Params())
    monkeypatch.setattr("encoders._mel._BLOCK_SAMPLES", 512 * 7)
    assert np.allclose(mfcc(chirp(2), RATE, Params()), whole, atol=1e-4)


def test_the_pool_of_a_ramp_is_known() -> None:
    ramp = np.arange(10, dtype=np.float32)[:, None]
    row = pool(ramp, segments=4)
    assert row.shape == (14,)
    assert np.allclose(row[:3], [4.5, 1, 0], atol=1e-5)
    assert np.allclose(row[3:6], [ramp.std(), 0, 0], atol=1e-4)
    # parts of 2.5 frames: (0 + 1 + 2 / 2) / 2.5 = 0.8, and so on, less the mean of 4.5
    assert np.allclose(row[6::2], [-3.7, -1.3, 1.3, 3.7], atol=1e-5)
    assert np.allclose(row[7::2], 1, atol=1e-5)


def test_the_rate_of_a_recording_hardly_matters(fitted: Mfcc) -> None:
    rates = [RATE, 44_100, 48_000]
    time = [np.arange(rate) / rate for rate in rates]
    heard = [(0.5 * np.sin(2 * np.pi * 500 * t * (1 + t))).astype(np.float32) for t in time]
    audio = [Audio(samples, rate) for samples, rate in zip(heard, rates, strict=True)]
    vectors = fitted.encode(audio)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert (vectors @ vectors[0]).min() > 0.97


def test_loudness_changes_the_loudness_alone() -> None:
    params = Params()
    quiet, loud = mfcc(chirp(1) * np.float32(0.1), RATE, params), mfcc(chirp(1), RATE, params)
    assert np.allclose((loud - quiet)[:, 0], 20 * np.sqrt(params.mels), atol=1e-2)
    assert np.allclose(loud[:, 1:], quiet[:, 1:], atol=1e-2)


def test_the_order_of_sounds_is_in_the_vector(fitted: Mfcc) -> None:
    forth = chirp(1)
    there, back = fitted.encode([Audio(forth, RATE), Audio(forth[::-1].copy(), RATE)])
    # but for the segments and the sign of the slopes, both directions sum up alike
    assert np.allclose(there[:20], back[:20], atol=0.05)
    assert np.linalg.norm(there - back) > 5


def test_restored_encodes_equally_and_has_the_same_recipe(fitted: Mfcc) -> None:
    other = build(Params(batch_size=2))
    assert not other.fitted
    assert other.recipe() != fitted.recipe()
    other.restore(fitted.state())
    assert other.fitted
    assert np.array_equal(other.encode(tones(3, seed=1)), fitted.encode(tones(3, seed=1)))
    assert other.recipe() == fitted.recipe()
    assert other.recipe()["state"] == digest(fitted.state())


def test_writing_into_a_state_does_not_change_the_encoder(fitted: Mfcc) -> None:
    before = fitted.encode(tones(2))
    fitted.state().arrays["scale"].fill(0)
    assert np.array_equal(fitted.encode(tones(2)), before)


def test_another_sample_is_another_recipe(fitted: Mfcc) -> None:
    other = build(Params())
    other.fit(tones(30, seed=1), np.random.default_rng(0))
    assert other.recipe() != fitted.recipe()


def test_unfitted_and_wrong_states_are_refused(fitted: Mfcc) -> None:
    with pytest.raises(EncoderError, match="call fit or restore first"):
        build(Params()).encode(tones(1))
    with pytest.raises(EncoderError, match="2 recordings or more to learn from, got 1"):
        build(Params()).fit(tones(1), np.random.default_rng(0))
    with pytest.raises(EncoderError, match=r"got mfcc with .*\(280,\).*expected mfcc .*\(320,\)"):
        build(Params(segments=5)).restore(fitted.state())
    with pytest.raises(EncoderError, match="got tabular with"):
        build(Params()).restore(State(fitted.state().arrays, {"kind": "tabular"}))


def test_samples_that_are_not_finite_are_refused(fitted: Mfcc) -> None:
    bad = Audio(np.array([0, np.nan], dtype=np.float32), RATE)
    with pytest.raises(MediaError, match="recording 1 of the batch holds NaN"):
        fitted.encode([*tones(1), bad])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"coefficients": 41}, "at most mels, got 41 of 40"),
        ({"segments": 0}, "segments must be 1 or more, got 0"),
        ({"rate": 999}, "rate must be 1000 or more, got 999"),
        ({"hop_ms": 30}, "0 < hop_ms <= window_ms, got 30 and 25"),
        ({"hop_ms": 0.01}, "less than a sample at 16000 Hz"),
        ({"fmax": 9000}, "<= 8000 Hz, half the rate, got 0.0 and 9000"),
        ({"fmin": 500, "fmax": 400}, "got 500 and 400"),
        ({"top_db": 0}, "top_db must be positive, got 0"),
    ],
)
def test_parameters_are_checked(given: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Params(**given)  # type: ignore[arg-type] # wrong on purpose


def test_bands_without_a_frequency_are_refused() -> None:
    with pytest.raises(EncoderError, match=r"of 200 mel bands .* fall between the 257 frequencies"):
        build(Params(mels=200))
