"""Users and items by number: ids that a fit has met are kept as hashes, not as they are.

A hash of a short id can be found by trying all short ids, so this hides names from whoever looks
into a file, not from whoever sets out to find one.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from encoders.interactions import Side

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


def matrix(pairs: pl.DataFrame) -> tuple[dict[Side, Entities], csr_matrix]:
    """The users and items of interactions (`encoders.interactions.pairs`), and their weights.

    Returns:
        The entities by side, and ``(users, items)`` float64, indices sorted.
    """
    import polars as pl
    from scipy.sparse import csr_matrix as csr

    sides: tuple[Side, Side] = ("user", "item")
    entities: dict[Side, Entities] = {}
    places = []
    for side in sides:
        ids = pairs[side].unique().sort()
        entities[side], numbers = numbered(side, ids.to_list())
        places.append(numbers[pairs[side].cast(pl.Enum(ids)).to_physical().to_numpy()])
    shape = (len(entities["user"]), len(entities["item"]))
    found = csr((pairs["weight"].to_numpy(), places), shape, dtype=np.float64)
    found.sort_indices()
    return entities, found


def met(
    batch: pl.DataFrame, side: Side, known: Entities
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
    """Whom the records of a batch have met, of the entities of one side that are known.

    Returns:
        As a sparse matrix by rows: where each record begins ``(n + 1,)``, the numbers of those it
        has met and their weights ``(nnz,)``. Numbers ascend, so that a vector does not hang on the
        order in which its record names them.
    """
    import polars as pl

    flat = (
        batch.select(pl.int_range(pl.len()).alias("row"), "others", "weights")
        .filter(pl.col("others").list.len() > 0)
        .explode("others", "weights")
    )
    ids = flat["others"].unique().drop_nulls()
    numbers = pl.DataFrame({"others": ids, "number": known.find(side, ids.to_list())})
    found = flat.join(numbers, on="others").filter(
        pl.col("number") >= 0, pl.col("weights").is_finite()
    )
    found = found.sort("row", "number", "weights")
    counts = np.bincount(found["row"].to_numpy(), minlength=len(batch))
    starts = np.concatenate([[0], np.cumsum(counts)])
    return starts, found["number"].to_numpy(), found["weights"].to_numpy().astype(np.float64)


def _hash(side: str, entity: str) -> bytes:
    # Sides have no colon, so the user 'x' and the item 'x' are told apart, as in record ids.
    text = f"{side}:{entity}".encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=_BYTES).digest()
