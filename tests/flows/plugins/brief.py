"""A text encoder that does not read the end of a long text, and whose host may hang up once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from encoders.abilities import Truncated
from tests.flows.plugins.letters import Letters
from tests.flows.plugins.letters import Params as LettersParams

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from encoders.base import Modality

MODALITY: Modality = "text"


@dataclass(frozen=True)
class Params(LettersParams):
    """As those of ``letters``.

    Attributes:
        words: so many of a text are read.
        tells: whether it says so.
        outage: after so many texts the host hangs up, the first time; 0 for never.
    """

    words: int = 3
    tells: bool = True
    outage: int = 0


class Brief(Letters):
    """As ``letters``, and counts what is beyond its limit."""

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.words, self.tells, self.outage = params.words, params.tells, params.outage

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts, with one outage."""
        mark = Path(f"{self.params.log}.outage")
        if self.outage and len(self._known()) >= self.outage and not mark.exists():
            mark.touch()
            raise ConnectionError("the model's host hung up")
        return super().encode(batch)

    def truncated(self, batch: Sequence[str]) -> Truncated:
        """How many words of a batch are beyond the limit."""
        cut = Truncated.of([len(text.split()) for text in batch], self.words)
        return cut if self.tells else Truncated(cut.texts, cut.cut, cut.tokens)


def build(params: Params) -> Brief:
    """Build the encoder."""
    return Brief(params)
