"""Vision: networks against torchvision itself, and learned patches against real photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from encoders.base import EncoderError, State
from encoders.vision import Params, PatchEncoder, build
from tests.encoders import samples
from tests.encoders.networks import made, network

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def patches(**changes: Any) -> PatchEncoder:  # noqa: ANN401 - any parameter
    encoder = build(Params(**changes))
    assert isinstance(encoder, PatchEncoder)
    return encoder


@pytest.fixture(scope="module")
def squeezenet(weights: Path) -> Path:
    return weights / "squeezenet1_1.safetensors"


def test_weights_are_one_whatever_their_file(squeezenet: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    full = {name: tensor.float() for name, tensor in load_file(squeezenet).items()}
    torch.save(full, tmp_path / "weights.pth")
    found, expected = (
        network("squeezenet1_1", file) for file in (tmp_path / "weights.pth", squeezenet)
    )
    assert found.recipe() == expected.recipe()
    images = samples.usual("image")[:2]
    np.testing.assert_array_equal(found.encode(images), expected.encode(images))


def test_old_names_of_densenet_are_understood(tmp_path: Path) -> None:
    import torch

    state = made("densenet121", tmp_path / "new.safetensors").state_dict()
    old = {
        name.replace("norm1", "norm.1").replace("conv1", "conv.1") if "layer" in name else name: v
        for name, v in state.items()
    }
    assert old.keys() != state.keys()
    torch.save(old, tmp_path / "old.pth")
    new = network("densenet121", tmp_path / "new.safetensors")
    assert network("densenet121", tmp_path / "old.pth").recipe() == new.recipe()


def test_bfloat16_is_close_and_an_encoder_of_its_own(squeezenet: Path) -> None:
    images = samples.usual("image")[:5]
    full = network("squeezenet1_1", squeezenet)
    short = network("squeezenet1_1", squeezenet, dtype="bfloat16")
    one, two = full.encode(images), short.encode(images)
    assert two.dtype == np.float32
    cosine = (one * two).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)
    assert cosine.min() > 0.999
    assert not np.array_equal(one, two)
    assert short.recipe() == {**full.recipe(), "dtype": "bfloat16"}


def test_vectors_in_bfloat16_hang_on_their_own_image_alone(squeezenet: Path) -> None:
    encoder = network("squeezenet1_1", squeezenet, dtype="bfloat16", batch_size=4)
    images = samples.usual("image")[:6]
    together = encoder.encode(images)
    alone = np.concatenate([encoder.encode([image]) for image in images])
    np.testing.assert_array_equal(alone, together)


def test_building_leaves_the_chance_of_others_alone(squeezenet: Path) -> None:
    import torch

    before = torch.random.get_rng_state()
    network("squeezenet1_1", squeezenet)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_very_long_image_is_seen_at_its_centre(squeezenet: Path) -> None:
    noise = np.random.default_rng(2).integers(0, 256, (12, 90, 3), dtype=np.uint8)
    wide = np.zeros((12, 20_000, 3), dtype=np.uint8)
    wide[:, 10_000 - 45 : 10_000 + 45] = noise
    middle = Image.fromarray(wide[:, 10_000 - 48 : 10_000 + 48])
    encoder = network("squeezenet1_1", squeezenet)
    long, short = encoder.encode([Image.fromarray(wide), middle])
    np.testing.assert_allclose(long, short, atol=1e-4 * np.abs(short).max())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layer": "clasifier"}, r"no layer 'clasifier'.*did you mean 'classifier'"),
        ({"preset": "IMAGENET1K_V9"}, r"preset 'IMAGENET1K_V9' .*expected one of IMAGENET1K_V1"),
        ({"model": "resnet5"}, r"no vision model is called 'resnet5'.*'resnet50'"),
        (
            {"model": "alexnet"},
            r"do not fit alexnet: \d+ missing, such as '.*unexpected, such as 'features\.10",
        ),
        ({"model": "squeezenet1_0"}, r"'features\.\d+\..* has shape \(.*\), not \("),
        ({"size": 32}, r"size = 32 is a parameter of model = 'kmeans', got .*'squeezenet1_1'"),
        ({"centroids": 9}, r"centroids = 9 is a parameter of model = 'kmeans'"),
        ({"weights": "IMAGENET1K_V9"}, r"'IMAGENET1K_V9' .* neither a file .* IMAGENET1K_V1"),
        ({"weights": "DEFAULT", "preset": "DEFAULT"}, r"preset 'DEFAULT' goes with weights from"),
        (
            {"weights": "DEFAULT", "weights_sha256": "0" * 64},
            r"weights_sha256 '0+' goes with weights from a file, got weights 'DEFAULT'",
        ),
        ({"weights_sha256": "A" * 64}, r"must be 64 hex digits in lower case.*got 'A+'"),
        ({"weights_sha256": "0" * 64}, r"has sha256 \w+, expected weights_sha256 = 0+: it is"),
        ({"model": "fasterrcnn_resnet50_fpn"}, r"is a model of torchvision\.models\.detection, "),
        ({"model": "r3d_18"}, r"is a model of torchvision\.models\.video, which gives no one "),
        ({"model": "raft_small"}, r"is a model of torchvision\.models\.optical_flow"),
        ({"model": "quantized_resnet18"}, r"is a model of torchvision\.models\.quantization"),
        ({"batch_size": 0}, r"batch_size must be at least 1, got 0"),
        ({"dtype": "int8"}, r"dtype must be .* got 'int8'"),
        ({"device": "abacus"}, r"device 'abacus' cannot be used here"),
    ],
)
def test_wrong_parameters_of_networks_are_refused(
    squeezenet: Path, changes: dict[str, Any], message: str
) -> None:
    wanted = {"model": "squeezenet1_1", "weights": str(squeezenet), **changes}
    with pytest.raises(EncoderError, match=message):
        build(Params(**wanted))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "DEFAULT"}, r"weights = 'DEFAULT' is a parameter of the networks"),
        ({"preset": "DEFAULT"}, r"preset = 'DEFAULT' is a parameter of the networks"),
        ({"weights_sha256": "0" * 64}, r"weights_sha256 = '0+' is a parameter of the networks"),
        ({"dtype": "auto"}, r"dtype = 'auto' is a parameter of the networks"),
        ({"layer": "fc"}, r"layer = 'fc' is a parameter of the networks of torchvision"),
        ({"size": 7}, r"size must be at least 8 pixels.*got 7"),
        ({"centroids": 1}, r"centroids must be at least 2, got 1"),
    ],
)
def test_wrong_parameters_of_patches_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        build(Params(**changes))


@pytest.mark.usefixtures("no_network")
def test_weights_that_cannot_be_fetched_say_where_they_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(
        EncoderError,
        match=rf"not at {tmp_path}/hub/checkpoints/resnet18-f37072fd\.pth .*"
        r"https://download\.pytorch\.org/models/resnet18-f37072fd\.pth.*weights = ",
    ):
        build(Params(model="resnet18"))


def test_a_training_checkpoint_is_refused(squeezenet: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    torch.save({"epoch": 3, "state_dict": load_file(squeezenet)}, tmp_path / "checkpoint.pt")
    with pytest.raises(EncoderError, match=r"holds 'epoch', 'state_dict', expected names of"):
        network("squeezenet1_1", tmp_path / "checkpoint.pt")


def test_weights_that_are_not_finite_are_refused(squeezenet: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(squeezenet)
    state["features.0.bias"][3] = float("nan")
    save_file(state, tmp_path / "diverged.safetensors")
    with pytest.raises(EncoderError, match=r"'features\.0\.bias' of .* holds NaN or infinity"):
        network("squeezenet1_1", tmp_path / "diverged.safetensors")


def test_a_pickle_with_code_is_not_run(tmp_path: Path) -> None:
    import torch

    torch.save({"weight": _Opens(tmp_path / "ran")}, tmp_path / "weights.pth")
    with pytest.raises(EncoderError, match="cannot be read as weights"):
        network("squeezenet1_1", tmp_path / "weights.pth")
    assert not (tmp_path / "ran").exists()


class _Opens:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.file), "w")


def test_an_image_of_another_mode_is_refused(squeezenet: Path) -> None:
    grey = [Image.new("RGB", (9, 9)), Image.new("L", (9, 9))]
    with pytest.raises(EncoderError, match=r"image 1 of the batch has mode 'L', expected 'RGB'"):
        network("squeezenet1_1", squeezenet).encode(grey)


def test_vectors_have_norm_one_when_asked(squeezenet: Path) -> None:
    images = samples.usual("image")[:4]
    found = network("squeezenet1_1", squeezenet, normalize=True).encode(images)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_patches_do_what_the_paper_says() -> None:
    """The vectors again, patch by patch, in plain NumPy and from the state alone."""
    encoder = patches(size=12, centroids=10)
    images = samples.usual("image")
    encoder.fit(images, np.random.default_rng(0))
    learned = encoder.state().arrays
    expected = [by_hand(image.resize((12, 12), 2), learned) for image in images[:5]]
    np.testing.assert_allclose(encoder.encode(images[:5]), expected, atol=2e-3)


def by_hand(image: Image.Image, learned: Any) -> NDArray[np.float64]:  # noqa: ANN401 - a mapping of arrays
    raw = np.asarray(image, dtype=np.float64).transpose(2, 0, 1)
    sums = np.zeros((4, 10))
    for y in range(7):
        for x in range(7):
            patch = raw[:, y : y + 6, x : x + 6].ravel()
            patch = (patch - patch.mean()) / np.sqrt(patch.var(ddof=1) + 10)
            white = (patch - learned["mean"]) @ learned["whitening"]
            away = np.linalg.norm(white - learned["centroids"], axis=1)
            sums[2 * (y >= 4) + (x >= 4)] += np.maximum(0, away.mean() - away)
    flat: NDArray[np.float64] = (sums.ravel() - learned["centre"]) / learned["scale"]
    return flat


def test_fitted_vectors_are_centred_and_of_unit_variance() -> None:
    encoder = patches(size=16, centroids=24)
    images = samples.usual("image")
    encoder.fit(images, np.random.default_rng(0))
    found = encoder.encode(images)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-3)
    assert found.std(0).max() < 1.001
    assert np.median(found.std(0)) > 0.999


def test_patches_learn_from_plain_images_without_nan() -> None:
    encoder = patches(size=16, centroids=8)
    encoder.fit([Image.new("RGB", (20, 20), "red")] * 3, np.random.default_rng(0))
    assert np.isfinite(encoder.encode(samples.usual("image"))).all()


def test_chance_is_in_the_generator() -> None:
    images = samples.usual("image")
    first, same, other = (patches(size=16, centroids=24) for _ in range(3))
    for encoder, seed in ((first, 1), (same, 1), (other, 2)):
        encoder.fit(images, np.random.default_rng(seed))
    assert first.recipe() == same.recipe()
    assert first.recipe() != other.recipe()


def test_too_few_patches_are_refused() -> None:
    with pytest.raises(EncoderError, match=r"1 images of 8 pixels gave 9 patches.*50 centroids"):
        patches(size=8, centroids=50).fit(samples.usual("image")[:1], np.random.default_rng(0))


def test_the_state_of_other_parameters_is_refused() -> None:
    encoder = patches(size=16, centroids=24)
    encoder.fit(samples.usual("image"), np.random.default_rng(0))
    with pytest.raises(EncoderError, match=r"arrays of shapes .* expected .*other parameters"):
        patches(size=16, centroids=25).restore(encoder.state())
    with pytest.raises(EncoderError, match=r"arrays of shapes \{\}, expected"):
        patches().restore(State({}))


@pytest.mark.realdata
@pytest.mark.slow
def test_squeezenet_names_what_is_on_the_photographs(data: Path) -> None:
    files = sorted((data / "image" / "imagenet_sample").glob("*.JPEG"))
    file = data / "weights" / "squeezenet1_1-fp16.safetensors"
    encoder = network("squeezenet1_1", file, layer="classifier")
    order = np.argsort(-encoder.encode([opened(f) for f in files]), axis=1)
    right = order == np.array([[int(f.name[:3])] for f in files])
    assert len(files) == 100
    assert right[:, :1].sum() >= 60
    assert right[:, :5].sum() >= 85


@pytest.mark.realdata
@pytest.mark.slow
def test_learned_patches_tell_the_classes_of_cifar_apart(data: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    encoder = patches()
    images, labels = cifar(data, "train")
    encoder.fit(images, np.random.default_rng(0))
    train = encoder.encode(images)
    images, truth = cifar(data, "test")
    test = encoder.encode(images)
    probe = LogisticRegression(C=0.01, max_iter=500).fit(train, labels)
    assert probe.score(test, truth) >= 0.52
    nearest = KNeighborsClassifier(10, metric="cosine").fit(train, labels)
    assert nearest.score(test, truth) >= 0.37


def cifar(data: Path, split: str) -> tuple[list[Image.Image], list[str]]:
    files = sorted((data / "image" / "cifar10" / split).glob("*/*.jpg"))
    return [opened(file) for file in files], [file.parent.name for file in files]


def opened(file: Path) -> Image.Image:
    with Image.open(file) as image:
        return image.convert("RGB")
