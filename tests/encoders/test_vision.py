"""Vision: networks against torchvision itself, and learned patches against real photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from encoders.base import EncoderError, State
from encoders.vision import NetworkEncoder, Params, PatchEncoder, build
from tests.encoders import samples

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn


def network(model: str, weights: Path | str, **changes: Any) -> NetworkEncoder:  # noqa: ANN401 - any parameter
    encoder = build(Params(model=model, weights=str(weights), **changes))
    assert isinstance(encoder, NetworkEncoder)
    return encoder


def patches(**changes: Any) -> PatchEncoder:  # noqa: ANN401 - any parameter
    encoder = build(Params(**changes))
    assert isinstance(encoder, PatchEncoder)
    return encoder


def made(model: str, file: Path) -> nn.Module:
    """A network of torchvision with fixed random weights, and those weights in a file."""
    import torch
    from safetensors.torch import save_file
    from torchvision import models

    shifted = {"transform_input": True, "init_weights": False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module: nn.Module = models.get_model(model, **(shifted if model == "inception_v3" else {}))
    save_file(module.state_dict(), file)
    return module.eval()


def pixels(model: str, images: list[Image.Image]) -> Any:  # noqa: ANN401 - a tensor
    import torch
    from torchvision import models

    transforms = models.get_model_weights(model)["DEFAULT"].transforms()
    return torch.stack([transforms(image) for image in images])


@pytest.fixture(scope="module")
def squeezenet(weights: Path) -> Path:
    return weights / "squeezenet1_1.safetensors"


@pytest.mark.parametrize(
    ("model", "dim", "side", "last"),
    [
        ("squeezenet1_1", 512, 224, "classifier"),
        pytest.param("alexnet", 4096, 224, "classifier.6", marks=pytest.mark.slow),
        pytest.param("resnet50", 2048, 224, "fc", marks=pytest.mark.slow),
        pytest.param("inception_v3", 2048, 299, "fc", marks=pytest.mark.slow),
        pytest.param("vgg16", 4096, 224, "classifier.6", marks=pytest.mark.slow),
    ],
)
def test_networks_give_what_torchvision_gives(
    model: str, dim: int, side: int, last: str, tmp_path: Path
) -> None:
    import torch

    file = tmp_path / "weights.safetensors"
    module, images = made(model, file), samples.usual("image")[:3]
    batch = pixels(model, images)
    with torch.inference_mode():
        expected = module(batch).numpy()
        features = network(model, file)
        assert batch.shape == (3, 3, side, side)
        assert features.dim == dim
        head = module.get_submodule("classifier.1" if model == "squeezenet1_1" else last)
        inputs = torch.from_numpy(features.encode(images))
        if isinstance(head, torch.nn.Linear):  # so the vectors are what its classes are made of
            np.testing.assert_allclose(head(inputs).numpy(), expected, atol=1e-4, rtol=1e-4)
    found = network(model, file, layer=last).encode(images)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_squeezenet_is_averaged_over_the_map_before_its_classes(squeezenet: Path) -> None:
    import torch
    from safetensors.torch import load_file
    from torchvision.models import squeezenet1_1

    module = squeezenet1_1().eval()
    module.load_state_dict(load_file(squeezenet))
    images = samples.usual("image")[:3]
    with torch.inference_mode():
        expected = module.features(pixels("squeezenet1_1", images)).mean((2, 3)).numpy()
    found = network("squeezenet1_1", squeezenet).encode(images)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "dim", "layer", "width"),
    [
        ("swin_t", 768, "features.3", 192),
        ("vit_b_32", 768, "encoder.ln", 768),
        ("convnext_tiny", 768, "features.5", 384),
        ("densenet121", 1024, "features.denseblock2", 512),
        ("mobilenet_v3_small", 1024, "features.3", 24),
    ],
)
def test_channels_are_found_in_newer_networks(
    model: str, dim: int, layer: str, width: int, tmp_path: Path
) -> None:
    file = tmp_path / "weights.safetensors"
    made(model, file)
    assert network(model, file).dim == dim
    assert network(model, file, layer=layer).dim == width


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
        ({"batch_size": 0}, r"batch_size must be at least 1, got 0"),
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
        ({"layer": "fc"}, r"layer = 'fc' is a parameter of the networks of torchvision"),
        ({"size": 7}, r"size must be at least 8 pixels.*got 7"),
        ({"centroids": 1}, r"centroids must be at least 2, got 1"),
    ],
)
def test_wrong_parameters_of_patches_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        build(Params(**changes))


def test_weights_that_cannot_be_fetched_say_where_they_belong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for scheme in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(scheme, "http://127.0.0.1:9")  # where nobody listens, at once
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
