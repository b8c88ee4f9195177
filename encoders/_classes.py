"""Records by class: which are learned from, which are held out, and batches balanced by class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from encoders.learning import Watch

    Rows = NDArray[np.int64]

_PAIR = 2
_LEAST_TO_SPLIT = 2 * _PAIR


@dataclass(frozen=True)
class Batch:
    """Records of a few classes.

    Attributes:
        rows: ``(n,)`` int64, of the sample.
        classes: ``(n,)`` int64; equal within a class.
        turns: ``(n,)`` int64, quarter turns to the left by which each is turned first.
    """

    rows: Rows
    classes: Rows
    turns: Rows


@dataclass(frozen=True)
class Split:
    """Classes to learn from and to hold out, each the rows of its records.

    Attributes:
        by_class: whether no class is in both.
    """

    train: list[Rows]
    held: list[Rows]
    by_class: bool


def by_label(labels: Sequence[str | None], watch: Watch) -> list[Rows]:
    """The rows of each class, in the order of the classes' names.

    Records without a label, and those alone in their class, have nothing to be like; the watch
    hears of them.

    Raises:
        EncoderError: if fewer than two classes with two records or more are left.
    """
    found: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        if label is not None:
            found.setdefault(label, []).append(row)
    kept = [np.array(rows) for _, rows in sorted(found.items()) if len(rows) >= _PAIR]
    bare, single = sum(label is None for label in labels), len(found) - len(kept)
    if len(kept) < _PAIR:
        raise EncoderError(
            f"siamese needs 2 classes or more with 2 images each to learn from, got {len(kept)}: "
            f"of {len(labels)} images {bare} have no label, and {single} of {len(found)} labels "
            "stand on one image alone; label more, or leave label out to learn without"
        )
    if bare:
        watch.note(f"{bare} of {len(labels)} images have no label and were not learned from")
    if single:
        watch.note(
            f"{single} of {len(found)} classes have one image alone and were not learned from: "
            "there is nothing that it should be near to"
        )
    return kept


def split(classes: list[Rows], share: float, rng: np.random.Generator, watch: Watch) -> Split:
    """Hold out a share of the classes, two at least, so that what is measured is of new ones.

    Of fewer than four classes, records are held out in place of classes, and the watch hears it.

    Raises:
        EncoderError: if there are then too few records in a class to hold any out.
    """
    if len(classes) >= _LEAST_TO_SPLIT:
        order = rng.permutation(len(classes))
        out = min(max(_PAIR, round(share * len(classes))), len(classes) - _PAIR)
        held, train = ([classes[at] for at in sorted(part)] for part in (order[:out], order[out:]))
        return Split(train, held, by_class=True)
    watch.note(
        f"{len(classes)} classes are too few to hold some out; images of them are held out, so "
        "that the figures tell nothing of new classes"
    )
    parts = [_divided(rows, share, rng) for rows in classes]
    return Split([train for train, _ in parts], [held for _, held in parts], by_class=False)


def _divided(rows: Rows, share: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    if len(rows) < _LEAST_TO_SPLIT:
        raise EncoderError(
            f"siamese needs {_LEAST_TO_SPLIT} images or more of each class where there are fewer "
            f"than {_LEAST_TO_SPLIT} classes, got one with {len(rows)}; label more"
        )
    order = rng.permutation(rows)
    out = min(max(_PAIR, round(share * len(rows))), len(rows) - _PAIR)
    return np.sort(order[out:]), np.sort(order[:out])


def turned(classes: list[Rows], *, turns: bool) -> list[tuple[Rows, int]]:
    """Each class, and with `turns` each of its quarter turns as a class besides."""
    return [(rows, turn) for turn in range(4 if turns else 1) for rows in classes]


def batches(
    classes: Sequence[tuple[Rows, int]], most: int, each: int, rng: np.random.Generator
) -> list[Batch]:
    """So many batches that as many records are drawn as there are.

    A batch has `most` classes, fewer where there are fewer, and `each` records of every one:
    without repetition as far as it has enough.
    """
    count = min(most, len(classes))
    records = sum(len(rows) for rows, _ in classes)
    return [
        _batch(classes, rng.choice(len(classes), count, replace=False), each, rng)
        for _ in range(max(1, -(-records // (count * each))))
    ]


def _batch(
    classes: Sequence[tuple[Rows, int]], chosen: Rows, each: int, rng: np.random.Generator
) -> Batch:
    rows = [_drawn(classes[at][0], each, rng) for at in chosen]
    turns = np.array([classes[at][1] for at in chosen])
    return Batch(np.concatenate(rows), np.repeat(chosen, each), np.repeat(turns, each))


def _drawn(rows: Rows, count: int, rng: np.random.Generator) -> Rows:
    if len(rows) >= count:
        return rng.choice(rows, count, replace=False)
    return np.concatenate([rows, rng.choice(rows, count - len(rows))])
