"""Image files through a cold run, and through a script that takes a batch at a time."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench._arms import costs, interleaved, ratio, run
from tests.bench._targets import Measure
from tests.bench._texts import cold, cosine, rate, vectors

if TYPE_CHECKING:
    import argparse

CONF = """
[sources.photos]
kind = "files"
path = "photos/*"

[encoders.network]
kind = "vision"
model = "{network}"
weights = "{network}.safetensors"

[features.photos]
source = "photos"
encoder = "network"
"""
_DRAW = """
import sys, torch
from safetensors.torch import save_file
from torchvision import models
torch.manual_seed(0)
save_file(models.get_model(sys.argv[1], weights=None).state_dict(), sys.argv[2])
"""


def measure(data: Path, scratch: Path, asked: argparse.Namespace) -> list[Measure]:
    """The rate of a cold run as a multiple of the script's."""
    _copy(data / "image" / asked.files, scratch / "photos", asked.images)
    weights = scratch / f"{asked.network}.safetensors"
    # Random weights cost what trained ones do.
    run("-c", _DRAW, asked.network, weights, scratch=scratch)
    (scratch / "conf").mkdir()
    conf = scratch / "conf/base.toml"
    conf.write_text(CONF.format(network=asked.network))
    bare = partial(run, "-m", "tests.bench._bare", "images", scratch / "photos", weights)
    arms = {
        "bare loop": partial(bare, scratch / "bare.npz", scratch=scratch),
        "ours": partial(cold, conf, "photos", scratch),
    }
    found = interleaved(arms, asked.turns)
    loop, ours = found.values()
    more = {"images": asked.images, "network": asked.network, "costs": costs(found)}
    name = f"{asked.files}, {asked.network}"
    published = {Path(name).name: row for name, row in vectors(conf, "photos").items()}
    close = cosine(scratch / "bare.npz", published)
    return [
        *(
            Measure(f"images, {name}: rate by {cost}", rate(loop, ours, cost), least=1.5, more=more)
            for cost in ("cpu", "wall")
        ),
        Measure(
            f"images, {name}: CPU of whole processes, theirs over ours", ratio(loop, ours, "cpu")
        ),
        Measure(f"images, {name}: least cosine to the loop's", close, least=0.9999),
    ]


def _copy(source: Path, target: Path, most: int) -> None:
    """Images in one folder, each by a name of its own."""
    target.mkdir()
    files = sorted(
        path for path in source.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"}
    )
    every = max(1, len(files) // most)
    for number, file in enumerate(files[::every][:most]):
        shutil.copy(file, target / f"{number:05d}.jpg")
