"""A text encoder that tells where it works: in which process, with which cores and GPUs."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.flows.plugins.letters import Letters
from tests.flows.plugins.letters import Params as LettersParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from encoders.base import Json, Modality

MODALITY: Modality = "text"
LIBRARY = "PLACED_LIBRARY"
"""The environment variable that stands for the version of a library that decides the vectors."""


@dataclass(frozen=True)
class Params(LettersParams):
    """As those of ``letters``.

    Attributes:
        places: a file that is told of every time that one is built, and of every batch.
        pause: seconds that a batch takes.
    """

    places: str = ""
    pause: float = 0.0


class Placed(Letters):
    """As ``letters``, with its own recipe."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self._places, self._pause = Path(params.places), params.pause
        self._tell("built")

    def recipe(self) -> dict[str, Json]:
        """All that decides the vectors."""
        return super().recipe() | {"kind": "placed", "library": os.environ.get(LIBRARY, "1")}

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts, and tell of it."""
        self._tell("encodes")
        time.sleep(self._pause)
        return super().encode(batch)

    def _tell(self, what: str) -> None:
        told = {"what": what, "pid": os.getpid()}
        told |= {name: os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
        with self._places.open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")


def build(params: Params) -> Placed:
    """Build the encoder."""
    return Placed(params)
