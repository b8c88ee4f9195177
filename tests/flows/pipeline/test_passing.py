"""Failures that pass: they cost a run or a record its turn, and nothing after that."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from flows.config.stores import Stores
from flows.engines.engine import Direct
from flows.output.progress import Silent
from flows.pipeline import stages as pipeline
from flows.pipeline.retries import passes
from tests.flows.interruptions import Interruption, Stopping

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from flows.engines.engine import Job
    from flows.output.progress import Reporter
    from flows.pipeline.encode import Receipt
    from tests.flows.project import Project

GOOD = (("a", "wheel", "x"), ("b", "grain", "y"), ("c", "flour", "z"))


class Meddling(Direct):
    """Does something to the world between plan and encode."""

    def __init__(self, meddle: Callable[[], object]) -> None:
        super().__init__()
        object.__setattr__(self, "meddle", meddle)

    def encode(self, job: Job, shards: Sequence[Path], reporter: Reporter) -> list[Receipt]:
        self.__dict__["meddle"]()
        return super().encode(job, shards, reporter)


@pytest.mark.parametrize("kind", [OSError, RuntimeError])
def test_a_commit_that_lost_a_race_is_tried_again(kind: type[Exception]) -> None:
    assert passes(kind("Retryable commit conflict for version 4: this Append lost to a Delete"))
    assert not passes(kind("Append with different schema"))


@pytest.fixture
def pictures(project: Project) -> Path:
    """Three photographs, two of them the same."""
    folder = project.root / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        pixels = rng.integers(0, 255, (16, 16, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    shutil.copy(folder / "two.png", folder / "two_again.png")
    project.source = {"kind": "files", "path": "pictures/*.png"}
    project.encoder = {"kind": "vision", "centroids": 8, "size": 16}
    return folder


def test_a_file_that_is_away_for_a_moment_is_taken_by_the_next_run(
    project: Project, pictures: Path
) -> None:
    away = project.root / "away.png"
    first = project.run(Meddling(lambda: (pictures / "one.png").rename(away)))
    assert (first.counts.encoded, first.counts.dead) == (1, 1)
    away.rename(pictures / "one.png")
    second = project.run()
    assert (second.counts.new, second.counts.encoded, second.counts.dead) == (1, 1, 0)
    assert sorted(project.rows()) == ["one.png", "two.png", "two_again.png"]


def test_a_file_that_changes_meanwhile_does_not_take_its_twin_along(
    project: Project, pictures: Path
) -> None:
    project.run(Meddling(lambda: shutil.copy(pictures / "one.png", pictures / "two.png")))
    assert project.run().counts.dead == 0
    assert sorted(project.rows()) == ["one.png", "two.png", "two_again.png"]
    assert project.dead() == {}


def test_an_encoders_cut_connection_fails_the_run_and_condemns_no_record(project: Project) -> None:
    project.write(GOOD)
    project.encoder = {"breach": "outage"}
    with pytest.raises(ConnectionError, match="hung up"):
        project.run()
    assert (project.runs()[-1]["status"], project.dead()) == ("failed", {})
    project.encoder = {}
    assert project.run().counts.encoded == 3


def test_a_run_that_was_published_is_not_called_failed(project: Project) -> None:
    project.write(GOOD)
    with pytest.raises(Interruption):
        project.run(Stopping(point="publish"))
    assert project.runs()[-1]["status"] == "done"
    assert len(project.rows()) == 3


def test_a_content_that_is_staged_twice_is_written_once(project: Project) -> None:
    project.write([(n, f"text {n}", "x") for n in range(12)])
    with pytest.raises(Interruption):
        project.run(Stopping(point="encode"))
    staging = Stores.of(project.settings()).staging
    (run,) = (staging / "notes_v1").iterdir()
    shutil.copytree(run, run.with_name("of-a-task-that-outlived-its-run"))
    outcome = project.run()
    assert (outcome.counts.resumed, outcome.rows) == (12, 12)


class Listening(Silent):
    """Keeps what a person would be told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_nothing_is_removed_while_a_row_might_be_the_record(project: Project) -> None:
    project.write([("x", *row[:1], row[1]) for row in GOOD], header=("label", "id", "text"))
    project.run()
    broken = [("x", "a", "wheel"), ("x", "b"), ("x", "c", "flour")]
    project.write(broken, header=("label", "id", "text"))
    listener = Listening()
    outcome = pipeline.embed(project.settings(), "notes", Direct(), listener)
    assert (outcome.counts.deleted, outcome.counts.dead) == (0, 1)
    assert sorted(project.rows()) == ["a", "b", "c"]
    assert "1 published ids are not in the source" in listener.notes[0]
    project.write([broken[0], broken[2]], header=("label", "id", "text"))
    assert project.run().counts.deleted == 1
    assert sorted(project.rows()) == ["a", "c"]


def test_a_run_of_a_candidate_says_that_readers_do_not_see_it(project: Project) -> None:
    project.write(GOOD)
    project.run()
    project.encoder = {"revision": 2}
    listener = Listening()
    pipeline.embed(project.settings(), "notes", Direct(), listener)
    assert "readers go on seeing v1" in listener.notes[0]
    assert "`vecmill promote notes 2`" in listener.notes[0]
