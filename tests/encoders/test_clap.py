"""The kind ``clap``: the library's own vectors where it leaves nothing to chance, and windows."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders import registry
from encoders.base import EncoderError
from encoders.clap import Params
from encoders.media import Audio, MediaError
from tests.encoders import bridges, samples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RATE = 16_000
SECOND = RATE
"""Samples that the tiny model hears at a time."""


@pytest.fixture(scope="module", params=[False, True], ids=["unfused", "fused"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint, of either way to take long recordings."""
    made = tmp_path_factory.mktemp("clap") / "tiny"
    bridges.save_clap(made, fusion=request.param)
    return made


def built(folder: Path, reads: str = "audio", **more: Any) -> Any:  # noqa: ANN401 - an Encoder that is Bridging
    return registry.build("clap", Params(str(folder), reads, **more))  # type: ignore[arg-type] # a word


def noise(n: int, seed: int = 0, rate: int = RATE) -> Audio:
    drawn = np.random.default_rng(seed).uniform(-0.5, 0.5, n).astype(np.float32)
    return Audio(drawn, rate)


def own_vector(folder: Path, samples_: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vector of one recording by the library itself."""
    import torch
    from transformers import ClapFeatureExtractor, ClapModel

    extractor: Any = ClapFeatureExtractor.from_pretrained(folder)
    given = extractor(samples_, sampling_rate=RATE, return_tensors="pt")
    with torch.inference_mode():
        model = ClapModel.from_pretrained(folder)
        found = model.get_audio_features(given["input_features"].float(), given["is_longer"])
    vector: NDArray[np.float32] = found.pooler_output[0].numpy()
    return vector


@pytest.mark.parametrize("n", [1, 700, SECOND // 2, SECOND])
def test_a_short_recording_gets_the_librarys_own_vector(folder: Path, n: int) -> None:
    recording = noise(n)
    [found] = built(folder).encode([recording])
    np.testing.assert_allclose(found, own_vector(folder, recording.samples), atol=2e-6)


def test_texts_get_the_librarys_own_vectors(folder: Path) -> None:
    import torch
    from transformers import AutoTokenizer, ClapModel

    model, tokenizer = ClapModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    texts = ["a cat", "the mill ground the grain", "", "stone " * 300]
    for text, vector in zip(texts, built(folder, "text").encode(texts), strict=True):
        given = tokenizer([text], truncation=True, max_length=77, return_tensors="pt")
        given.pop("token_type_ids", None)
        with torch.inference_mode():
            own = model.get_text_features(**given).pooler_output[0].numpy()
        np.testing.assert_allclose(vector, own, atol=2e-6)
    assert built(folder, "text").truncated(texts).texts == 1


def test_a_long_recording_is_the_mean_of_windows_that_cover_it(folder: Path) -> None:
    recording = noise(2 * SECOND + SECOND // 2)
    starts = [0, 3 * SECOND // 4, 3 * SECOND // 2]
    windows = [own_vector(folder, recording.samples[s : s + SECOND]) for s in starts]
    mean = np.mean(windows, axis=0)
    encoder = built(folder, normalize=False)
    np.testing.assert_allclose(encoder.encode([recording])[0], mean, atol=5e-6)
    np.testing.assert_allclose(
        built(folder).encode([recording])[0], mean / np.linalg.norm(mean), atol=5e-6
    )


def test_every_part_of_a_long_recording_counts(folder: Path) -> None:
    recording = noise(5 * SECOND)
    encoder = built(folder, batch_size=2)
    [before] = encoder.encode([recording])
    for place in range(5):
        changed = recording.samples.copy()
        changed[place * SECOND : (place + 1) * SECOND] = 0
        [after] = encoder.encode([Audio(changed, RATE)])
        assert np.abs(after - before).max() > 1e-4


def test_nothing_is_left_to_chance(folder: Path) -> None:
    batch = [noise(n, seed=n) for n in (SECOND // 3, 4 * SECOND, SECOND, 3 * SECOND, 50)]
    encoder = built(folder, batch_size=3)
    together = encoder.encode(batch)
    np.random.seed(1)  # noqa: NPY002 - what the library's preprocessor draws from
    np.testing.assert_array_equal(encoder.encode(batch), together)
    for row, recording in enumerate(batch):
        np.testing.assert_allclose(encoder.encode([recording])[0], together[row], atol=2e-6)


def test_a_recording_of_another_rate_is_resampled(folder: Path) -> None:
    time = np.arange(8000) / 8000
    low = Audio((0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32), 8000)
    time = np.arange(SECOND) / RATE
    high = Audio((0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32), RATE)
    first, second = built(folder).encode([low, high])
    assert float(first @ second) > 0.99
    as_if = Audio(low.samples, RATE)
    assert float(built(folder).encode([as_if])[0] @ second) < float(first @ second)


def test_both_towers_say_that_they_share_a_space(folder: Path) -> None:
    recordings, texts = built(folder), built(folder, "text")
    assert (recordings.others, texts.others) == (("text",), ("audio",))
    assert recordings.recipe()["space"] == texts.recipe()["space"]
    assert recordings.scale == pytest.approx(1 / 0.07)
    found = texts.encode_other("audio", samples.usual("audio"))
    np.testing.assert_array_equal(found, recordings.encode(samples.usual("audio")))


def test_samples_that_are_no_numbers_are_refused(folder: Path) -> None:
    broken = Audio(np.array([0, np.nan], np.float32), RATE)
    with pytest.raises(MediaError, match="recording 1 of the batch holds NaN"):
        built(folder).encode([noise(100), broken])


def test_a_preprocessor_of_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    bridges.save_clap(tmp_path / "one")
    bridges.save_clap(tmp_path / "two", fusion=True)
    name = "preprocessor_config.json"
    shutil.copy(tmp_path / "one" / name, tmp_path / "two" / name)
    with pytest.raises(EncoderError, match=r"'rand_trunc', and its model fuses long recordings"):
        built(tmp_path / "two")


def test_a_model_without_its_pooler_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    bridges.save_clap(tmp_path / "short")
    file = tmp_path / "short" / "model.safetensors"
    kept = {name: v for name, v in load_file(file).items() if "pooler" not in name}
    save_file(kept, file, {"format": "pt"})
    with pytest.raises(EncoderError, match=r"lack 2 of .*text_model\.pooler"):
        built(tmp_path / "short")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"reads": "image"}, "reads must be one of audio, text, got 'image'"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"prompt": "a sound"}, r"prompt must hold \{\} once"),
    ],
)
def test_parameters_out_of_range_are_refused(keys: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Params(**{"model": "./nowhere", "reads": "audio", **keys})
