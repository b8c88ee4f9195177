"""Row-wise figures of a matrix, block by block, so that memory stays flat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from flows.monitors.base import Sample

BLOCK_ROWS = 4096


def blocks(n: int, size: int = BLOCK_ROWS) -> Iterator[slice]:
    """Slices that cover ``range(n)`` in order."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def ids_at(ids: Sequence[str], rows: NDArray[np.intp]) -> list[str]:
    """The ids of the records at some places, in that order."""
    places: list[int] = rows.tolist()
    return [ids[place] for place in places]


def check_widths(reference: Sample, current: Sample) -> None:
    """See that two samples can be compared.

    Raises:
        ValueError: if a matrix is not 2-D, or both have rows and their widths differ.
    """
    for name, sample in (("reference", reference), ("current", current)):
        if sample.vectors.ndim != 2:  # noqa: PLR2004 - a matrix has two axes
            raise ValueError(
                f"{name} vectors must be 2-D, (rows, dim), got shape {sample.vectors.shape}; "
                "reshape one vector to (1, dim)"
            )
    ours, theirs = reference.vectors.shape[1], current.vectors.shape[1]
    if len(reference) and len(current) and ours != theirs:
        raise ValueError(
            f"reference vectors are {ours} wide and current ones {theirs}; "
            "compare samples of one version only"
        )


def finite(vectors: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which of the ``(n, dim)`` rows hold neither NaN nor infinity; ``(n,)`` bool."""
    mask = np.ones(len(vectors), dtype=np.bool_)
    for rows in blocks(len(vectors)):
        mask[rows] = np.isfinite(vectors[rows]).all(axis=1)
    return mask


def norms(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """The L2 norms of the ``(n, dim)`` rows, ``(n,)`` float64; float32 squares would overflow."""
    lengths = np.empty(len(vectors), dtype=np.float64)
    for rows in blocks(len(vectors)):
        lengths[rows] = np.linalg.norm(vectors[rows].astype(np.float64), axis=1)
    return lengths


def draw(candidates: NDArray[np.intp], most: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """At most so many of the candidates, drawn without replacement, in their old order."""
    if len(candidates) <= most:
        return candidates
    return np.sort(rng.choice(candidates, size=most, replace=False, shuffle=False))


@dataclass(frozen=True)
class Contents:
    """The rows of a sample that can be reckoned with, one a distinct content.

    Attributes:
        vectors: ``(n, dim)`` float32, finite, none all zero.
        norms: ``(n,)`` float64, above 0.
        rows: ``(n,)``, where in the sample they stand.
    """

    vectors: NDArray[np.float32]
    norms: NDArray[np.float64]
    rows: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, most: int, rng: np.random.Generator) -> Contents:
        """At most so many of them, drawn without replacement."""
        chosen = draw(np.arange(len(self)), most, rng)
        return Contents(self.vectors[chosen], self.norms[chosen], self.rows[chosen])


def one_a_content(
    reference: Sample, current: Sample, rng: np.random.Generator
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """One finite row of each content that either sample holds: the rows of either side, in order.

    Which row of a content it is, and so on which side it stands, is drawn evenly from all of its
    rows on both sides.
    """
    usable = [np.flatnonzero(finite(sample.vectors)) for sample in (reference, current)]
    hashes = [reference.content_hashes[row] for row in usable[0].tolist()]
    hashes += [current.content_hashes[row] for row in usable[1].tolist()]
    drawn: dict[str, int] = {}
    for place in rng.permutation(len(hashes)).tolist():
        drawn.setdefault(hashes[place], place)
    places = np.sort(np.fromiter(drawn.values(), dtype=np.intp, count=len(drawn)))
    border = len(usable[0])
    return usable[0][places[places < border]], usable[1][places[places >= border] - border]


def left_out(
    reference: Sample, current: Sample, rows: tuple[NDArray[np.intp], NDArray[np.intp]]
) -> dict[str, float]:
    """How many rows are not tested: those that are not finite, and those that repeat a content."""
    figures = {}
    for name, sample, kept in zip(
        ("reference", "current"), (reference, current), rows, strict=True
    ):
        sound = int(finite(sample.vectors).sum())
        figures[f"left_out_{name}"] = float(len(sample) - sound)
        figures[f"repeats_{name}"] = float(sound - len(kept))
    return figures


def contents(sample: Sample) -> Contents:
    """The first row of each content, less those that are not finite or all zero."""
    first: dict[str, int] = {}
    for row, content in enumerate(sample.content_hashes):
        first.setdefault(content, row)
    rows = np.fromiter(first.values(), dtype=np.intp, count=len(first))
    rows = rows[finite(sample.vectors)[rows]]
    lengths = norms(sample.vectors[rows])
    rows, lengths = rows[lengths > 0], lengths[lengths > 0]
    return Contents(sample.vectors[rows], lengths, rows)
