"""A text encoder that encodes queries otherwise than records, as models with prompts do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.flows.plugins.letters import Letters
from tests.flows.plugins.letters import Params as LettersParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from encoders.base import Json, Modality

MODALITY: Modality = "text"


@dataclass(frozen=True)
class Params(LettersParams):
    """As those of ``letters``.

    Attributes:
        query_prompt: put before queries; no part of the recipe.
    """

    query_prompt: str = ""


class Asking(Letters):
    """As ``letters``, but for queries."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.query_prompt = params.query_prompt

    def encode_query(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts with the prompt before them."""
        return self.encode([self.query_prompt + text for text in batch])


def recipe(params: Params) -> dict[str, Json]:
    """As that of the encoder that `build` gives."""
    return Letters(params).recipe()


def build(params: Params) -> Asking:
    """Build the encoder."""
    return Asking(params)
