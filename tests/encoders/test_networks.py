"""Networks of torchvision: each default layer against a forward pass that is written out here."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from encoders.vision import Params, build
from tests.encoders import samples
from tests.encoders.networks import made, network, pixels

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

slow = pytest.mark.slow


def last_pooled(module: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - modules have no typed parts
    """ResNet (He et al. 2016): the last stage, averaged over its places."""
    for part in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4"):
        x = getattr(module, part)(x)
    pooled: Tensor = x.mean((2, 3))
    return pooled


def fc7(module: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - as above
    """VGG and AlexNet: the second layer of 4,096 units, after its ReLU."""
    import torch

    hidden = module.avgpool(module.features(x)).flatten(1)
    linear = [part for part in module.classifier if isinstance(part, torch.nn.Linear)]
    for layer in linear[:2]:
        hidden = torch.relu(layer(hidden))
    found: Tensor = hidden
    return found


def mixed_7c(module: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - as above
    """Inception v3: its last block, averaged, of an input scaled as it was trained on."""
    import torch
    from torchvision.models.feature_extraction import create_feature_extractor

    std, mean = torch.tensor([0.229, 0.224, 0.225]), torch.tensor([0.485, 0.456, 0.406])
    raw = x * std[:, None, None] + mean[:, None, None]
    module.transform_input = False
    nodes = {"Mixed_7c": "out"}
    blocks = create_feature_extractor(module, nodes, suppress_diff_warning=True).eval()
    found: Tensor = blocks((raw - 0.5) / 0.5)["out"].mean((2, 3))
    return found


def features(module: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - as above
    """SqueezeNet: the map before its last convolution, averaged."""
    found: Tensor = module.features(x).mean((2, 3))
    return found


def class_token(module: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - as above
    """ViT (Dosovitskiy et al. 2021): the class token after the last norm."""
    import torch

    patches = module.conv_proj(x).flatten(2).transpose(1, 2)
    tokens = torch.cat([module.class_token.expand(len(x), -1, -1), patches], 1)
    found: Tensor = module.encoder.ln(module.encoder.layers(tokens + module.encoder.pos_embedding))
    return found[:, 0]


@pytest.mark.parametrize(
    ("model", "dim", "side", "forward"),
    [
        ("squeezenet1_1", 512, 224, features),
        ("resnet18", 512, 224, last_pooled),
        pytest.param("resnet50", 2048, 224, last_pooled, marks=slow),
        pytest.param("vgg16", 4096, 224, fc7, marks=slow),
        pytest.param("inception_v3", 2048, 299, mixed_7c, marks=slow),
        pytest.param("alexnet", 4096, 224, fc7, marks=slow),
        pytest.param("vit_b_16", 768, 224, class_token, marks=slow),
    ],
)
def test_default_layers_are_torchvisions_own(
    model: str,
    dim: int,
    side: int,
    forward: Any,  # noqa: ANN401 - one of the above
    tmp_path: Path,
) -> None:
    import torch

    module, images = made(model, tmp_path / "weights.safetensors"), samples.usual("image")[:2]
    encoder = network(model, tmp_path / "weights.safetensors")
    with torch.inference_mode():
        batch = pixels(model, images)
        expected = forward(module, batch).numpy()
    assert batch.shape == (2, 3, side, side)
    assert expected.std(0).max() > 0
    assert encoder.dim == dim
    np.testing.assert_allclose(encoder.encode(images), expected, atol=1e-4 * np.abs(expected).max())


FAMILIES = {
    "alexnet": 4096, "convnext_tiny": 768, "densenet121": 1024, "efficientnet_b0": 1280,
    "efficientnet_v2_s": 1280, "googlenet": 1024, "inception_v3": 2048, "maxvit_t": 512,
    "mnasnet0_5": 1280, "mobilenet_v2": 1280, "mobilenet_v3_small": 1024, "regnet_x_400mf": 400,
    "regnet_y_400mf": 440, "resnet18": 512, "resnext50_32x4d": 2048, "shufflenet_v2_x0_5": 1024,
    "squeezenet1_0": 512, "swin_t": 768, "swin_v2_t": 768, "vgg11": 4096, "vgg11_bn": 4096,
    "vit_b_32": 768, "wide_resnet50_2": 2048,
}  # fmt: skip
"""The smallest of every family that torchvision classifies with, and the width of its vectors."""


def test_no_family_of_torchvision_is_left_out() -> None:
    from torchvision import models

    stems = tuple({name.rstrip("0123456789").split("_")[0][:6] for name in FAMILIES})
    assert [n for n in models.list_models(module=models) if not n.startswith(stems)] == []


@slow
@pytest.mark.parametrize("model", FAMILIES)
def test_every_family_gives_what_its_classes_are_made_of(model: str, tmp_path: Path) -> None:
    import torch

    module, images = made(model, tmp_path / "weights.safetensors"), samples.usual("image")[:2]
    found = network(model, tmp_path / "weights.safetensors").encode(images)
    assert found.shape == (2, FAMILIES[model])
    assert not np.array_equal(found[0], found[1])
    with torch.inference_mode():
        expected = module(pixels(model, images)).numpy()
        heads = [part for part in module.modules() if isinstance(part, torch.nn.Linear)]
        if model.startswith("squeezenet"):  # its classes are maps, averaged after a ReLU
            np.testing.assert_array_less(0, found.max(1))
            return
        given = heads[-1](torch.from_numpy(found)).numpy()
    np.testing.assert_allclose(given, expected, atol=2e-4 * np.abs(expected).max())


@slow
@pytest.mark.parametrize(
    ("model", "layer", "width"),
    [
        ("swin_t", "features.3", 192),
        ("vit_b_32", "encoder.ln", 768),
        ("convnext_tiny", "features.5", 384),
        ("densenet121", "features.denseblock2", 512),
        ("mobilenet_v3_small", "features.3", 24),
        ("resnet18", "layer3", 256),
    ],
)
def test_any_layer_can_be_named(model: str, layer: str, width: int, tmp_path: Path) -> None:
    made(model, tmp_path / "weights.safetensors")
    assert network(model, tmp_path / "weights.safetensors", layer=layer).dim == width


@pytest.mark.parametrize(
    ("model", "dim", "depth"),
    [
        ("lraspp_mobilenet_v3_large", 960, "high"),
        pytest.param("deeplabv3_mobilenet_v3_large", 960, "out", marks=slow),
        pytest.param("fcn_resnet50", 2048, "out", marks=slow),
        pytest.param("deeplabv3_resnet50", 2048, "out", marks=slow),
    ],
)
def test_segmentation_models_give_the_mean_of_their_backbones_map(
    model: str, dim: int, depth: str, tmp_path: Path
) -> None:
    import torch

    file, images = tmp_path / "weights.safetensors", samples.usual("image")[:40:39]
    module, encoder = made(model, file), network(model, file)
    with torch.inference_mode():
        shapes = [pixels(model, [image]) for image in images]
        expected = np.concatenate(
            [module.get_submodule("backbone")(x)[depth].mean((2, 3)).numpy() for x in shapes]
        )
    assert len({x.shape for x in shapes}) == 2, "pixels of one shape do not show what is meant"
    assert encoder.dim == dim
    np.testing.assert_allclose(encoder.encode(images), expected, atol=1e-4 * np.abs(expected).max())


def test_images_of_many_shapes_are_segmented_alike_together_and_alone(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    made("lraspp_mobilenet_v3_large", file)
    encoder = network("lraspp_mobilenet_v3_large", file, batch_size=3)
    images = [Image.new("RGB", (40, 40), "red"), *samples.usual("image")[:3:2]]
    images += [Image.new("RGB", (1, 300), "blue"), Image.new("RGB", (1, 1)), images[1]]
    together = encoder.encode(images)
    alone = np.concatenate([encoder.encode([image]) for image in images])
    assert np.isfinite(together).all()
    np.testing.assert_allclose(together, alone, atol=1e-4 * np.abs(alone).max())
    np.testing.assert_allclose(together[1], together[5], atol=1e-4 * np.abs(alone).max())


def test_channels_of_a_segmentation_map_are_not_taken_for_places(tmp_path: Path) -> None:
    """A map of 72 channels, 72 high and 65 wide, looks like one with its channels last."""
    import torch

    file = tmp_path / "weights.safetensors"
    module = made("lraspp_mobilenet_v3_large", file)
    image = samples.usual("image")[3].resize((520, 576))
    seen: list[Tensor] = []
    layer = "backbone.4.block.1"
    module.get_submodule(layer).register_forward_hook(lambda _m, _i, out: seen.append(out))
    with torch.inference_mode():
        module(pixels("lraspp_mobilenet_v3_large", [image]))
    assert seen[0].shape == (1, 72, 72, 65)
    found = network("lraspp_mobilenet_v3_large", file, layer=layer).encode([image])
    np.testing.assert_allclose(found, seen[0].mean((2, 3)).numpy(), atol=1e-5)


@pytest.mark.parametrize("model", ["inception_v3", "googlenet"])
@slow
def test_training_heads_are_read_or_done_without(model: str, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    whole, bare = tmp_path / "whole.safetensors", tmp_path / "bare.safetensors"
    made(model, whole)
    state = load_file(whole)
    kept = {k: v for k, v in state.items() if not k.lower().startswith("aux")}
    assert len(kept) < len(state)
    save_file(kept, bare)
    images = samples.usual("image")[:2]
    with_heads, without = (network(model, file).encode(images) for file in (whole, bare))
    np.testing.assert_allclose(with_heads, without, atol=1e-5 * np.abs(without).max())


def test_published_weights_are_found_in_torchs_cache(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the name that torchvision gives the file, so that no network is asked."""
    import torch
    from safetensors.torch import load_file

    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    state = load_file(weights / "squeezenet1_1.safetensors")
    torch.save(state, checkpoints / "squeezenet1_1-b8a52dc0.pth")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    expected = network("squeezenet1_1", weights / "squeezenet1_1.safetensors")
    for name in (None, "DEFAULT", "IMAGENET1K_V1"):
        found: Any = build(Params(model="squeezenet1_1", weights=name))
        assert found.recipe() == expected.recipe()


def test_a_file_of_ones_own_is_taken_if_it_is_the_one_meant(weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.safetensors"
    shutil.copy(weights / "squeezenet1_1.safetensors", file)
    pinned = hashlib.sha256(file.read_bytes()).hexdigest()
    encoder = network("squeezenet1_1", file, weights_sha256=pinned)
    assert encoder.recipe() == network("squeezenet1_1", file).recipe()
