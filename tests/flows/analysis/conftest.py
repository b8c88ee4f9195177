"""Projects that have run: texts of three topics, and smaller vectors of texts."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.flows.project import Project


@pytest.fixture
def topics(project: Project) -> Project:
    """Ninety texts of three topics, encoded."""
    from tests.flows.topics import texts, topical

    topical(project, texts(90))
    project.run()
    return project


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A feature of texts, and four of smaller vectors of it."""
    from tests.flows.analysis.reducing import REDUCED, configure, texts
    from tests.flows.plugins import installed
    from tests.flows.project import Project

    with installed():
        project = Project(tmp_path_factory.mktemp("reduced"))
        project.write(texts())
        configure(project)
        for name in ("notes", *REDUCED):
            project.run(name=name)
    return project


@pytest.fixture
def notes(project: Project, built: Project) -> Project:
    """A copy of that, to do with as one likes."""
    from tests.flows.analysis.reducing import configure

    shutil.copytree(built.root, project.root, dirs_exist_ok=True)
    configure(project)
    return project
