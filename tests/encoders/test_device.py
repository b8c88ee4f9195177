"""Where torch computes, and in which precision there; no device is needed for it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest

from encoders._device import pick_device
from encoders._recurrent import accept_copies
from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def cudnn() -> Iterator[Any]:
    """Torch's switches of cuDNN; afterwards they are as before."""
    import torch

    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = True
    yield torch.backends.cudnn
    torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("there", [False, True])
def test_float32_on_cuda_is_not_rounded_to_tf32(
    there: bool,  # noqa: FBT001 - a parameter of a test
    cudnn: Any,  # noqa: ANN401 - a module
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: there)
    assert pick_device("auto") == ("cuda" if there else "cpu")
    assert cudnn.allow_tf32 is not there


def test_a_device_that_is_not_there_changes_nothing(cudnn: Any) -> None:  # noqa: ANN401 - a module
    with pytest.raises(EncoderError, match="device 'cuda:77' cannot be used here"):
        pick_device("cuda:77")
    assert cudnn.allow_tf32


def test_cudnn_s_advice_on_weights_is_silenced_there_alone() -> None:
    for device, heard in (("cpu", 1), ("cuda:1", 0)):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            accept_copies(device)
            warnings.warn(
                "RNN module weights are not part of single contiguous chunk", stacklevel=1
            )
            warnings.warn("something else", stacklevel=1)
        assert len(told) == 1 + heard
