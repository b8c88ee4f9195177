"""Ids that a fit has met, kept as hashes: a state is no list of the people in it.

A hash of a short id can be found by trying all short ids, so this hides names from whoever looks
into a file, not from whoever sets out to find one.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_BYTES = 16


class Entities:
    """Users, or items, numbered in the order of their hashes.

    Attributes:
        hashes: ``(n, 16)`` uint8, BLAKE2b of the side and the id, ascending.
    """

    def __init__(self, hashes: NDArray[np.uint8]) -> None:
        self.hashes = hashes
        # In hexadecimal, since fixed-width texts of NumPy lose zero bytes at their end.
        self._sorted = np.frombuffer(hashes.tobytes().hex().encode(), f"S{2 * _BYTES}")

    def __len__(self) -> int:
        return len(self.hashes)

    def find(self, side: str, ids: Sequence[str]) -> NDArray[np.intp]:
        """The numbers of ids, ``(n,)``; -1 for those that the fit has not met."""
        asked = np.array([_hash(side, one).hex() for one in ids], f"S{2 * _BYTES}")
        if not len(self):
            return np.full(len(ids), -1, np.intp)
        places = np.searchsorted(self._sorted, asked).clip(max=len(self) - 1)
        return np.where(self._sorted[places] == asked, places, -1)


def numbered(side: str, ids: Sequence[str]) -> tuple[Entities, NDArray[np.intp]]:
    """Entities of different ids, and the number of each, ``(n,)``."""
    hashes = [_hash(side, one) for one in ids]
    order = sorted(range(len(ids)), key=hashes.__getitem__)
    numbers = np.empty(len(ids), np.intp)
    numbers[order] = np.arange(len(ids))
    packed = b"".join(hashes[row] for row in order)
    return Entities(np.frombuffer(packed, np.uint8).reshape(-1, _BYTES)), numbers


def _hash(side: str, entity: str) -> bytes:
    # Sides have no colon, so the user 'x' and the item 'x' are told apart, as in record ids.
    text = f"{side}:{entity}".encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=_BYTES).digest()
