"""How much a model is given at a time: on a processor as much as its caches hold.

What a layer makes of a batch is read again by the next one. Where it has left the caches
meanwhile, the model waits for memory: measured with MiniLM on news items, 64 at a time take 1.4
times the CPU that 8 to 16 at a time do, and SqueezeNet takes 2.4 times as long for 32 photographs
at once as for four times 8. On CUDA it is what the free memory holds.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

T = TypeVar("T")

TOKENS = 1024
"""Of texts, the padding counted."""

PIXELS = 8 * 224 * 224
"""Of images, as the network takes them."""


VALUES = 2**19
"""Of the widest maps that a convolutional network makes of images: 2 MB."""


def bound(device: str, most: int) -> int | None:
    """``most`` on a processor; None elsewhere, where a large batch is what keeps it busy."""
    return most if device.startswith("cpu") else None


_VALUES = 40
"""Values that a transformer holds for a token at a time, in widths of the model: the states, and
four times their width within a layer, some of each as they are made of one another."""

WIDE = 4096
"""The width that a model is taken to have where it does not tell."""

_MOST = 2**16
"""Tokens that keep any accelerator busy."""


def tokens_in(free: int, width: int, size: int) -> int:
    """Tokens that may run through a transformer at a time in an accelerator's memory.

    Half of what is free is left to others, and to what this reckoning leaves out.

    Args:
        free: bytes that are free.
        width: of the model's states.
        size: bytes of a value.
    """
    return max(min(free // 2 // (_VALUES * width * size), _MOST), 1)


def budget(device: str, width: int) -> int | None:
    """Tokens at a time on a device, float32; None where nothing is known of its memory."""
    if device.startswith("cuda"):
        import torch

        return tokens_in(torch.cuda.mem_get_info(device)[0], width, 4)
    return bound(device, TOKENS)


def parts(sizes: Sequence[int], rows: int, budget: int | None) -> Iterator[list[int]]:
    """Places of records of like size, what is largest first: each part is a batch.

    The largest come first so that what the next ones need is in memory already.

    Args:
        sizes: of each record, such as its tokens.
        rows: records that a part may have.
        budget: what the records of a part may have together, each counted as its largest, unless
            there is one alone; None for any amount.
    """
    order = sorted(range(len(sizes)), key=sizes.__getitem__, reverse=True)
    at = 0
    while at < len(order):
        largest = max(sizes[order[at]], 1)
        fit = rows if budget is None else min(rows, max(budget // largest, 1))
        yield order[at : at + fit]
        at += fit


def together(device: str, budget: int, size: int, most: int) -> int:
    """How many records of one size run at a time.

    Args:
        device: of torch.
        budget: what they may have together on a processor, such as `PIXELS`.
        size: of each.
        most: so many of them at most.
    """
    room = bound(device, budget)
    return most if room is None else min(most, max(room // size, 1))


def in_parts(records: Iterable[T], size: int) -> Iterator[list[T]]:
    """Records in parts of at most ``size``, each made when it is asked for."""
    rest = iter(records)
    while part := list(islice(rest, size)):
        yield part
