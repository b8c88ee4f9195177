"""A text encoder that makes a row of so many words, or with ``pool`` one of a whole text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.flows.plugins.letters import Letters
from tests.flows.plugins.letters import Params as LettersParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from encoders.base import Json, Modality, Splitter

MODALITY: Modality = "text"


@dataclass(frozen=True)
class Params(LettersParams):
    """As those of ``letters``.

    Attributes:
        words: so many words a chunk.
        overlap: so many of them again in the next.
        pool: no chunks.
        broken: the splitter gives no span at all.
    """

    words: int = 3
    overlap: int = 0
    pool: bool = False
    broken: bool = False


class Phrases(Letters):
    """As ``letters``, with its own recipe."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.cut: list[Json] = [] if params.pool else [params.words, params.overlap]

    def recipe(self) -> dict[str, Json]:
        """All that decides the vectors, and what they are of."""
        return super().recipe() | {"kind": "phrases", "chunk": self.cut}


def spans(text: str, words: int, overlap: int = 0) -> list[tuple[int, int]]:
    """The spans of so many words each."""
    found = [(m.start(), m.end()) for m in re.finditer(r"\S+", text)]
    step = words - overlap
    starts = range(0, max(len(found) - overlap, 1), step)
    return [
        (found[at][0], found[min(at + words, len(found)) - 1][1]) if found else (0, 0)
        for at in starts
    ]


def splitter(params: Params) -> Splitter | None:
    """Cuts by words."""
    if params.pool:
        return None

    def split(texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        if params.broken:
            return [[] for _ in texts]
        return [spans(text, params.words, params.overlap) for text in texts]

    return split


def build(params: Params) -> Phrases:
    """Build the encoder."""
    return Phrases(params)
