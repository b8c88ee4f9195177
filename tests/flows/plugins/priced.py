"""A text encoder that is paid by the letter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.flows.plugins.letters import Letters
from tests.flows.plugins.letters import Params as LettersParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from encoders.base import Modality

MODALITY: Modality = "text"


@dataclass(frozen=True)
class Params(LettersParams):
    """As those of ``letters``."""


def price(params: Params, batch: Sequence[str]) -> tuple[float, str]:  # noqa: ARG001 - as every price is asked for
    """A quarter of a euro a letter."""
    return sum(map(len, batch)) / 4, "EUR"


def build(params: Params) -> Letters:
    """Build the encoder."""
    return Letters(params)
