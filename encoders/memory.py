"""What running out of memory looks like, and how to have some of it back; no torch is imported."""

from __future__ import annotations

import gc
import sys

_PHRASES = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed")
"""CUDA and MPS; torch on a CPU, one phrase a system; cuBLAS and cuDNN (``..._ALLOC_FAILED``)."""


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory, the machine's or an accelerator's, did not suffice."""
    if isinstance(error, MemoryError):
        return True
    if any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    message = str(error).lower()
    return isinstance(error, RuntimeError) and any(phrase in message for phrase in _PHRASES)


def free_memory() -> None:
    """Let go of what is not in use any more, so that a smaller attempt has room."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
