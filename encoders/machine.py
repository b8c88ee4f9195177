"""What there is to compute on: devices, and threads of the processor."""

from __future__ import annotations

import os
import sys


def cores() -> int:
    """Cores that this process may use."""
    mine = getattr(os, "sched_getaffinity", None)
    return len(mine(0)) if mine else os.cpu_count() or 1


def devices() -> tuple[str, ...]:
    """The devices of torch that ``device = "auto"`` chooses among, its choice first."""
    import torch

    return ("cuda", "cpu") if torch.cuda.is_available() else ("cpu",)


def threads() -> int:
    """How many threads torch computes with in this thread, and in those that begin later."""
    import torch

    return int(torch.get_num_threads())


def set_threads(count: int) -> None:
    """Have torch compute with so many threads in this thread, and in those that begin later.

    Args:
        count: 0 leaves it as it is. So does a process that has not loaded torch, whose encoder
            does not need it.
    """
    torch = sys.modules.get("torch")
    if count and torch is not None:
        torch.set_num_threads(count)
