"""Speech models held to what the library itself gives for a recording alone."""

from __future__ import annotations

import json
import shutil
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders.base import EncoderError
from encoders.media import Audio, MediaError, decode_audio
from encoders.registry import quick_recipe
from encoders.wav2vec2 import Params, SpeechEncoder, build
from tests.encoders import checkpoints, speech_files
from tests.encoders.speech_files import FAMILIES, LAYERS, LEAST, PADDED, WIDTH
from tests.safety.test_pickles import Malice

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from encoders._precision import Dtype

RATE = 16_000


def voice(samples: int, seed: int = 0) -> NDArray[np.float32]:
    """A gliding tone in noise, off zero and far from full scale."""
    rng = np.random.default_rng(seed)
    time = np.arange(samples) / RATE
    tone = np.sin(2 * np.pi * (200 + 100 * seed + 300 * time) * time)
    return (0.1 * tone + rng.normal(0.05, 0.02, samples)).astype(np.float32)


RECORDINGS = [Audio(voice(n, n % 7), RATE) for n in (400, 5000, 9000, 9000, 1500, 12_345, 720)]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model of each family."""
    folder = tmp_path_factory.mktemp("speech")
    for family in FAMILIES:
        speech_files.save(folder / family, family)
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    """A copy of one, to be damaged."""
    return shutil.copytree(saved / "wav2vec2-layer", tmp_path / "model")


def plain(folder: Path, **more: Any) -> SpeechEncoder:  # noqa: ANN401 - any parameter
    return build(Params(str(folder), normalize=False, **more))


@cache
def library(folder: Path) -> tuple[Any, Any]:
    """The library's own preprocessor and model."""
    from transformers import AutoFeatureExtractor, AutoModel

    extractor = AutoFeatureExtractor.from_pretrained(folder)  # type: ignore[no-untyped-call] # the library's omission
    return extractor, AutoModel.from_pretrained(folder).eval()


