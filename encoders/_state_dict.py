"""Named tensors from a file, whoever wrote it: read as numbers alone, so that no file runs code."""

from __future__ import annotations

import pickle
import zlib
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from encoders.base import EncoderError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SUFFIXES = (".safetensors", ".npz", ".pth", ".pt")

_DAMAGE = (
    *(pickle.UnpicklingError, BadZipFile, zlib.error),
    *(OSError, RuntimeError, ValueError, KeyError, EOFError),
)
"""What the libraries raise for files that are cut off, mislabelled or hold code."""


def read(file: Path) -> dict[str, NDArray[np.float32]]:
    """The tensors of a .safetensors, .npz, .pth or .pt file, as float32.

    Raises:
        EncoderError: if it is damaged, holds other objects than names and tensors, or numbers that
            are not finite.
    """
    try:
        tensors = _arrays(file) if file.suffix == ".npz" else _tensors(file)
    except _DAMAGE as error:
        # Without the messages: torch's and numpy's advise to load the file with their safety off.
        raise EncoderError(
            f"{file} cannot be read as weights ({type(error).__name__}); expected tensors and "
            "their names, no other objects: a .safetensors file, an .npz of np.savez, or what "
            "torch.save(model.state_dict(), ...) writes"
        ) from error
    broken = [name for name, tensor in tensors.items() if not np.isfinite(tensor).all()]
    if broken:
        raise EncoderError(
            f"tensor {broken[0]!r} of {file} holds NaN or infinity: the file is damaged, or its "
            "training diverged; get it again"
        )
    return tensors


def _arrays(file: Path) -> dict[str, NDArray[np.float32]]:
    # A stream of our own: numpy leaves a file open that it cannot read.
    with file.open("rb") as stream:
        arrays = np.load(stream, allow_pickle=False)
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError("one array without a name")  # noqa: TRY004 - as other damage
        return {name: np.asarray(arrays[name], np.float32) for name in arrays.files}


def _tensors(file: Path) -> dict[str, NDArray[np.float32]]:
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if file.suffix == ".safetensors":
        try:
            state: Any = load_file(file)
        except SafetensorError as error:
            raise ValueError(str(error)) from error
    else:
        state = torch.load(file, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(torch.is_tensor(t) for t in state.values()):
        raise ValueError("not names and tensors")
    return {str(name): tensor.float().numpy() for name, tensor in state.items()}
