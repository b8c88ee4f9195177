"""Fitted states: what is saved is loaded, to the last bit; what is damaged is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders.base import State, digest
from storage.model import StorageError
from storage.states import States

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from encoders.base import Json

ARRAYS: dict[str, NDArray[Any]] = {
    "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
    "turned": np.arange(6, dtype=np.float64).reshape(2, 3).T,
    "number": np.array(3.5),
    "nothing": np.empty((0, 4), np.int64),
    "strided": np.arange(10, dtype=np.uint8)[::3],
}
META: dict[str, Json] = {"names": ["ä", 'say "so"'], "deep": {"x": None, "y": 0.1}}


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    States(tmp_path / "states").save("abc", ARRAYS, META)
    arrays, meta = States(tmp_path / "states").load("abc")
    assert digest(State(arrays, meta)) == digest(State(ARRAYS, META))
    assert arrays["number"].shape == ()


def test_a_damaged_state_is_written_over(tmp_path: Path) -> None:
    States(tmp_path).save("abc", ARRAYS, META)
    (tmp_path / "abc.safetensors").write_bytes(b"rubbish")
    with pytest.raises(StorageError, match=r"abc\.safetensors is damaged"):
        States(tmp_path).load("abc")
    States(tmp_path).save("abc", ARRAYS, META)
    assert States(tmp_path).load("abc")[1] == META


def test_a_missing_state_says_how_to_get_it_back(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"abc\.safetensors is missing; .* --refit"):
        States(tmp_path).load("abc")


def test_nothing_but_the_state_is_left_in_the_folder(tmp_path: Path) -> None:
    States(tmp_path).save("abc", ARRAYS, META)
    assert [file.name for file in tmp_path.iterdir()] == ["abc.safetensors"]
