"""Siamese: what is learned, from labels and without, and characters of strange alphabets."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from encoders import vision
from encoders._classes import Split
from encoders._metric import distances
from encoders._siamese import begun, project
from encoders._verification import separation
from encoders._views import Bank, Net
from encoders.abilities import Labelled
from encoders.base import EncoderError, State
from encoders.learning import QUIET
from encoders.siamese import Params, Siamese, build
from tests.encoders import samples
from tests.encoders.watching import Told

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def small(**changes: Any) -> Siamese:  # noqa: ANN401 - any parameter
    usual = {"size": 16, "channels": 16, "dim": 8, "epochs": 30, "patience": 30, "rate": 0.003}
    given = {**usual, "device": "cpu", **changes}
    return build(Params(**given))


def stripes(kinds: Sequence[int], each: int, seed: int) -> tuple[list[Image.Image], list[str]]:
    """Stripes of a direction and width a class; place, light and noise are each image's own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    images, labels = [], []
    for kind in kinds:
        angle, wave = np.pi * (kind % 4) / 4, 4 + 2 * (kind // 4)
        for _ in range(each):
            along = x * np.cos(angle) + y * np.sin(angle) + rng.uniform(0, wave)
            grey = rng.uniform(60, 190) + rng.uniform(30, 60) * np.sin(2 * np.pi * along / wave)
            pixels = (grey + rng.normal(0, 15, grey.shape)).clip(0, 255).astype(np.uint8)
            images.append(Image.fromarray(pixels).convert("RGB"))
            labels.append(f"kind {kind}")
    return images, labels


def fitted(encoder: Siamese, *, seed: int = 0, watch: Any = QUIET) -> Siamese:  # noqa: ANN401 - any watch
    images, labels = stripes(range(8), 16, 1)
    encoder.fit_labelled(images, labels, np.random.default_rng(seed), watch)
    return encoder


@pytest.mark.parametrize(
    "changes", [{}, {"loss": "contrastive", "margin": 1.0}, {"normalize": False}]
)
def test_it_learns_what_is_alike(changes: dict[str, Any]) -> None:
    """New images of the same stripes are near, wherever they begin; pixels leave it to chance."""
    import torch

    encoder = fitted(small(label="kind", **changes))
    images, labels = stripes(range(8), 12, 9)
    _, kinds = np.unique(labels, return_inverse=True)
    pixels = torch.tensor(np.stack([np.asarray(i.convert("L")).ravel() for i in images]) / 255)
    found = separation(torch.from_numpy(encoder.encode(images)), kinds)
    assert found > separation(pixels, kinds) + 0.25
    assert found > 0.8


def test_a_fit_that_nearly_collapses_says_so() -> None:
    """Hard triplets at so high a rate draw all vectors together (Hermans et al. 2017)."""
    told = Told()
    figures: Any = fitted(small(label="kind", mining="hard"), watch=told).state().meta["figures"]
    assert figures["spread"] < 0.05
    assert any("nearly collapsed: the held-out vectors vary by" in note for note in told.notes)


def test_it_tells_what_came_of_it() -> None:
    figures: Any = fitted(small(label="kind")).state().meta["figures"]
    assert (figures["classes"], figures["held_out_classes"]) == (6, 2)
    assert figures["held_out_images"] == 32
    assert figures["held_out_auc"] > figures["held_out_auc_before"] + 0.2
    assert figures["spread"] > 0.5
    assert 1 < figures["effective_rank"] <= 8


def test_it_can_learn_without_labels() -> None:
    images, _ = stripes(range(12), 6, 1)
    encoder = small(shift=0.3)
    encoder.fit(images, np.random.default_rng(0))
    figures: Any = encoder.state().meta["figures"]
    assert figures["classes"] == 72 - figures["held_out_classes"]
    assert figures["held_out_images"] == 2 * figures["held_out_classes"]
    assert figures["held_out_auc"] > figures["held_out_auc_before"]
    assert isinstance(encoder, Labelled)
    assert encoder.label is None


def test_a_fit_is_equal_on_any_number_of_threads() -> None:
    import torch

    threads, digests = torch.get_num_threads(), []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            digests.append(fitted(small(label="kind", epochs=3)).recipe()["state"])
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    assert digests[0] == digests[1]
    assert digests[0] != fitted(small(label="kind", epochs=3), seed=1).recipe()["state"]


def test_labels_must_come_where_they_are_asked_for() -> None:
    images = samples.usual("image")
    with pytest.raises(EncoderError, match=r"label = 'kind' asks to learn from labels.*fit_label"):
        small(label="kind").fit(images, np.random.default_rng(0))
    with pytest.raises(EncoderError, match="got 1 labels for 48 images"):
        small(label="kind").fit_labelled(images, ["a"], np.random.default_rng(0))
    with pytest.raises(EncoderError, match="needs 8 images or more, got 7"):
        small().fit(images[:7], np.random.default_rng(0))


def test_grey_leaves_colours_out() -> None:
    encoder = fitted(small(label="kind", grey=True, epochs=1))
    plain = [Image.new("RGB", (20, 20), colour) for colour in ("red", (76, 76, 76))]
    red, grey = encoder.encode(plain)
    np.testing.assert_allclose(red, grey, atol=1e-5)


def test_the_state_of_other_parameters_is_refused() -> None:
    state = fitted(small(label="kind", epochs=1)).state()
    with pytest.raises(EncoderError, match=r"with these parameters: .*got \(\d+,.*fit again"):
        small(channels=8).restore(state)
    with pytest.raises(EncoderError, match="kind siamese: got None with arrays"):
        small().restore(State({}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 15}, "size must be 16 or more"),
        ({"channels": 0}, "channels must be 1 or more"),
        ({"dim": 0}, "dim must be 1 or more"),
        ({"classes": 1}, "classes must be 2 or more"),
        ({"loss": "softmax"}, "loss must be one of triplet, contrastive, got 'softmax'"),
        ({"mining": "easy"}, "mining must be one of semi_hard, hard, got 'easy'"),
        ({"margin": 0.0}, "margin must be positive"),
        ({"margin": 2.0}, r"margin must be below 2.*set normalize = false"),
        ({"held_out": 0.6}, "held_out must be above 0 and at most 0.5"),
        ({"rate": 0.0}, "rate must be positive"),
        ({"zoom": 1.5}, "zoom must be from 0 to 0.9"),
        (
            {"rotate": 0.0, "shear": 0.0, "shift": 0.0, "zoom": 0.0, "brightness": 0.0},
            "without a label views of an image are all there is",
        ),
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Params(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "DEFAULT"}, r"weights = 'DEFAULT' is a parameter of torchvision's networks"),
        ({"train_backbone": True}, r"train_backbone = True is a parameter of torchvision's"),
        ({"backbone": "resnet18", "size": 32}, r"size = 32 is a parameter of backbone = 'conv4'"),
        ({"backbone": "resnet5"}, r"no vision model is called 'resnet5'"),
        ({"backbone": "fcn_resnet50", "weights": "DEFAULT"}, "segments|could not be fetched"),
    ],
)
@pytest.mark.usefixtures("no_network")
def test_parameters_that_clash_are_refused(
    changes: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(EncoderError, match=message):
        build(Params(**changes))


def test_what_was_learned_before_is_begun_with() -> None:
    """As wide as the features a first layer is but a turn of them: all distances stay."""
    import torch

    rows = torch.randn(40, 6, generator=torch.Generator().manual_seed(3)) * torch.arange(1, 7)
    bank = Bank(Net({}, torch.Tensor.clone), rows, rows[None, None])
    parts = Split([np.arange(40)], [], by_class=True)
    head = begun(bank, parts, 6, np.random.default_rng(0))
    found = distances(project(head, rows, normalize=False))
    np.testing.assert_allclose(found, distances(rows / rows.std(0, correction=0)), atol=1e-2)
    wider = begun(bank, parts, 9, np.random.default_rng(0))
    assert wider["head"].shape == (6, 9)


@pytest.mark.slow
@pytest.mark.parametrize("learns", [False, True])
def test_a_network_of_torchvision_stays_or_learns_on(weights: Path, *, learns: bool) -> None:
    given: dict[str, Any] = {
        "backbone": "squeezenet1_1",
        "weights": str(weights / "squeezenet1_1.safetensors"),
        "train_backbone": learns,
        "label": "kind",
        "dim": 8,
        "epochs": 1,
        "classes": 4,
        "images": 2,
        "rate": 1e-4,
        "device": "cpu",
    }
    images, labels = stripes(range(4), 4, 1)
    encoder, again, other = (build(Params(**given)) for _ in range(3))
    for each in (encoder, again):
        each.fit_labelled(images, labels, np.random.default_rng(0))
    assert encoder.recipe() == again.recipe()
    arrays = encoder.state().arrays
    assert any(name.startswith("backbone.") for name in arrays) == learns
    other.restore(encoder.state())
    found = encoder.encode(images)
    np.testing.assert_array_equal(other.encode(images), found)
    assert found.shape == (16, 8)
    apart = build(Params(**given | {"train_backbone": not learns}))
    with pytest.raises(EncoderError, match="of kind siamese with these parameters"):
        apart.restore(encoder.state())


def characters(data: Path, alphabet: str) -> tuple[list[Image.Image], NDArray[Any], NDArray[Any]]:
    """All drawings of an alphabet of Omniglot: images, their characters, who drew them."""
    images, names, drawers = [], [], []
    with zipfile.ZipFile(data / "image" / "omniglot" / "images_background_small1.zip") as file:
        for name in sorted(file.namelist()):
            parts = name.split("/")
            if parts[1] == alphabet and name.endswith(".png"):
                images.append(Image.open(io.BytesIO(file.read(name))).convert("RGB"))
                names.append(f"{alphabet}/{parts[2]}")
                drawers.append(parts[3][5:7])
    return images, np.array(names), np.array(drawers)


def one_shot(
    vectors: NDArray[np.float32], names: NDArray[Any], drawers: NDArray[Any], trials: int = 40
) -> float:
    """Lake et al. 2015: of 20 characters of one drawer, which is that of another drawer?"""
    rng, right = np.random.default_rng(1), []
    for _ in range(trials):
        chosen = rng.choice(np.unique(names), 20, replace=False)
        two = rng.choice(np.unique(drawers), 2, replace=False)
        known, asked = (
            np.array([np.flatnonzero((names == n) & (drawers == who))[0] for n in chosen])
            for who in two
        )
        away = np.linalg.norm(vectors[asked][:, None] - vectors[known][None], axis=2)
        right.append((away.argmin(1) == np.arange(20)).mean())
    return float(np.mean(right))


@pytest.mark.realdata
@pytest.mark.slow
def test_characters_of_strange_alphabets_are_known_by_one_drawing(data: Path) -> None:
    images, labels = [], []
    for alphabet in ("Balinese", "Greek", "Korean"):
        drawings, names, _ = characters(data, alphabet)
        images += drawings
        labels += names.tolist()
    views: dict[str, Any] = {"rotate": 15.0, "shear": 20.0, "zoom": 0.25, "turns": True}
    encoder = build(Params(label="character", grey=True, epochs=8, device="cpu", **views))
    encoder.fit_labelled(images, labels, np.random.default_rng(0))
    patches = vision.build(vision.Params(normalize=True))
    assert isinstance(patches, vision.PatchEncoder)
    patches.fit(images, np.random.default_rng(0))
    for alphabet in ("Early_Aramaic", "Latin"):
        drawings, names, drawers = characters(data, alphabet)
        grey = [np.asarray(i.convert("L").resize((28, 28)), np.float32).ravel() for i in drawings]
        found, pixels, kmeans = (
            one_shot(vectors, names, drawers)
            for vectors in (encoder.encode(drawings), np.stack(grey), patches.encode(drawings))
        )
        assert found > pixels + 0.3
        assert found > kmeans + 0.1
        assert found > 0.6