def alone(folder: Path, samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """The mean of every layer of the library's own model for one recording."""
    import torch

    extractor, model = library(folder)
    given = extractor(samples, sampling_rate=RATE, return_tensors="pt")
    with torch.inference_mode():
        out = model(given["input_values"], output_hidden_states=True)
    layers = [*out.hidden_states[:-1], out.last_hidden_state]
    return [layer[0].mean(dim=0).numpy() for layer in layers]


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_are_those_of_the_library_for_each_recording_alone(
    saved: Path, family: str
) -> None:
    heard = [audio for audio in RECORDINGS if family != "sew" or len(audio.samples) >= 720]
    expected = [alone(saved / family, audio.samples)[-1] for audio in heard]
    found = plain(saved / family).encode(heard)
    assert np.ptp(expected, axis=0).max() > 0.01
    np.testing.assert_allclose(found, expected, atol=2e-5)


@pytest.mark.parametrize("family", [family for family in FAMILIES if "wavlm" not in family])
def test_only_models_that_bear_padding_are_given_any(saved: Path, family: str) -> None:
    """What the others make of padding is not what they make of a recording alone."""
    import torch

    extractor, model = library(saved / family)
    waves = [audio.samples for audio in RECORDINGS[1:3]]
    given = extractor(
        waves, sampling_rate=RATE, padding=True, return_attention_mask=True, return_tensors="pt"
    )
    with torch.inference_mode():
        padded = model(**given).last_hidden_state[0]
        single = model(given["input_values"][:1, : len(waves[0])]).last_hidden_state[0]
    off = float((padded[: len(single)] - single).abs().max())
    assert (off < 1e-4) == (family in PADDED)
    runs = plain(saved / family)._runs(RECORDINGS[1:3])  # noqa: SLF001 - a run is seen in no vector
    assert [len(rows) for rows, _ in runs] == ([2] if family in PADDED else [1, 1])


@pytest.mark.parametrize("family", ["wav2vec2-group", "wav2vec2-layer", "wavlm-layer", "data2vec"])
def test_layers_are_those_of_the_library(saved: Path, family: str) -> None:
    layers = alone(saved / family, RECORDINGS[1].samples)
    assert len(layers) == LAYERS + 1
    for asked in (0, 1, -2, LAYERS):
        found = plain(saved / family, layers=asked).encode(RECORDINGS)[1]
        np.testing.assert_allclose(found, layers[asked], atol=2e-5)
    mean = plain(saved / family, layers=(-1, 0)).encode(RECORDINGS)[1]
    np.testing.assert_allclose(mean, (layers[-1] + layers[0]) / 2, atol=2e-5)
    concat = plain(saved / family, layers=(-1, 1), combine="concat")
    assert concat.dim == 2 * WIDTH
    np.testing.assert_allclose(
        concat.encode(RECORDINGS)[1], np.concatenate([layers[-1], layers[1]]), atol=2e-5
    )


def test_vectors_have_norm_one_unless_asked(saved: Path) -> None:
    unit = build(Params(str(saved / "hubert-layer"))).encode(RECORDINGS)
    raw = plain(saved / "hubert-layer").encode(RECORDINGS)
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.abs(lengths - 1).min() > 0.01
    np.testing.assert_allclose(unit, raw / lengths, atol=1e-6)


@pytest.mark.parametrize("family", ["wav2vec2-group", "wav2vec2-layer"])
def test_long_recordings_are_the_mean_of_equal_parts(saved: Path, family: str) -> None:
    long = voice(30_001, 3)
    scaled = (long - long.mean()) / np.sqrt(long.var() + 1e-7)
    folder = saved / family
    parts = np.array_split(scaled, 4)
    assert max(map(len, parts)) <= 8000
    raw = shutil.copytree(folder, folder.with_name(f"{family}-as-is"))
    settings = json.loads((raw / "preprocessor_config.json").read_text())
    (raw / "preprocessor_config.json").write_text(json.dumps(settings | {"do_normalize": False}))
    expected = np.mean([alone(raw, part)[-1] for part in parts], axis=0)
    encoder = plain(folder, max_seconds=0.5)
    found = encoder.encode([RECORDINGS[0], Audio(long, RATE)])
    np.testing.assert_allclose(found[1], expected, atol=2e-5)
    np.testing.assert_allclose(found[0], plain(folder).encode(RECORDINGS[:1])[0], atol=1e-5)


@pytest.mark.parametrize("family", ["wav2vec2-group", "wav2vec2-layer", "sew"])
@pytest.mark.parametrize("length", [0, 1, 2, LEAST - 1])
def test_a_recording_shorter_than_a_frame_is_followed_by_silence(
    saved: Path, family: str, length: int
) -> None:
    encoder = plain(saved / family)
    found = encoder.encode([Audio(voice(length), RATE), RECORDINGS[2]])
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[:1], encoder.encode([Audio(voice(length), RATE)]), atol=1e-5)


def test_a_short_recording_is_scaled_before_the_silence(saved: Path, tmp_path: Path) -> None:
    raw = shutil.copytree(saved / "wav2vec2-layer", tmp_path / "as-is")
    settings = json.loads((raw / "preprocessor_config.json").read_text())
    (raw / "preprocessor_config.json").write_text(json.dumps(settings | {"do_normalize": False}))
    short = voice(300)
    scaled = np.pad((short - short.mean()) / np.sqrt(short.var() + 1e-7), (0, LEAST - 300))
    found = plain(saved / "wav2vec2-layer").encode([Audio(short, RATE)])[0]
    np.testing.assert_allclose(found, alone(raw, scaled.astype(np.float32))[-1], atol=2e-5)


def test_loudness_counts_only_where_the_preprocessor_leaves_it(saved: Path) -> None:
    half = [Audio(audio.samples * np.float32(0.5), audio.rate) for audio in RECORDINGS]
    scaled, asis = plain(saved / "wav2vec2-layer"), plain(saved / "wavlm-group")
    assert np.abs(scaled.encode(half) - scaled.encode(RECORDINGS)).max() < 1e-3
    layers = alone(saved / "wavlm-group", half[1].samples)
    np.testing.assert_allclose(asis.encode(half)[1], layers[-1], atol=2e-5)


