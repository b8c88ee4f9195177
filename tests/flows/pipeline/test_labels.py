"""An encoder that learns from labels, from folders named after them to a search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from encoders.base import EncoderError
from flows.config.settings import SettingsError
from flows.output.progress import Silent
from flows.pipeline.fit import fit
from flows.pipeline.learning import ALL
from flows.searching.search import search
from tests.flows.shop import Heard

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.project import Project

KINDS = ("fall", "lean", "rise", "stand")
EACH = 10


def striped(path: Path, kind: int, seed: int) -> None:
    """Stripes in a direction of their kind, which begin anywhere."""
    rng = np.random.default_rng([kind, seed])
    y, x = np.mgrid[:16, :16]
    angle = np.pi * kind / len(KINDS)
    along = x * np.cos(angle) + y * np.sin(angle) + rng.uniform(0, 5)
    pixels = 128 + rng.uniform(40, 90) * np.sin(2 * np.pi * along / 5) + rng.normal(0, 9, x.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture
def labelled(project: Project) -> Project:
    """Forty images in folders with the names of their four kinds."""
    for number, kind in enumerate(KINDS):
        for seed in range(EACH):
            striped(project.root / "stripes" / kind / f"{kind}-{seed}.png", number, seed)
    project.source = {
        "kind": "files",
        "path": "stripes/*/*.png",
        "pattern": "{label}/{name}.png",
        "id": "{name}",
    }
    project.encoder = {
        "kind": "siamese",
        "label": "label",
        "size": 16,
        "channels": 16,
        "dim": 8,
        "epochs": 40,
        "patience": 40,
        "rate": 0.003,
        "device": "cpu",
    }
    return project


def test_labels_go_from_folders_into_what_is_near(labelled: Project) -> None:
    told = Heard()
    fit(labelled.settings(), "notes", ALL, told)
    assert any("learned: " in note and "held out auc" in note for note in told.notes)
    assert labelled.run().rows == len(KINDS) * EACH
    right = []
    for number, kind in enumerate(KINDS):
        new = labelled.root / "new.png"
        striped(new, number, 99)
        hits = search(labelled.settings(), "notes", "image", str(new), 5)
        right += [label == kind for label in hits["label"].to_pylist()]
    assert np.mean(right) > 0.6  # by chance a quarter would be


def test_a_run_learns_by_itself_where_nobody_has(labelled: Project) -> None:
    outcome = labelled.run()
    assert (outcome.rows, outcome.counts.encoded) == (len(KINDS) * EACH,) * 2
    assert labelled.versions()[0].state is not None


def test_a_label_that_changes_alone_encodes_nothing(labelled: Project) -> None:
    first = labelled.run()
    before = labelled.rows()["rise-3"]
    folder = labelled.root / "stripes"
    (folder / "rise" / "rise-3.png").rename(folder / "fall" / "rise-3.png")
    again = labelled.run()
    assert (again.counts.encoded, again.counts.updated) == (0, 1)
    assert again.version == first.version
    after = labelled.rows()["rise-3"]
    assert (before["label"], after["label"]) == ("rise", "fall")
    np.testing.assert_array_equal(after["vector"], before["vector"])


def test_labels_that_the_source_does_not_keep_are_asked_for(labelled: Project) -> None:
    labelled.encoder["label"] = "lable"
    with pytest.raises(
        SettingsError, match=r"learns from the labels in 'lable', .*pattern; did you mean 'label'\?"
    ):
        labelled.run()
    del labelled.source["pattern"], labelled.source["id"]
    with pytest.raises(SettingsError, match=r"'lable', which the source 'notes' does not keep.*"):
        fit(labelled.settings(), "notes", ALL, Silent())


def test_too_few_labels_are_an_error_that_says_so(labelled: Project) -> None:
    labelled.source["path"] = "stripes/rise/*.png"
    with pytest.raises(EncoderError, match=r"needs 2 classes or more with 2 images each"):
        labelled.run()
