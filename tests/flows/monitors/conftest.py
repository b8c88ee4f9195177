"""What the tests of the monitors share that takes long to make."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEWS = 240


@pytest.fixture(scope="session")
def news() -> NDArray[np.float32]:
    """MiniLM vectors of news, ``(240, 384)``."""
    data = os.environ.get("VECMILL_TEST_DATA")
    if data is None:
        pytest.skip("VECMILL_TEST_DATA is not set")
    from tests.bench.drift_data import encode_news

    return encode_news(Path(data), NEWS)[0]
