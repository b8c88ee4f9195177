"""One store and one server for all tests that only look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.flows.ui.served import Served


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server over a store that has something of everything; nobody changes it."""
    from tests.flows.ui.served import filled, serve

    found = serve(filled(tmp_path_factory.mktemp("shown")))
    yield found
    found.process.terminate()
    found.process.communicate()
