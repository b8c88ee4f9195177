"""Lstm: learning from labels and without, encoding, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders._recurrent import Cell, Pooling, drawn
from encoders._recurrent_goals import Again
from encoders.abilities import Labelled
from encoders.base import EncoderError, EncoderUsageError, State, digest
from encoders.lstm import Lstm, Params, build
from encoders.media import Audio, MediaError, decode_audio
from tests.encoders.sounds import RATE, chirp, gliding, tones
from tests.encoders.watching import Told

if TYPE_CHECKING:
    from pathlib import Path


SMALL = Params(
    mels=24,
    hop_ms=20,
    hidden=16,
    dim=16,
    epochs=25,
    learning_rate=0.01,
    tract=0.1,
    pace=0.1,
    crop=0.05,
    masks=1,
    device="cpu",
)


def told(params: Params, count: int = 120, seed: int = 0) -> Lstm:
    """An encoder that has learned which way tones glide."""
    encoder = build(replace(params, label="way"))
    audio, ways = gliding(count)
    encoder.fit_labelled(audio, ways, np.random.default_rng(seed))
    return encoder


@pytest.fixture(scope="module")
def labelled() -> Lstm:
    return told(SMALL)


@pytest.fixture(scope="module")
def unlabelled() -> Lstm:
    encoder = build(replace(SMALL, dropout=0.0, tract=0.0, pace=0.0, crop=0.0, masks=0))
    encoder.fit(gliding(120)[0], np.random.default_rng(0))
    return encoder


def figures(encoder: Lstm) -> dict[str, Any]:
    found = encoder.state().meta["figures"]
    assert isinstance(found, dict)
    return found


def nearest(encoder: Lstm) -> float:
    """How often the way a new tone glides is that of the nearest of the others."""
    audio, ways = gliding(90, seed=1)
    vectors = encoder.encode(audio)
    alike = vectors @ vectors.T
    np.fill_diagonal(alike, -np.inf)
    return float(np.mean(np.array(ways)[alike.argmax(axis=1)] == np.array(ways)))


class TestLearningFromLabels:
    def test_it_learns_the_order_of_sounds(self, labelled: Lstm) -> None:
        found = figures(labelled)
        assert found["held_out_accuracy"] >= 0.9
        assert found["majority_accuracy"] == pytest.approx(1 / 3)
        assert (found["classes"], found["held_out_recordings"]) == (3, 12)
        assert nearest(labelled) >= 0.9

    @pytest.mark.parametrize(("cell", "pooling"), [("gru", "attention"), ("rnn", "last")])
    def test_so_do_other_cells_and_poolings(self, cell: Cell, pooling: Pooling) -> None:
        assert nearest(told(replace(SMALL, cell=cell, pooling=pooling))) >= 0.8

    def test_its_protocol_is_known(self) -> None:
        assert isinstance(build(replace(SMALL, label="way")), Labelled)
        assert build(SMALL).label is None

    def test_without_labels_it_refuses(self) -> None:
        with pytest.raises(EncoderUsageError, match="learns from the labels in 'way'"):
            build(replace(SMALL, label="way")).fit(tones(20), np.random.default_rng(0))

    def test_unlabelled_recordings_are_passed_over_and_told(self) -> None:
        audio, ways = gliding(36)
        labels = [None if row >= 30 else way for row, way in enumerate(ways)]
        encoder, watch = build(replace(SMALL, label="way", epochs=1)), Told()
        encoder.fit_labelled(audio, labels, np.random.default_rng(0), watch)
        assert figures(encoder)["recordings"] + figures(encoder)["held_out_recordings"] == 30
        assert "6 of 36 recordings have no label and were passed over" in watch.notes

    def test_a_class_of_one_is_learned_from_not_held_out(self) -> None:
        audio, ways = gliding(30)
        encoder = build(replace(SMALL, label="way", epochs=1))
        encoder.fit_labelled(audio, ["alone", *ways[1:]], np.random.default_rng(0))
        assert figures(encoder)["classes"] == 4

    @pytest.mark.parametrize(
        ("labels", "told"),
        [
            (["a"] * 30, "got 30 of 1 classes, 1 of them with 2 or more, and 0 without"),
            ([None] * 30, "got 0 of 0 classes, 0 of them with 2 or more, and 30 without"),
            ([*"aabb", *[None] * 26], "got 4 of 2 classes"),
            ([str(row) for row in range(30)], "got 30 of 30 classes, 0 of them with 2"),
        ],
    )
    def test_too_few_labels_are_refused(self, labels: list[str | None], told: str) -> None:
        encoder = build(replace(SMALL, label="way"))
        with pytest.raises(EncoderError, match=told):
            encoder.fit_labelled(tones(30), labels, np.random.default_rng(0))

    def test_labels_that_mean_nothing_are_found_out(self) -> None:
        audio, _ = gliding(60)
        chance = np.random.default_rng(3).permutation(["a"] * 45 + ["b"] * 15).tolist()
        encoder, watch = build(replace(SMALL, label="way", epochs=2)), Told()
        encoder.fit_labelled(audio, chance, np.random.default_rng(0), watch)
        assert figures(encoder)["majority_accuracy"] >= 0.6
        assert any(note.startswith("learned nothing: of the recordings") for note in watch.notes)


class TestLearningWithoutLabels:
    def test_recordings_come_out_better_than_their_mean(self, unlabelled: Lstm) -> None:
        found = figures(unlabelled)
        assert found["mean_frame_error"] == pytest.approx(1, abs=0.2)
        assert found["held_out_error"] < 0.85 * found["mean_frame_error"]
        assert found["held_out_error"] == pytest.approx(found["held_out_loss"], rel=1e-3)

    def test_recordings_like_each_other_are_near(self, unlabelled: Lstm) -> None:
        assert nearest(unlabelled) >= 0.6

    def test_a_fit_that_learns_nothing_says_so(self) -> None:
        import torch

        # all frames of all recordings alike but for chance: nothing is better than their mean
        rng = np.random.default_rng(0)
        steps = [rng.normal(size=(20, 48)).astype(np.float32) for _ in range(30)]
        goal = Again("gru", 8, 48)
        weights = {
            name: torch.from_numpy(array)
            for name, array in drawn(goal.weights(4), "gru", rng).items()
        }
        found = goal.figures(weights, torch.ones(30, 4), np.arange(30), steps)
        assert found["held_out_error"] > found["mean_frame_error"] == pytest.approx(1, abs=0.02)
        assert "and the mean frame alone has" in str(goal.failure(found))
        assert goal.failure({**found, "held_out_error": 0.9}) is None

    def test_recordings_of_one_step_are_learned_from(self) -> None:
        clicks = [Audio(np.full(40, 0.1 + row / 40, np.float32), RATE) for row in range(20)]
        encoder = build(replace(SMALL, epochs=1))
        encoder.fit(clicks, np.random.default_rng(0))
        assert np.isfinite(encoder.encode(clicks)).all()

    def test_too_few_recordings_are_refused(self) -> None:
        with pytest.raises(EncoderError, match="10 recordings or more to learn from, got 9"):
            build(SMALL).fit(tones(9), np.random.default_rng(0))


class TestTheEncoder:
    def test_equal_seeds_give_equal_weights_with_several_threads(self) -> None:
        import torch

        threads, params = torch.get_num_threads(), replace(SMALL, hidden=64, stack=2, epochs=1)
        try:
            found = []
            for count in (1, 2, 2):
                torch.set_num_threads(count)
                found.append(digest(told(params, 60).state()))
        finally:
            torch.set_num_threads(threads)
        assert len(set(found)) == 1
        assert digest(told(params, 60, seed=1).state()) != found[0]

    def test_unrolling_is_learned_alike_with_several_threads(self) -> None:
        import torch

        rng = np.random.default_rng(4)
        noise = [
            Audio(rng.uniform(-0.5, 0.5, n * RATE).astype(np.float32), RATE) for n in (1, 2, 3) * 5
        ]
        threads, digests = torch.get_num_threads(), []
        try:
            for count in (1, 2):
                torch.set_num_threads(count)
                encoder = build(Params(epochs=1, device="cpu"))
                encoder.fit(noise, np.random.default_rng(0))
                digests.append(digest(encoder.state()))
        finally:
            torch.set_num_threads(threads)
        assert digests[0] == digests[1]

    def test_long_recordings_are_the_mean_of_their_parts(self, labelled: Lstm) -> None:
        whole = build(replace(SMALL, label="way", span_seconds=1.0, normalize=False))
        whole.restore(labelled.state())
        # parts of equally many frames, each of which a recording of its own would have
        samples = chirp(4.0)
        frames = next(iter(whole._reading.frames([Audio(samples, RATE)])))  # noqa: SLF001 - see above
        spans = whole._reading.spans(frames)  # noqa: SLF001 - as above
        assert [len(span) for span in spans] == [41, 40, 40, 40, 40]
        model = whole._known().model  # noqa: SLF001 - as above
        apart = model.vectors(spans, normalize=False)
        expected = np.average(apart, axis=0, weights=[len(span) for span in spans])
        found = whole.encode([Audio(samples, RATE)])[0]
        np.testing.assert_allclose(found, expected, atol=1e-4)

    def test_bundles_do_not_show(self, labelled: Lstm, monkeypatch: pytest.MonkeyPatch) -> None:
        audio = [*gliding(20, seed=2)[0], Audio(chirp(25.0), RATE)]
        expected = labelled.encode(audio)
        monkeypatch.setattr("encoders.lstm._STEPS", 40)
        np.testing.assert_allclose(labelled.encode(audio), expected, atol=1e-5)

    @pytest.mark.parametrize("length", [0, 1, 2, 159, 400, 1000])
    @pytest.mark.parametrize("loudness", [0.0, 1e-7, 1.0])
    def test_any_length_is_encoded_silence_too(
        self, labelled: Lstm, length: int, loudness: float
    ) -> None:
        samples = np.full(length, loudness, dtype=np.float32)
        vectors = labelled.encode([Audio(samples, RATE), Audio(samples, 8000)])
        assert np.isfinite(vectors).all()
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_loudness_does_not_matter_where_bands_are_centred(self, labelled: Lstm) -> None:
        loud, quiet = (Audio(chirp(1) * np.float32(by), RATE) for by in (1, 0.1))
        one, other = labelled.encode([loud, quiet])
        assert one @ other > 0.999

    def test_states_of_others_are_refused(self, labelled: Lstm) -> None:
        for other in (
            {"hidden": 8},
            {"cell": "gru"},
            {"layers": 2},
            {"bidirectional": False},
            {"mels": 20},
            {"pooling": "attention"},
        ):
            with pytest.raises(EncoderError, match=r"of kind lstm with these parameters: .*again"):
                build(replace(SMALL, **other)).restore(labelled.state())
        with pytest.raises(EncoderError, match="got nnlm with"):
            build(SMALL).restore(State(labelled.state().arrays, {"kind": "nnlm"}))

    def test_writing_into_a_state_does_not_change_the_encoder(self, labelled: Lstm) -> None:
        before = labelled.encode(tones(2))
        for array in labelled.state().arrays.values():
            array.fill(0)
        np.testing.assert_array_equal(labelled.encode(tones(2)), before)

    def test_samples_that_are_not_finite_are_refused(self, labelled: Lstm) -> None:
        bad = Audio(np.array([0, np.nan], dtype=np.float32), RATE)
        with pytest.raises(MediaError, match="recording 1 of the batch holds NaN"):
            labelled.encode([*tones(1), bad])

    def test_a_rate_that_diverges_says_so(self) -> None:
        with pytest.raises(EncoderError, match="lower the learning rate"):
            told(replace(SMALL, learning_rate=1e30, epochs=3), 30)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cell": "LSTM"}, "cell must be one of lstm, gru, rnn, got 'LSTM'"),
        ({"pooling": "sum"}, "pooling must be one of mean, max, last, attention, got 'sum'"),
        ({"hidden": 0}, "hidden must be 1 or more, got 0"),
        ({"stack": 0}, "stack must be 1 or more, got 0"),
        ({"tract": 0.6}, r"tract must be from 0 to 0.5, got 0.6"),
        ({"mask_bands": 1.5}, r"mask_bands must be from 0 to 1.0, got 1.5"),
        ({"masks": -1}, "masks must be 0 or more, got -1"),
        ({"held_out": 0.6}, "held_out must be above 0 and at most 0.5"),
        ({"dropout": 0.95}, "dropout must be from 0 to 0.9"),
        ({"learning_rate": float("nan")}, "learning_rate must be positive"),
        ({"span_seconds": 0.01}, r"span_seconds must be at least a window, 0.025 s, got 0.01"),
        ({"fmax": 9000}, "half the rate"),
    ],
)
def test_parameters_are_checked(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Params(**given)


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize(("left_out", "floor"), [(None, 0.97), ("yweweler", 0.7)])
def test_spoken_digits_are_told_apart(data: Path, left_out: str | None, floor: float) -> None:
    from sklearn.linear_model import LogisticRegression

    files = sorted((data / "audio" / "fsdd").glob("*.wav"))
    digits, speakers = np.array([file.stem.split("_")[:2] for file in files]).T
    order = np.random.default_rng(0).permutation(len(files))
    test = order[:400] if left_out is None else np.flatnonzero(speakers == left_out)
    train = np.setdiff1d(order, test)
    audio = [decode_audio(file.read_bytes()) for file in files]
    encoder = build(Params(rate=8000, label="digit", device="cpu"))
    encoder.fit_labelled(
        [audio[row] for row in train], digits[train].tolist(), np.random.default_rng(0)
    )
    vectors = encoder.encode(audio)
    probe = LogisticRegression(max_iter=1000).fit(vectors[train], digits[train])
    assert len(files) == 2000
    assert figures(encoder)["held_out_accuracy"] >= 0.97
    assert probe.score(vectors[test], digits[test]) >= floor
