"""A small VGGish with weights drawn from a fixed seed, in the layouts of the published one."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

Arrays: TypeAlias = "dict[str, NDArray[np.float32]]"

WIDTH = 12
CONVOLUTIONS = (
    "conv1",
    "conv2",
    "conv3/conv3_1",
    "conv3/conv3_2",
    "conv4/conv4_1",
    "conv4/conv4_2",
)
DENSE = ("fc1/fc1_1", "fc1/fc1_2", "fc2")
_CHANNELS = (1, 4, 6, 8, 8, 10, 10)
_UNITS = (6 * 4 * 10, 24, 16, WIDTH)
_TORCH = dict(
    zip(
        (*CONVOLUTIONS, *DENSE),
        (*(f"features.{n}" for n in (0, 3, 6, 8, 11, 13)), *(f"embeddings.{n}" for n in (0, 2, 4))),
        strict=True,
    )
)


def drawn(seed: int = 7) -> Arrays:
    """By the names of AudioSet's checkpoint, axes as TensorFlow has them."""
    rng = np.random.default_rng(seed)
    shapes: list[tuple[int, ...]] = [(3, 3, *pair) for pair in pairwise(_CHANNELS)]
    shapes += list(pairwise(_UNITS))
    made: Arrays = {}
    for name, shape in zip((*CONVOLUTIONS, *DENSE), shapes, strict=True):
        scale = np.sqrt(2 / np.prod(shape[:-1]))
        made[f"vggish/{name}/weights"] = (rng.standard_normal(shape) * scale).astype(np.float32)
        made[f"vggish/{name}/biases"] = rng.normal(0, 0.1, shape[-1]).astype(np.float32)
    return made


def as_torch(weights: Arrays) -> Arrays:
    """By the names of torchvggish, axes as torch has them."""
    made: Arrays = {}
    for name, theirs in _TORCH.items():
        weight = weights[f"vggish/{name}/weights"]
        turned = weight.transpose(3, 2, 0, 1) if weight.ndim == 4 else weight.T
        made[f"{theirs}.weight"] = np.ascontiguousarray(turned)
        made[f"{theirs}.bias"] = weights[f"vggish/{name}/biases"]
    return made


def components(seed: int = 8) -> Arrays:
    """The whitening, by AudioSet's names; means as a column, as its file has them."""
    rng = np.random.default_rng(seed)
    return {
        "pca_eigen_vectors": rng.standard_normal((WIDTH, WIDTH)).astype(np.float32),
        "pca_means": rng.standard_normal((WIDTH, 1)).astype(np.float32),
    }


def save(folder: Path) -> None:
    """AudioSet's two files, the checkpoint as .npz."""
    np.savez(folder / "vggish.npz", allow_pickle=False, **drawn())
    np.savez(folder / "vggish_pca_params.npz", allow_pickle=False, **components())
