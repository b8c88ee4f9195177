"""Windows of recordings: where they lie, and what one vector of them is."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encoders import abilities, base, mfcc, registry
from encoders.abilities import Labelled
from encoders.base import EncoderUsageError, Learner
from encoders.media import Audio
from encoders.windows import Window, duration, pooled, within
from flows.config.parsing import parse_params
from storage.ids import fingerprint
from tests.encoders import samples
from tests.encoders.conftest import params

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOWS = st.builds(
    lambda size, share: Window(size / 1000, int(size * share) / 1000),
    st.integers(1, 5000),
    st.floats(0, 0.99),
)


def sound(frames: int, rate: int, seed: int = 0) -> Audio:
    noise = np.random.default_rng(seed).normal(0, 0.1, frames)
    return Audio(noise.clip(-1, 1).astype(np.float32), rate)


@settings(deadline=None)
@given(WINDOWS, st.integers(0, 20_000))
def test_windows_cover_a_recording_and_are_equally_long(window: Window, length: int) -> None:
    spans = window.spans(length)
    assert spans[0][0] == 0
    assert spans[-1][1] == length
    if length <= window.size:
        assert spans == [(0, length)]
        return
    assert {end - start for start, end in spans} == {window.size}
    starts = [start for start, _ in spans]
    assert starts[:-1] == list(range(0, starts[-1], window.hop))
    assert starts[-1] - starts[-2] <= window.hop
    assert len(spans) == 1 + math.ceil((length - window.size) / window.hop)


@settings(deadline=None)
@given(WINDOWS, st.integers(0, 2000), st.sampled_from([100, 8000, 11_025, 44_100, 10_000_000]))
def test_every_sample_is_in_a_window(window: Window, frames: int, rate: int) -> None:
    places = [within(span, frames, rate) for span in window.spans(duration(frames, rate))]
    assert places[0][0] == 0
    assert places[-1][1] == frames
    for (_, stop), (start, after) in pairwise(places):
        assert start <= stop
        assert start < after
    # Within a sample at either end as long as it was asked for.
    most = window.seconds * rate + 2
    assert all(stop - start <= most for start, stop in places)


def test_windows_share_the_memory_of_their_recording() -> None:
    audio = sound(8000 * 25, 8000)
    cut = Window(10, 2).cut(audio)
    assert [len(one.samples) / one.rate for one in cut] == [10, 10, 10]
    np.testing.assert_array_equal(cut[1].samples, audio.samples[8 * 8000 : 18 * 8000])
    np.testing.assert_array_equal(cut[2].samples, audio.samples[15 * 8000 :])
    assert all(np.shares_memory(one.samples, audio.samples) for one in cut)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"seconds": 0}, "seconds must be 0.001 or more, got 0"),
        ({"seconds": float("nan")}, "seconds must be 0.001 or more, got nan"),
        ({"seconds": float("inf")}, "seconds must be 0.001 or more, got inf"),
        ({"seconds": 2, "overlap": 2}, "less than seconds = 2, got 2"),
        ({"seconds": 2, "overlap": -1}, "less than seconds = 2, got -1"),
        ({"seconds": 2, "overlap": 1.9999}, "less than seconds = 2, got 1.9999"),
    ],
)
def test_windows_that_make_no_sense_are_refused(keys: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Window(**keys)


def test_a_mean_weighs_windows_by_their_length() -> None:
    rows = np.array([[1, 0], [4, 3], [7, 7]], np.float32)
    mean = pooled(rows, [[1, 2], [5]], "mean")
    np.testing.assert_allclose(mean, [[3, 2], [7, 7]])
    assert mean.dtype == np.float32
    np.testing.assert_array_equal(pooled(rows, [[1, 2], [5]], "max"), [[4, 3], [7, 7]])


# --- encoders -------------------------------------------------------------------------------------


def build(**keys: object) -> Any:  # noqa: ANN401 - both an Encoder and a Learner
    return registry.build("mfcc", parse_params("mfcc", keys))


def learned(**keys: object) -> Any:  # noqa: ANN401 - as above
    encoder = build(**keys)
    encoder.fit(samples.usual("audio"), np.random.default_rng(1))
    return encoder


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return found


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_a_pooled_vector_is_made_of_those_of_the_windows(pool: str) -> None:
    window = {"seconds": 0.5, "overlap": 0.1, "pool": pool}
    encoder = learned(window=window, batch_size=3)
    plain = build()
    plain.restore(encoder.state())
    recordings = [sound(8000 * 2 + 77, 8000, 1), sound(100, 44_100, 2), sound(1, 8000, 3)]
    found = encoder.encode(recordings)
    cut = Window(0.5, 0.1).cut(recordings[0])
    parts = plain.encode(cut)
    lengths = [len(one.samples) for one in cut]
    made = parts.max(0) if pool == "max" else np.average(parts, 0, lengths)
    np.testing.assert_allclose(found[0], made, atol=1e-4)
    np.testing.assert_allclose(found[1:], plain.encode(recordings[1:]), atol=1e-4)


def test_an_encoder_learns_from_windows() -> None:
    """What it is to tell apart are windows, with or without pooling."""
    window = Window(0.25)
    for pool in (None, "mean"):
        encoder = learned(window={"seconds": 0.25, "pool": pool})
        plain = build()
        pieces = [piece for audio in samples.usual("audio") for piece in window.cut(audio)]
        plain.fit(pieces, np.random.default_rng(1))
        assert base.digest(encoder.state()) == base.digest(plain.state())


def test_a_window_that_touches_a_sample_more_than_it_lasts_is_learned_from_once() -> None:
    window = Window(2.0, 0.5)
    recording = sound(11_025 * 7, 11_025)
    pieces = window.cut(recording)
    assert max(len(piece.samples) for piece in pieces) == 2 * 11_025 + 1
    assert [len(window.parts(piece)) for piece in pieces] == [1] * len(pieces)
    assert len(window.parts(recording)) == len(pieces)


def test_a_recipe_tells_the_window_and_is_what_it_was_without_one() -> None:
    plain = mfcc.build(mfcc.Params()).recipe()
    assert build().recipe() == plain
    keys = [{"seconds": 1.0}, {"seconds": 2.0}, {"seconds": 1.0, "overlap": 0.5}]
    found = [build(window=one).recipe() for one in [*keys, keys[0] | {"pool": "max"}]]
    assert len({fingerprint(one) for one in [plain, *found]}) == 5
    assert {key: value for key, value in found[0].items() if key != "window"} == plain


def test_a_kind_that_tells_its_recipe_unloaded_tells_the_window_too(weights: object) -> None:
    del weights
    kind, keys = params("clap_recordings", window={"seconds": 1.0, "pool": "mean"})
    assert registry.quick_recipe(kind, keys) == registry.build(kind, keys).recipe()


def test_what_an_encoder_can_do_it_can_do_with_windows(weights: object) -> None:
    del weights
    kind, keys = params("clap_recordings", window={"seconds": 0.5, "pool": "mean"})
    plain: Any = registry.build(*params("clap_recordings"))
    encoder: Any = registry.build(kind, keys)
    assert isinstance(encoder, abilities.Bridging)
    assert not isinstance(encoder, Learner | Labelled)
    assert (encoder.others, encoder.scale) == (plain.others, plain.scale)
    asked = ["a mill stone"]
    np.testing.assert_allclose(
        encoder.encode_other("text", asked), plain.encode_other("text", asked), atol=1e-6
    )
    rows = registry.build(kind, keys).encode([sound(8000 * 3, 8000)])
    np.testing.assert_allclose(rows, unit(rows), atol=1e-5)


def test_a_window_is_for_recordings(weights: object) -> None:
    del weights
    kind, keys = params("clap_texts_short", window={"seconds": 1.0})
    with pytest.raises(EncoderUsageError, match=r"window cuts recordings, and .* reads text"):
        registry.build(kind, keys)
    assert registry.window("sentence", registry.params_type("sentence")()) is None