@pytest.mark.parametrize("rate", [8000, 44_100])
def test_recordings_of_another_rate_are_resampled(saved: Path, rate: int) -> None:
    encoder = build(Params(str(saved / "wav2vec2-layer")))
    same = [
        Audio((0.4 * np.sin(2 * np.pi * 300 * np.arange(r) / r)).astype(np.float32), r)
        for r in (RATE, rate)
    ]
    first, second = encoder.encode(same)
    assert first @ second > 0.999


def test_runs_are_bounded_by_number_and_by_seconds(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = plain(saved / "wav2vec2-layer", batch_size=3)
    expected = encoder.encode(RECORDINGS)
    sizes = [[len(wave) for wave in waves] for _, waves in encoder._runs(RECORDINGS)]  # noqa: SLF001
    assert sorted(chain(*sizes)) == sorted(len(audio.samples) for audio in RECORDINGS)
    assert list(map(len, sizes)) == [3, 3, 1]
    monkeypatch.setattr(encoder, "_together", 1)
    sizes = [[len(wave) for wave in waves] for _, waves in encoder._runs(RECORDINGS)]  # noqa: SLF001
    assert max(len(run) * max(run) for run in sizes) <= RATE
    np.testing.assert_allclose(encoder.encode(RECORDINGS), expected, atol=1e-5)


@pytest.mark.parametrize("family", ["wav2vec2-group", "wav2vec2-layer"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_short_types_compute_nearly_the_same(saved: Path, family: str, dtype: Dtype) -> None:
    full = build(Params(str(saved / family))).encode(RECORDINGS)
    short = build(Params(str(saved / family), dtype=dtype))
    # So few channels average little out; with the sizes of Wav2Vec2 base it is 0.9999.
    assert (short.encode(RECORDINGS) * full).sum(axis=1).min() > 0.9
    assert short.recipe()["dtype"] == dtype


def test_weights_of_older_releases_are_read(copy: Path) -> None:
    """They name the parts of a normalised weight otherwise, and come as pickles."""
    import torch
    from safetensors.torch import load_file

    expected = plain(copy).encode(RECORDINGS)
    parts = {"parametrizations.weight.original0": "weight_g"}
    parts["parametrizations.weight.original1"] = "weight_v"
    state = load_file(copy / "model.safetensors")
    old = {}
    for name, tensor in state.items():
        for new, former in parts.items():
            name = name.replace(new, former)  # noqa: PLW2901 - one after the other
        old[f"wav2vec2.{name}"] = tensor
    assert sum(name.endswith(("_g", "_v")) for name in old) == 2
    assert old.pop("wav2vec2.masked_spec_embed").shape == (WIDTH,)
    old["lm_head.weight"] = torch.ones(5, WIDTH)
    torch.save(old, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    np.testing.assert_array_equal(plain(copy).encode(RECORDINGS), expected)


def test_weights_that_lack_a_part_are_refused(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(copy / "model.safetensors")
    del state["encoder.layers.1.attention.k_proj.weight"]
    save_file(state, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(EncoderError, match=r"lack 1 .* such as 'encoder.layers.1.attention.k_proj"):
        build(Params(str(copy)))


def test_pickled_code_is_not_run(copy: Path, tmp_path: Path) -> None:
    import torch

    torch.save({"weight": Malice(tmp_path / "ran")}, copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match=r"pickled weights .* hold more than tensors"):
        build(Params(str(copy)))
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_is_not_whole_is_refused(copy: Path, tmp_path: Path) -> None:
    (copy / "preprocessor_config.json").rename(tmp_path / "kept.json")
    with pytest.raises(EncoderError, match=r"has no preprocessor_config\.json, so at which rate"):
        build(Params(str(copy)))
    shutil.copy(tmp_path / "kept.json", copy / "preprocessor_config.json")
    (copy / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="holds no weights"):
        build(Params(str(copy)))


def test_models_that_read_no_samples_are_refused(tmp_path: Path, copy: Path) -> None:
    checkpoints.save_bert(tmp_path / "bert")
    with pytest.raises(EncoderError, match=r"has no preprocessor_config\.json"):
        build(Params(str(tmp_path / "bert")))
    shutil.copy(copy / "preprocessor_config.json", tmp_path / "bert")
    with pytest.raises(
        EncoderError, match=r"of type 'bert' with a Wav2Vec2FeatureExtractor, reads"
    ):
        build(Params(str(tmp_path / "bert")))
    from transformers import SeamlessM4TFeatureExtractor

    SeamlessM4TFeatureExtractor().save_pretrained(copy)  # type: ignore[no-untyped-call] # as above
    with pytest.raises(EncoderError, match=r"'wav2vec2' with a SeamlessM4TFeatureExtractor, reads"):
        build(Params(str(copy)))


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (LAYERS + 1, r"has 3 layers, so layers must be from -4 to 3 .*, got 4"),
        ((-1, 3), r"names a layer of .* twice"),
    ],
)
def test_layers_that_are_not_there_are_refused(
    saved: Path, layers: int | tuple[int, ...], message: str
) -> None:
    with pytest.raises(EncoderError, match=message):
        build(Params(str(saved / "hubert-group"), layers=layers))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"combine": "sum"}, "combine must be one of mean, concat, got 'sum'"),
        ({"dtype": "int8"}, "dtype must be one of auto, float32"),
        ({"layers": ()}, "layers names no layer"),
        ({"max_seconds": 0.05}, "max_seconds must be 0.1 or more, got 0.05"),
        ({"max_seconds": float("nan")}, "max_seconds must be 0.1 or more, got nan"),
        ({"max_seconds": float("inf")}, "max_seconds must be 0.1 or more, got inf"),
    ],
)
def test_parameters_are_checked(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Params("./model", **given)


def test_samples_that_are_not_finite_are_refused(saved: Path) -> None:
    bad = Audio(np.array([0, np.nan], np.float32), RATE)
    with pytest.raises(MediaError, match="recording 1 of the batch holds NaN"):
        plain(saved / "wavlm-layer").encode([RECORDINGS[0], bad])


def test_the_recipe_depends_on_contents_not_on_the_folder(copy: Path, saved: Path) -> None:
    kept = build(Params(str(saved / "wav2vec2-layer"))).recipe()
    (copy / "README.md").write_text("a word more")
    (copy / "adapter.fra.safetensors").write_bytes(b"a head for French")
    assert quick_recipe("wav2vec2", Params(str(copy))) == kept
    assert build(Params(str(copy))).recipe() == kept
    settings = json.loads((copy / "preprocessor_config.json").read_text())
    (copy / "preprocessor_config.json").write_text(json.dumps(settings | {"do_normalize": False}))
    changed = build(Params(str(copy)))
    assert changed.recipe() != kept
    quiet = [Audio(audio.samples * np.float32(0.1), audio.rate) for audio in RECORDINGS]
    before = build(Params(str(saved / "wav2vec2-layer"))).encode(quiet)
    assert np.abs(changed.encode(quiet) - before).max() > 1e-3


@pytest.mark.realdata
@pytest.mark.parametrize("family", ["wav2vec2-group", "wav2vec2-layer"])
def test_spoken_digits_are_those_of_the_library(data: Path, saved: Path, family: str) -> None:
    files = sorted((data / "audio" / "fsdd").glob("*.wav"))[::100]
    audio = [decode_audio(file.read_bytes()) for file in files]
    encoder = plain(saved / family)
    found = encoder.encode(audio)
    assert found.shape == (20, WIDTH)
    np.testing.assert_array_equal(encoder.encode(audio), found)
    assert len(np.unique(found, axis=0)) == 20
    from encoders._resample import resample

    for row in (0, 7, 19):
        expected = alone(saved / family, resample(audio[row].samples, audio[row].rate, RATE))
        np.testing.assert_allclose(found[row], expected[-1], atol=2e-5)
