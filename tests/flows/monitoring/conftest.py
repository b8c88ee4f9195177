"""A project whose canaries are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.flows.project import Project


@pytest.fixture
def watched(project: Project) -> Project:
    project.feature = {"monitors": ["drift", "encoder"]}
    return project
