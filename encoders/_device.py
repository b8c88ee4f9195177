"""Where torch encoders run."""

from __future__ import annotations

from encoders.base import EncoderError


def pick_device(name: str) -> str:
    """The torch device that a configuration names; ``auto`` is CUDA where there is one.

    Raises:
        EncoderError: if torch knows no such device, or this machine has none.
    """
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
