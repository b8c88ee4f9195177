"""An encoder of the tests' own, found as any other is: by its file."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import encoders
from encoders import registry

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def installed() -> Iterator[None]:
    """Have the files of this folder found among the encoders for the length of the block."""
    before = list(encoders.__path__)
    install()
    try:
        yield
    finally:
        encoders.__path__ = before
        registry.kinds.cache_clear()


def install() -> None:
    """Have them found for the rest of the process: a worker on Ray begins with this."""
    encoders.__path__ = [*encoders.__path__, str(Path(__file__).parent)]
    registry.kinds.cache_clear()
