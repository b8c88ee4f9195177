"""Mistakes in a configuration end with the code of usage, not with that of a failed run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from flows.cli import run_command
from flows.engines.engine import Direct
from flows.output.codes import FAILED, USAGE
from flows.output.progress import Silent
from flows.pipeline import stages as pipeline

if TYPE_CHECKING:
    from tests.flows.project import Project

FILES = {"kind": "files", "path": "*.csv"}


@pytest.mark.parametrize(
    ("source", "encoder", "told"),
    [
        (FILES, {"kind": "vision", "model": "resnet51"}, "did you mean 'resnet50'"),
        (FILES, {"kind": "vision", "model": "resnet18", "weights": "gone.pth"}, "neither a file"),
        (FILES, {"kind": "vision", "model": "kmeans", "layer": "fc"}, "is a parameter of"),
        ({}, {"kind": "sentence", "model": "./gone"}, "neither a folder here nor a name"),
        ({}, {"kind": "sentence", "model": "a/b", "trust_remote_code": True}, "the full commit"),
        ({"content": "nothing"}, {}, "nothing"),
    ],
)
def test_a_mistake_is_told_with_the_code_of_usage(
    project: Project,
    source: dict[str, Any],
    encoder: dict[str, Any],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project.source, project.encoder = source, encoder
    project.write([(1, "text", "x")])
    project.settings()
    conf = str(project.root / "vecmill.toml")
    assert run_command(["run", "--direct", "--conf", conf]) == USAGE
    assert told in capsys.readouterr().err


def test_a_run_that_fails_has_the_other_code(project: Project) -> None:
    project.write([(1, "text", "x")])
    project.encoder = {"breach": "rows"}
    project.settings()
    conf = str(project.root / "vecmill.toml")
    assert run_command(["run", "--direct", "--conf", conf]) == FAILED


class Listening(Silent):
    """Keeps what a person would be told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


def test_a_refit_of_what_does_not_learn_is_told(project: Project) -> None:
    project.write([(1, "text", "x")])
    listener = Listening()
    pipeline.embed(project.settings(), "notes", Direct(), listener, refit=True)
    assert "notes: there is nothing to refit: the encoder 'mill'" in listener.notes[0]
