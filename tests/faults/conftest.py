"""A process that strikes where it is told to, and projects to strike."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flows.pipeline import fitting
from tests.faults.outcome import Twin
from tests.faults.scenes import SCENES
from tests.faults.trials import Trials
from tests.flows.plugins import installed
from tests.flows.project import Project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``shim.c``, compiled; skips where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler `cc` here, which the fault tests need")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run(  # noqa: S603 - our own source
        [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True
    )
    return library


@pytest.fixture(scope="session")
def trials(shim: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    """An interpreter that forks for every trial."""
    found = Trials(shim, tmp_path_factory.mktemp("trials"))
    yield found
    found.close()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with nothing in it yet."""
    with installed():
        yield Project(tmp_path)
    fitting.forget()


@pytest.fixture(scope="session")
def twin_of(trials: Trials, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Twin]:
    """Each scene done undisturbed, once a session."""
    folder = tmp_path_factory.mktemp("scenes")
    made: dict[str, Twin] = {}

    def twin(name: str) -> Twin:
        if name not in made:
            made[name] = Twin.of(trials, SCENES[name], folder)
        return made[name]

    return twin
