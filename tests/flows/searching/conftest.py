"""A gallery that was run once, and copies of it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.flows.commands.commanding import Answer
    from tests.flows.searching.gallery import Gallery


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    """A gallery by a model that has learned nothing, run once."""
    from flows.cli import run_command
    from flows.pipeline import fitting
    from tests.encoders.bridges import save_clip
    from tests.encoders.conftest import save_sentence_model
    from tests.flows.searching.gallery import Gallery
    from tests.flows.shapes import COLOURS, FIGURES

    gallery = Gallery(tmp_path_factory.mktemp("drawn") / "gallery", takes=1)
    save_clip(gallery.root / "clip", [*COLOURS, *FIGURES])
    save_sentence_model(gallery.root / "sentence")
    assert run_command(["run", "--direct", "--conf", str(gallery.conf)]) == 0
    yield gallery
    fitting.forget()


@pytest.fixture
def gallery(made: Gallery) -> Gallery:
    """The gallery as it is configured at first."""
    made.configure()
    return made


@pytest.fixture
def own(made: Gallery, tmp_path: Path) -> Gallery:
    """A copy of the gallery that a test may change."""
    from tests.flows.searching.gallery import Gallery

    made.configure()
    shutil.copytree(made.root, tmp_path / "own")
    copy = object.__new__(Gallery)
    copy.root, copy.conf = tmp_path / "own", tmp_path / "own" / "vecmill.toml"
    return copy


@pytest.fixture
def vecmill(capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run a command on a gallery."""
    from flows.cli import run_command
    from tests.flows.commands.commanding import Answer

    def call(gallery: Gallery, *arguments: str) -> Answer:
        capfd.readouterr()
        code = run_command([*arguments, "--conf", str(gallery.conf)])
        got = capfd.readouterr()
        return Answer(code, got.out, " ".join(got.err.split()))

    return call
