"""VGGish held to its published definition: other code's spectrogram, and its layers written out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders._vggish_input import examples, log_mel
from encoders.base import EncoderError, EncoderUsageError
from encoders.media import Audio, MediaError, decode_audio
from encoders.registry import quick_recipe
from encoders.vggish import Params, VggishEncoder, build
from tests.encoders import vggish_files
from tests.encoders.vggish_files import CONVOLUTIONS, DENSE, WIDTH, Arrays
from tests.safety.test_pickles import Malice

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RATE = 16_000


def tone(seconds: float, hertz: float = 1000.0, rate: int = RATE) -> NDArray[np.float32]:
    """A sine of full scale, as that of AudioSet's smoke test."""
    return np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate).astype(np.float32)


def noise(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    drawn = np.random.default_rng(seed).normal(scale=0.2, size=int(RATE * seconds))
    return drawn.clip(-1, 1).astype(np.float32)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vggish")
    vggish_files.save(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(saved: Path) -> VggishEncoder:
    return build(Params(str(saved / "vggish.npz")))


def whitening(saved: Path, **more: Any) -> VggishEncoder:  # noqa: ANN401 - any parameter
    return build(
        Params(str(saved / "vggish.npz"), pca=str(saved / "vggish_pca_params.npz"), **more)
    )


def library_log_mel(samples: NDArray[np.float32]) -> NDArray[np.floating]:
    """The published definition, put together of transformers' own spectrogram."""
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    bank = mel_filter_bank(
        257, 64, 125.0, 7500.0, RATE, norm=None, mel_scale="htk", triangularize_in_mel_space=True
    )
    mel = spectrogram(
        samples.astype(np.float64),
        window_function(400, "hann", periodic=True),
        frame_length=400,
        hop_length=160,
        fft_length=512,
        power=1.0,
        center=False,
        mel_filters=bank,
        mel_floor=0.0,
        dtype=np.dtype(np.float64),
    )
    return np.log(mel.T + 0.01)


@pytest.mark.parametrize("samples", [tone(3), noise(1.7), np.zeros(9000, np.float32)])
def test_the_spectrogram_is_that_of_another_library(samples: NDArray[np.float32]) -> None:
    expected = library_log_mel(samples)
    assert expected.shape == (1 + (len(samples) - 400) // 160, 64)
    np.testing.assert_allclose(log_mel(samples), expected, atol=2e-5)


def test_a_tone_of_1_khz_is_loudest_in_its_band() -> None:
    low, middle, high = 1127 * np.log(1 + np.array([125, 1000, 7500]) / 700)
    band = int(np.abs(np.linspace(low, high, 66)[1:-1] - middle).argmin())
    assert set(log_mel(tone(3)).argmax(axis=1)) == {band}


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = log_mel(noise(1))
    monkeypatch.setattr("encoders._vggish_input._BLOCK_FRAMES", 7)
    np.testing.assert_array_equal(log_mel(noise(1)), whole)


@pytest.mark.parametrize(
    ("samples", "hop", "count"),
    [
        (1, 96, 1),
        (15_600, 96, 1),
        (30_959, 96, 1),
        (30_960, 96, 2),
        (48_000, 96, 3),
        (48_000, 48, 5),
    ],
)
def test_examples_are_cut_as_published(samples: int, hop: int, count: int) -> None:
    heard = noise(3)[:samples]
    found = examples(heard, hop)
    assert found.shape == (count, 96, 64)
    silence = np.zeros(max(0, 15_600 - samples), np.float32)
    spectrogram = log_mel(np.concatenate([heard, silence]))
    for at, example in enumerate(found):
        np.testing.assert_array_equal(example, spectrogram[at * hop : at * hop + 96])


def forward(weights: Arrays, example: NDArray[np.float32]) -> NDArray[np.float64]:
    """AudioSet's network on one example in NumPy, channels last and padded as TensorFlow does."""
    x = example[:, :, None].astype(np.float64)
    for name in CONVOLUTIONS:
        kernel = weights[f"vggish/{name}/weights"].astype(np.float64)
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        views = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
        x = np.einsum("hwixy,xyio->hwo", views, kernel) + weights[f"vggish/{name}/biases"]
        x = np.maximum(x, 0)
        if name in {"conv1", "conv2", "conv3/conv3_2", "conv4/conv4_2"}:
            height, width, channels = x.shape
            x = x.reshape(height // 2, 2, width // 2, 2, channels).max(axis=(1, 3))
    x = x.reshape(-1)
    for name in DENSE:
        x = x @ weights[f"vggish/{name}/weights"] + weights[f"vggish/{name}/biases"]
        x = x if name == DENSE[-1] else np.maximum(x, 0)
    return x


def test_vectors_are_means_of_the_network_written_out(encoder: VggishEncoder) -> None:
    heard = [noise(0.3), noise(2.1, seed=1)]
    expected = [
        np.mean([forward(vggish_files.drawn(), example) for example in examples(samples, 96)], 0)
        for samples in heard
    ]
    found = encoder.encode([Audio(samples, RATE) for samples in heard])
    assert encoder.dim == WIDTH
    assert min(np.ptp(expected, axis=0)) > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-4)


def written(layout: str, folder: Path) -> Path:
    """The same weights in one of the layouts that are about."""
    import torch
    from safetensors.numpy import save_file

    theirs = vggish_files.drawn()
    torchvggish = vggish_files.as_torch(theirs)
    if layout == "torchvggish.pth":
        state = {name: torch.from_numpy(array) for name, array in torchvggish.items()}
        torch.save(state, folder / layout)
    elif layout == "torchvggish.safetensors":
        save_file(torchvggish, folder / layout)
    elif layout == "torchaudio.safetensors":
        parts = {"features.": "features_network.", "embeddings.": "embedding_network."}
        for ours, name in parts.items():
            torchvggish = {key.replace(ours, name): t for key, t in torchvggish.items()}
        save_file(torchvggish, folder / layout)
    else:
        named = {f"{name}:0": array for name, array in theirs.items()} | {"global_step": np.ones(1)}
        np.savez(folder / layout, allow_pickle=False, **named)
    return folder / layout


@pytest.mark.parametrize(
    "layout",
    [
        "torchvggish.pth",
        "torchvggish.safetensors",
        "torchaudio.safetensors",
        "variables.npz",
    ],
)
def test_every_layout_gives_the_same_vectors(
    encoder: VggishEncoder, tmp_path: Path, layout: str
) -> None:
    heard = [Audio(noise(1.2), RATE), Audio(tone(0.5, 440), RATE)]
    other = build(Params(str(written(layout, tmp_path))))
    np.testing.assert_array_equal(other.encode(heard), encoder.encode(heard))


def test_half_precision_weights_are_computed_with_as_float32(
    encoder: VggishEncoder, tmp_path: Path
) -> None:
    from safetensors.numpy import save_file

    half = {n: a.astype(np.float16) for n, a in vggish_files.as_torch(vggish_files.drawn()).items()}
    save_file(half, tmp_path / "half.safetensors")
    heard = [Audio(noise(1.2), RATE)]
    found = build(Params(str(tmp_path / "half.safetensors"))).encode(heard)
    np.testing.assert_allclose(found, encoder.encode(heard), atol=0.02)


def test_activation_and_components_are_those_of_the_published_code(saved: Path) -> None:
    heard = [Audio(noise(2, seed), RATE) for seed in range(3)]
    weights, pca = vggish_files.drawn(), vggish_files.components()
    plain = np.array([[forward(weights, e) for e in examples(a.samples, 96)] for a in heard])
    assert plain.shape == (3, 2, WIDTH)
    active = build(Params(str(saved / "vggish.npz"), activation="relu"))
    np.testing.assert_allclose(active.encode(heard), np.maximum(plain, 0).mean(1), atol=1e-4)
    whitened = (plain - pca["pca_means"][:, 0]) @ pca["pca_eigen_vectors"].T
    found = whitening(saved, postprocess="pca").encode(heard)
    np.testing.assert_allclose(found, whitened.mean(1), atol=1e-3)
    levels = ((whitened.clip(-2, 2) + 2) * 255 / 4).astype(np.uint8)
    assert 0 in levels
    assert 255 in levels
    quantized = whitening(saved, postprocess="quantized")
    assert quantized.metric == "l2"
    np.testing.assert_allclose(quantized.encode(heard), levels.mean(1))


def test_components_are_found_in_the_weights_too(saved: Path, tmp_path: Path) -> None:
    import torch

    pca = {f"pproc.{name}": array for name, array in vggish_files.components().items()}
    whole = vggish_files.as_torch(vggish_files.drawn()) | pca
    torch.save({name: torch.from_numpy(a) for name, a in whole.items()}, tmp_path / "whole.pth")
    heard = [Audio(noise(1), RATE)]
    found = build(Params(str(tmp_path / "whole.pth"), postprocess="pca"))
    np.testing.assert_array_equal(
        found.encode(heard), whitening(saved, postprocess="pca").encode(heard)
    )


@pytest.mark.parametrize("rate", [8000, 44_100, 48_000])
def test_the_rate_of_a_recording_hardly_matters(encoder: VggishEncoder, rate: int) -> None:
    same = Audio(tone(2, 700), RATE), Audio(tone(2, 700, rate), rate)
    first, second = encoder.encode(list(same)).astype(np.float64)
    assert first @ second / np.linalg.norm(first) / np.linalg.norm(second) > 0.999


def test_quantised_rows_are_equal_to_the_bit_beside_any_neighbour(saved: Path) -> None:
    heard = [Audio(noise(0.5 + row / 4, row), RATE) for row in range(8)]
    encoder = whitening(saved, postprocess="quantized", batch_size=3)
    together = encoder.encode(heard)
    alone = np.concatenate([encoder.encode([audio]) for audio in heard])
    np.testing.assert_array_equal(together, alone)


def test_quantised_rows_are_computed_alone_as_beside_any_neighbour(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    encoder = whitening(saved, postprocess="quantized")
    embed = encoder._network.embed  # noqa: SLF001 - to see by how many threads
    counts: set[int] = set()

    def seen(heard: NDArray[np.float32]) -> NDArray[np.float32]:
        counts.add(torch.get_num_threads())
        return embed(heard)

    monkeypatch.setattr(encoder._network, "embed", seen)  # noqa: SLF001 - as above
    heard = [Audio(noise(0.5, row), RATE) for row in range(3)]
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        together = encoder.encode(heard)
        alone = np.concatenate([encoder.encode([audio]) for audio in heard])
    finally:
        torch.set_num_threads(before)
    assert len(counts) == 1  # the last digit of a sum hangs on it, and may tip a number over
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("length", [0, 1, 399, 400, 15_359])
def test_any_length_is_encoded(encoder: VggishEncoder, length: int) -> None:
    samples = noise(1)[:length]
    padded = np.zeros(15_600, np.float32)
    padded[:length] = samples
    np.testing.assert_array_equal(
        encoder.encode([Audio(samples, RATE)]), encoder.encode([Audio(padded, RATE)])
    )


def test_the_recipe_names_the_files_by_content(saved: Path, tmp_path: Path) -> None:
    params = Params(str(saved / "vggish.npz"))
    moved = tmp_path / "elsewhere.npz"
    moved.write_bytes((saved / "vggish.npz").read_bytes())
    kept = quick_recipe("vggish", params)
    assert build(Params(str(moved))).recipe() == kept
    np.savez(moved, allow_pickle=False, **vggish_files.drawn(seed=1))
    assert quick_recipe("vggish", Params(str(moved))) != kept
    pca = str(saved / "vggish_pca_params.npz")
    changes: list[dict[str, Any]] = [
        {"activation": "relu"},
        {"hop_seconds": 0.48},
        {"postprocess": "pca", "pca": pca},
        {"postprocess": "quantized", "pca": pca},
    ]
    recipes = [quick_recipe("vggish", Params(params.weights, **change)) for change in changes]
    assert all(recipe != kept for recipe in recipes)
    assert recipes[2] != recipes[3]


def test_samples_that_are_not_finite_are_refused(encoder: VggishEncoder) -> None:
    bad = Audio(np.array([0, np.inf], np.float32), RATE)
    with pytest.raises(MediaError, match="recording 1 of the batch holds NaN"):
        encoder.encode([Audio(noise(0.1), RATE), bad])


def test_weights_that_are_missing_say_how_to_get_them(tmp_path: Path) -> None:
    for value in (str(tmp_path / "gone.npz"), "vggish", str(tmp_path)):
        with pytest.raises(
            EncoderUsageError, match=r"weights .* is no file here.*vggish_model\.ckpt"
        ):
            build(Params(value))


def test_weights_of_another_network_are_refused(tmp_path: Path, saved: Path) -> None:
    file = tmp_path / "weights.npz"
    weights = vggish_files.drawn()
    np.savez(file, allow_pickle=False, other=np.ones(3))
    with pytest.raises(EncoderError, match=r"lack 18 of the 18 tensors .* hold 'other'"):
        build(Params(str(file)))
    np.savez(file, allow_pickle=False, **{k: a for k, a in weights.items() if "fc2" not in k})
    with pytest.raises(EncoderError, match=r"lack 2 of the 18 .* 'vggish/fc2/weights'"):
        build(Params(str(file)))
    name = "vggish/fc1/fc1_1/weights"
    np.savez(file, allow_pickle=False, **(weights | {name: weights[name][:-1]}))
    with pytest.raises(EncoderError, match=r"layer 7 of 9 has weights \(24, 239\).* \(24, 240\)"):
        build(Params(str(file)))
    np.savez(file, allow_pickle=False, **(weights | {name: weights[name] * np.nan}))
    with pytest.raises(EncoderError, match=r"'vggish/fc1/fc1_1/weights' of .* holds NaN"):
        build(Params(str(file)))
    with pytest.raises(EncoderError, match=r"holds 'vggish/.*no 'pca_eigen_vectors'"):
        build(Params(str(saved / "vggish.npz"), postprocess="pca"))
    small = {"pca_eigen_vectors": np.eye(3), "pca_means": np.zeros(3)}
    np.savez(file, allow_pickle=False, **small)
    with pytest.raises(EncoderError, match=r"\(3, 3\) with 3 means, expected \(12, 12\)"):
        build(Params(str(saved / "vggish.npz"), postprocess="pca", pca=str(file)))


@pytest.mark.parametrize("suffix", [".npz", ".pth", ".safetensors"])
def test_files_that_are_no_weights_are_refused(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"weights{suffix}"
    for content in (b"", b"nothing of the kind", b"PK\x03\x04 cut off"):
        file.write_bytes(content)
        with pytest.raises(EncoderError, match="cannot be read as weights"):
            build(Params(str(file)))


def test_pickled_code_is_not_run(tmp_path: Path) -> None:
    import torch

    torch.save({"features.0.weight": Malice(tmp_path / "ran")}, tmp_path / "weights.pth")
    np.savez(tmp_path / "weights.npz", weight=np.array([Malice(tmp_path / "ran")]))
    for name in ("weights.pth", "weights.npz"):
        with pytest.raises(EncoderError, match=r"cannot be read as weights \("):
            build(Params(str(tmp_path / name)))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"activation": "tanh"}, ValueError, "activation must be one of none, relu, got 'tanh'"),
        ({"postprocess": "whiten"}, ValueError, "postprocess must be one of none, pca, quantized"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"hop_seconds": 0.0}, ValueError, "positive multiple of 0.01, .* got 0.0"),
        ({"hop_seconds": 0.125}, ValueError, "positive multiple of 0.01, .* got 0.125"),
        ({"hop_seconds": float("nan")}, ValueError, "positive multiple of 0.01"),
        ({"hop_seconds": float("inf")}, ValueError, "positive multiple of 0.01"),
        ({"pca": "/a.npz"}, EncoderUsageError, 'is used by postprocess = "pca"'),
    ],
)
def test_parameters_are_checked(
    given: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Params("./weights.npz", **given)


@pytest.mark.realdata
def test_spoken_digits_are_heard_as_another_library_would(
    data: Path, encoder: VggishEncoder
) -> None:
    files = sorted((data / "audio" / "fsdd").glob("*.wav"))[::100]
    audio = [decode_audio(file.read_bytes()) for file in files]
    found = encoder.encode(audio)
    assert found.shape == (20, WIDTH)
    np.testing.assert_array_equal(encoder.encode(audio), found)
    assert len(np.unique(found, axis=0)) == 20
    for recording in audio:
        expected = library_log_mel(recording.samples)
        np.testing.assert_allclose(log_mel(recording.samples), expected, atol=2e-5)


@pytest.mark.skipif(
    "VECMILL_VGGISH_WEIGHTS" not in os.environ,
    reason="VECMILL_VGGISH_WEIGHTS names no published weights of VGGish",
)
def test_published_weights_give_the_published_figures() -> None:
    """Those of AudioSet's vggish_smoke_test.py as of July 2023, of three seconds of 1 kHz.

    Its three examples are equal, so that what it says of all of them is true of their mean.
    """
    weights = os.environ["VECMILL_VGGISH_WEIGHTS"]
    heard = [Audio(tone(3), RATE)]
    plain = build(Params(weights)).encode(heard)
    assert plain.shape == (1, 128)
    assert plain.mean() == pytest.approx(0.000657, abs=1e-3)
    assert plain.std() == pytest.approx(0.343, rel=0.02)
    pca = os.environ.get("VECMILL_VGGISH_PCA")
    if pca is not None:
        found = build(Params(weights, postprocess="quantized", pca=pca)).encode(heard)
        assert found.mean() == pytest.approx(126.0, rel=0.02)
        assert found.std() == pytest.approx(89.3, rel=0.02)
