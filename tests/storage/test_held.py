"""What a column holds, by a look."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lance
import pyarrow as pa

from storage.held import SHOWN, held

if TYPE_CHECKING:
    from pathlib import Path


def test_of_long_texts_the_beginnings_are_held(tmp_path: Path) -> None:
    texts = ["a" * 10_000, "b" * 10_000, "a" * 10_000, None]
    lance.write_dataset(pa.table({"text": texts, "n": [3, 1, 2, None]}), tmp_path / "t.lance")
    dataset = lance.dataset(tmp_path / "t.lance")
    found = held(dataset, "t", "text")
    assert found.values == ["a" * SHOWN, "b" * SHOWN]
    assert found.whole
    assert not held(dataset, "t", "text", rows=2).whole
    numbers = held(dataset, "t", "n")
    assert (sorted(numbers.values), numbers.low, numbers.high) == ([1, 2, 3], 1, 3)
