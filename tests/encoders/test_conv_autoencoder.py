"""The convolutional autoencoder: what comes back, and whether it is worth more than linear maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from encoders._autoencoder import Sizes, error_of_pca
from encoders.base import EncoderError, State
from encoders.conv_autoencoder import ConvAutoencoder, Params, build
from encoders.learning import QUIET
from tests.encoders import samples
from tests.encoders.watching import Told

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def small(**changes: Any) -> ConvAutoencoder:  # noqa: ANN401 - any parameter
    usual = {"size": 16, "channels": 8, "dim": 6, "epochs": 40, "patience": 40, "rate": 0.004}
    return build(Params(**{**usual, "device": "cpu", **changes}))


def discs(count: int, seed: int) -> list[Image.Image]:
    """A disc of any colour anywhere: six numbers make it, but none of its pixels linearly."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    images = []
    for _ in range(count):
        (down, right), radius = rng.uniform(4, 12, 2), rng.uniform(2, 4)
        inside = np.hypot(y - down, x - right) < radius
        pixels = np.where(inside[..., None], rng.integers(80, 256, 3), 20)
        images.append(Image.fromarray(pixels.astype(np.uint8)))
    return images


def learned(encoder: ConvAutoencoder, *, watch: Any = QUIET, seed: int = 0) -> ConvAutoencoder:  # noqa: ANN401 - any watch
    encoder.fit(discs(300, 1), np.random.default_rng(seed), watch)
    return encoder


def stacked(images: list[Image.Image]) -> NDArray[np.float32]:
    return np.stack([np.asarray(image, np.float32) for image in images])


def error(found: NDArray[Any], images: list[Image.Image]) -> float:
    return float(((found - stacked(images)) ** 2).mean())


def test_what_is_not_linear_comes_back_better_than_by_principal_components() -> None:
    from sklearn.decomposition import PCA

    train, test = discs(300, 1), discs(100, 2)
    encoder, told = small(), Told()
    learned(encoder, watch=told)
    rows = stacked(train).reshape(300, -1)
    pca = PCA(6).fit(rows)
    linear = pca.inverse_transform(pca.transform(stacked(test).reshape(100, -1)))
    back = error(encoder.reconstruct(test), test)
    assert back < 0.9 * error(linear.reshape(100, 16, 16, 3), test)
    assert back < 0.5 * error(rows.mean(0).reshape(16, 16, 3), test)
    figures: Any = encoder.state().meta["figures"]
    assert figures["held_out_error"] < figures["held_out_error_of_pca"] < 1
    assert (figures["images"], figures["held_out_images"]) == (270, 30)
    assert not [note for note in told.notes if "come back with" in note]


def test_a_fit_that_is_worth_no_more_says_so() -> None:
    told = Told()
    learned(small(epochs=1, rate=1e-6), watch=told)
    assert any("next to nothing was learned" in note for note in told.notes)
    told = Told()
    learned(small(epochs=3), watch=told)
    assert any("as many principal components" in note for note in told.notes)


@pytest.mark.parametrize(("images", "dim"), [(40, 5), (300, 5), (40, 60)])
def test_the_error_of_principal_components_is_theirs(images: int, dim: int) -> None:
    import torch
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(3)
    mixed = rng.normal(size=(images + 20, 9)) @ rng.normal(size=(9, 192))
    rows = (mixed + 0.3 * rng.normal(size=mixed.shape)).astype(np.float32)
    train, held = (torch.from_numpy(part).view(-1, 3, 8, 8) for part in (rows[20:], rows[:20]))
    pca = PCA(min(dim, images - 1)).fit(rows[20:])
    expected = ((pca.inverse_transform(pca.transform(rows[:20])) - rows[:20]) ** 2).mean()
    assert error_of_pca(train, held, dim) == pytest.approx(float(expected), rel=1e-3)


def test_vectors_are_standardised_by_the_sample() -> None:
    encoder = learned(small(epochs=4, held_out=0.01))
    found = encoder.encode(discs(300, 1))
    np.testing.assert_allclose(found.mean(0), 0, atol=0.05)
    np.testing.assert_allclose(found.std(0), 1, atol=0.05)


def test_vectors_have_norm_one_when_asked() -> None:
    found = learned(small(epochs=1, normalize=True)).encode(discs(9, 4))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_a_fit_is_equal_on_any_number_of_threads() -> None:
    import torch

    threads, digests = torch.get_num_threads(), []
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            digests.append(learned(small(epochs=2)).recipe()["state"])
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    assert digests[0] == digests[1]
    assert digests[0] != learned(small(epochs=2), seed=1).recipe()["state"]


def test_images_that_are_all_one_are_borne() -> None:
    encoder = small(epochs=2)
    encoder.fit([Image.new("RGB", (9, 9), "red")] * 12, np.random.default_rng(0))
    assert np.isfinite(encoder.encode(samples.odd("image"))).all()
    assert encoder.reconstruct([]).shape == (0, 16, 16, 3)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(EncoderError, match="needs 10 images or more to learn from, got 9"):
        small().fit(samples.usual("image")[:9], np.random.default_rng(0))


def test_the_state_of_other_parameters_is_refused() -> None:
    state = learned(small(epochs=1)).state()
    with pytest.raises(EncoderError, match=r"these parameters: centre: got \(6,\), expected \(7,"):
        small(dim=7).restore(state)
    with pytest.raises(EncoderError, match="kind conv_autoencoder: got None with arrays"):
        small().restore(State({}))


def test_every_weight_has_its_place() -> None:
    shapes = Sizes(32, 16, 10).shapes()
    assert shapes["down_2"] == (*shapes["up_2"][1::-1], 3, 3) == (64, 32, 3, 3)
    assert shapes["narrow"] == shapes["widen"][::-1] == (64 * 4 * 4, 10)
    assert shapes["up_0"] == (16, 16, 3, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 20}, "size must be a multiple of 8.*got 20"),
        ({"size": 0}, "size must be a multiple of 8.*got 0"),
        ({"dim": 0}, "dim must be 1 or more, got 0"),
        ({"noise": -0.1}, "noise must be from 0 to 2"),
        ({"held_out": 0.0}, "held_out must be above 0"),
        ({"rate": -1.0}, "rate must be positive"),
        ({"decay": float("nan")}, "decay not negative"),
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Params(**changes)


@pytest.mark.realdata
@pytest.mark.slow
def test_photographs_come_back(data: Path) -> None:
    train, test = (photographs(data, split) for split in ("train", "test"))
    encoder = build(Params(epochs=8, device="cpu"))
    encoder.fit(train, np.random.default_rng(0))
    mean = error(stacked(train).mean(0), test)
    assert error(encoder.reconstruct(test), test) < 0.4 * mean


def photographs(data: Path, split: str) -> list[Image.Image]:
    images = []
    for file in sorted((data / "image" / "cifar10" / split).glob("*/*.jpg")):
        with Image.open(file) as image:
            images.append(image.convert("RGB"))
    return images
