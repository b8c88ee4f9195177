"""What there is to compute on: devices, and threads of the processor."""

from __future__ import annotations

import os
import sys

from encoders import _threads


def cores() -> int:
    """Cores that this process may use."""
    mine = getattr(os, "sched_getaffinity", None)
    return len(mine(0)) if mine else os.cpu_count() or 1


def devices() -> tuple[str, ...]:
    """The devices of torch that ``device = "auto"`` chooses among, its choice first."""
    import torch

    return ("cuda", "cpu") if torch.cuda.is_available() else ("cpu",)


def backends() -> tuple[str, ...]:
    """What may compute a sentence model on the processor: torch, and others that are installed."""
    from encoders import _openvino

    return ("torch", "openvino") if _openvino.installed() else ("torch",)


def load() -> float:
    """How many processes ran or waited to run over the last minute; 0 where nobody counts."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


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
    if count and "torch" in sys.modules:
        _threads.set_for_all(count)
