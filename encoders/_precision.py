"""In which precision a model computes."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from encoders._device import pick_device
from encoders.base import EncoderUsageError

Dtype: TypeAlias = Literal["auto", "float32", "bfloat16", "float16"]

_NATIVE = ("amx_bf16", "avx512_bf16")


def resolved(dtype: str, device: str, *, short: bool = True) -> str:
    """The precision that a configuration names; what ``auto`` comes to on this machine.

    Args:
        dtype: one of `Dtype`.
        device: as `encoders._device.pick_device` takes it.
        short: whether the model gains by a short type at all.

    Raises:
        EncoderUsageError: if it is none of the known ones.
        EncoderError: if ``auto`` is to be of a device that is not there.
    """
    if dtype not in get_args(Dtype):
        raise EncoderUsageError(
            f"dtype must be 'auto', 'float32', 'bfloat16' or 'float16', got {dtype!r}"
        )
    if dtype != "auto":
        return dtype
    return "bfloat16" if short and _computes_bfloat16(pick_device(device)) else "float32"


def _computes_bfloat16(device: str) -> bool:
    """Whether a device has instructions for bfloat16; to emulate it is slower than float32."""
    import torch

    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu":
        return False
    abilities = torch.cpu.get_capabilities()
    return any(bool(abilities.get(name)) for name in _NATIVE)
