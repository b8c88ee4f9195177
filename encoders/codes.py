"""Vectors of few values a dimension, which a table may hold in fewer bits than a float32 takes.

An encoder whose vectors are such says by which codes they can be written down and read again
without loss (`Coded`); a kind of such encoders has ``CODED = True``, so that others need not be
built to be asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Codes:
    """How each dimension is a code: a value is ``scale * (code - zero)``.

    Attributes:
        bits: 8: codes are whole numbers from -127 to 127; 1: they are -1 and 1.
        scale: ``(dim,)`` float64, above 0; the step from code to code.
        zero: ``(dim,)`` float64, the code of 0, a whole number or not, in the range or not.
    """

    bits: int
    scale: NDArray[np.float64]
    zero: NDArray[np.float64]


@runtime_checkable
class Coded(Protocol):
    """An encoder whose vectors are codes."""

    def codes(self) -> Codes:
        """What its vectors can be written down by.

        Raises:
            EncoderError: where that has yet to be learned.
        """
        ...
