"""Where torch encoders run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping


def pick_device(name: str) -> str:
    """The torch device that a configuration names; ``auto`` is CUDA where there is one.

    From the first that is CUDA on, cuDNN's convolutions and recurrent layers compute float32 as
    such in this process.

    Raises:
        EncoderError: if torch knows no such device, or this machine has none.
    """
    import torch

    found = _found(name)
    if found.startswith("cuda"):
        # Else they round to TF32's 10 bits: vectors of one fingerprint would differ by 1e-3
        # between machines, and with what is beside them. Products of matrices do not, by default.
        torch.backends.cudnn.allow_tf32 = False
    return found


def _found(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        # A name alone proves nothing: only an allocation shows that the device is there.
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise EncoderError(
            f"device {name!r} cannot be used here ({reason}); expected 'auto', 'cpu', or a device "
            "that torch finds on this machine, such as 'cuda' or 'cuda:1'"
        ) from error
    return name


def moved(given: Mapping[str, Any], device: str) -> dict[str, Any]:
    """The tensors of a mapping on a device; what is none stays as it is.

    To CUDA they go by page-locked memory, so that the copy runs while the processor goes on.
    """
    import torch

    pinned = device.startswith("cuda")

    def on(value: Any) -> Any:  # noqa: ANN401 - a tensor, or anything else
        if not isinstance(value, torch.Tensor):
            return value
        # What is on a device already cannot be page-locked.
        locked = pinned and value.device.type == "cpu"
        return (value.pin_memory() if locked else value).to(device, non_blocking=locked)

    return {name: on(value) for name, value in given.items()}
