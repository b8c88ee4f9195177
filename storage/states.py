"""What encoders learned, kept as safetensors files named by their digest. Never a pickle."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from storage import swaps
from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


class States:
    """A folder of fitted states, ``DIGEST.safetensors`` each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def missing(self, digest: str) -> Path | None:
        """Where a state should be that is not there; None where it is."""
        path = self._path(digest)
        return None if path.is_file() else path

    def save(
        self, digest: str, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]
    ) -> None:
        """Write a state under its digest, over what is there: it may have been damaged."""
        import numpy as np
        from safetensors.numpy import save_file

        path = self._path(digest)
        self._folder.mkdir(parents=True, exist_ok=True)
        # ascontiguousarray would make a single number an array of one.
        packed = {name: np.asarray(array, order="C") for name, array in arrays.items()}
        with swaps.whole(path, durable=True) as fresh:
            save_file(packed, fresh, metadata={"meta": json.dumps(dict(meta))})

    def load(self, digest: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """The arrays and the meta of a state.

        Raises:
            StorageError: if it is not there, or is no state file.
        """
        from safetensors import SafetensorError, safe_open

        path = self._path(digest)
        if not path.is_file():
            raise StorageError(
                f"the fitted state {path} is missing; restore it from a backup, or refit the "
                "encoder (a new version) with `vecmill run --refit`"
            )
        try:
            with safe_open(path, framework="numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
                meta = json.loads((file.metadata() or {}).get("meta", "{}"))
        except (SafetensorError, ValueError) as error:
            raise StorageError(f"the fitted state {path} is damaged: {error}") from error
        return arrays, cast("dict[str, Any]", meta)

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.safetensors"
