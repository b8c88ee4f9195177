"""A tiny ELMo in the published format: options.json, and HDF5 as bilm-tf names its datasets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

OPTIONS: dict[str, Any] = {
    "lstm": {
        "use_skip_connections": True,
        "projection_dim": 6,
        "cell_clip": 0.4,
        "proj_clip": 0.5,
        "dim": 10,
        "n_layers": 2,
    },
    "char_cnn": {
        "activation": "relu",
        "filters": [[1, 4], [2, 4], [3, 5]],
        "n_highway": 2,
        "embedding": {"dim": 4},
        "n_characters": 262,
        "max_characters_per_token": 50,
    },
}
"""As the published ones, with tight clips, so that a test sees whether they are there."""


def datasets(seed: int = 7) -> dict[str, NDArray[np.float32]]:
    """Weights drawn from a fixed seed, under bilm-tf's names and in its shapes."""
    lstm, cnn = OPTIONS["lstm"], OPTIONS["char_cnn"]
    wide, cell, letters = lstm["projection_dim"], lstm["dim"], cnn["embedding"]["dim"]
    many = sum(count for _, count in cnn["filters"])
    shapes: dict[str, tuple[int, ...]] = {"char_embed": (261, letters)}
    for at, (width, count) in enumerate(cnn["filters"]):
        shapes |= {f"CNN/W_cnn_{at}": (1, width, letters, count), f"CNN/b_cnn_{at}": (count,)}
    for at in range(cnn["n_highway"]):
        for part in ("carry", "transform"):
            shapes |= {f"CNN_high_{at}/W_{part}": (many, many), f"CNN_high_{at}/b_{part}": (many,)}
    shapes |= {"CNN_proj/W_proj": (many, wide), "CNN_proj/b_proj": (wide,)}
    for way in (0, 1):
        for layer in range(lstm["n_layers"]):
            place = f"RNN_{way}/RNN/MultiRNNCell/Cell{layer}/LSTMCell"
            shapes |= {f"{place}/W_0": (2 * wide, 4 * cell), f"{place}/B": (4 * cell,)}
            shapes |= {f"{place}/W_P_0": (cell, wide)}
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.6, size).astype(np.float32) for name, size in shapes.items()}


def save(folder: Path) -> None:
    """Write ``options.json`` and ``weights.hdf5``."""
    folder.mkdir(parents=True)
    (folder / "options.json").write_text(json.dumps(OPTIONS))
    with h5py.File(folder / "weights.hdf5", "w") as file:
        for name, array in datasets().items():
            file.create_dataset(name, data=array)
