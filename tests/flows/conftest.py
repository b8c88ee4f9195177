"""A project to run, with the tests' own encoder among the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.flows.project import Project
    from tests.flows.shop import Shop


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project with nothing in it yet."""
    from flows.pipeline import fitting
    from tests.flows.plugins import installed
    from tests.flows.project import Project

    with installed():
        yield Project(tmp_path)
    fitting.forget()


@pytest.fixture
def shop(project: Project) -> Shop:
    """A feature over two others, with records and no vectors yet."""
    from tests.flows.shop import NOTES, PHOTOS, Shop

    shop = Shop(project.root)
    shop.write(NOTES)
    shop.photos(PHOTOS)
    shop.configure()
    return shop
