"""Where torch encoders run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def moved(given: Mapping[str, Any], device: str) -> dict[str, Any]:
    """The tensors of a mapping on a device; what is none stays as it is.

    To CUDA they go by page-locked memory, so that the copy runs while the processor goes on.
    """
    import torch

    pinned = device.startswith("cuda")

    def on(value: Any) -> Any:  # noqa: ANN401 - a tensor, or anything else
        if not isinstance(value, torch.Tensor):
            return value
        return (value.pin_memory() if pinned else value).to(device, non_blocking=pinned)

    return {name: on(value) for name, value in given.items()}
