"""A text encoder that needs a secret, as one behind an address does, and tells it when it fails."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tests.flows.plugins.letters import vector_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from encoders.base import Json, Metric, Modality

MODALITY: Modality = "text"


class DeniedError(Exception):
    """Has words that are not among its arguments."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self.token = token

    def __str__(self) -> str:
        return f"denied to {self.token}"


@dataclass(frozen=True)
class Params:
    """The keys of the encoder.

    Attributes:
        token: the secret.
        headers: more of them.
        prompt: goes into the recipe.
        breach: ``outage`` or ``denied``: fails on everything, in words that hold the secret; or
            ``tells``: writes it wherever a library may write.
    """

    token: str
    headers: dict[str, str] = field(default_factory=dict)
    prompt: str = ""
    breach: str = ""


class Keyed:
    """``(n, 8) float32``."""

    modality: ClassVar[Modality] = "text"
    metric: Metric = "cosine"
    batch_size = 4
    dim = 8

    def __init__(self, params: Params) -> None:
        self.params = params

    def recipe(self) -> dict[str, Json]:
        """All that decides the vectors."""
        return {"kind": "keyed", "prompt": self.params.prompt}

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts, save those that hold ``FAIL``."""
        if self.params.breach == "outage":
            raise ConnectionError(f"cannot reach https://me:{self.params.token}@example.org/")
        if self.params.breach == "denied":
            raise DeniedError(self.params.token)
        if self.params.breach == "tells":
            print("printed", self.params.token)  # noqa: T201 - as others do
            logging.getLogger("a.library").warning("logged %s", self.params.token)
            warnings.warn(f"warned {self.params.token}", stacklevel=1)
        if any("FAIL" in text for text in batch):
            raise ValueError(f"no answer to {self.params.token!r} with {self.params.headers}")
        vectors = [vector_of(self.params.prompt + text) for text in batch]
        return np.array(vectors, np.float32).reshape(-1, self.dim)


def build(params: Params) -> Keyed:
    """Build the encoder."""
    return Keyed(params)
