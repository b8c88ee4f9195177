"""The dataset by itself: one fetch a batch, and no reading in a forked process."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from encoders.dataset import VectorDataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass
class Rows:
    """Twenty rows, and what was asked of them."""

    classes: bool = True
    asked: list[list[int]] = field(default_factory=list)

    def __len__(self) -> int:
        return 20

    def fetch(self, numbers: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
        self.asked.append(list(numbers))
        vectors = np.array(numbers, np.float32)[:, None].repeat(3, axis=1)
        vectors.setflags(write=False)
        return vectors, np.array(numbers, np.int64) % 2 if self.classes else None


def test_a_batch_is_one_fetch() -> None:
    rows = Rows()
    batches = list(VectorDataset(rows, ["even", "odd"]).loader(8))
    assert [len(asked) for asked in rows.asked] == [8, 8, 4]
    vectors, classes = batches[1]
    assert vectors.tolist() == [[n] * 3 for n in range(8, 16)]
    assert classes.tolist() == [0, 1] * 4


def test_tensors_are_ones_own() -> None:
    rows = Rows(classes=False)
    data = VectorDataset(rows)
    assert isinstance(data, torch.utils.data.Dataset)
    item = data[2]
    assert isinstance(item, torch.Tensor)
    item += 1
    assert item.tolist() == [3.0] * 3


def _forked(data: VectorDataset, answer: multiprocessing.Queue[str]) -> None:
    try:
        data[0]
    except RuntimeError as error:
        answer.put(str(error))
    else:
        answer.put("it was read")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")
@pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded", "ignore:lance is not fork-safe"
)
def test_a_forked_process_is_refused() -> None:
    context = multiprocessing.get_context("fork")
    answer: multiprocessing.Queue[str] = context.Queue()
    child = context.Process(target=_forked, args=(VectorDataset(Rows()), answer))
    child.start()
    told = answer.get(timeout=60)
    child.join()
    assert 'multiprocessing_context="spawn"' in told
