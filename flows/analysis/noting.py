"""What is gathered of clusters while records are assigned to them, and said of each in the end."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.analysis import describing
from flows.analysis.clustering import NOISE
from storage.clusters import Group

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from flows.analysis.clustering import Labels, Rows

_EXAMPLES = 3


@dataclass
class Notes:
    """What is gathered while records are assigned: sizes, the nearest, and a sample of columns."""

    columns: Sequence[str]
    share: float
    sizes: Counter[int] = field(default_factory=Counter)
    _nearest: dict[int, list[tuple[float, str]]] = field(default_factory=lambda: defaultdict(list))
    _sampled: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    _labels: list[int] = field(default_factory=list)

    def add(self, table: pa.Table, labels: Labels, far: Rows, rng: np.random.Generator) -> None:
        """Take note of some records."""
        numbers, counts = np.unique(labels, return_counts=True)
        self.sizes.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
        ids = table.column("record_id")
        for number in numbers.tolist():
            places = np.flatnonzero(labels == number)
            best = places[np.argsort(far[places], kind="stable")[:_EXAMPLES]]
            found = [(float(far[place]), str(ids[int(place)].as_py())) for place in best]
            if number != NOISE:
                self._nearest[number] = heapq.nsmallest(_EXAMPLES, self._nearest[number] + found)
        chosen = np.flatnonzero(rng.random(len(labels)) < self.share)
        sampled = table.take(chosen)
        for name in self.columns:
            self._sampled[name] += sampled.column(name).to_pylist()
        self._labels += labels[chosen].tolist()

    def groups(self, column: str | None, k: int) -> list[Group]:
        """What is said of each cluster; empty ones too, since they have numbers."""
        labels = np.array(self._labels, np.int64)
        column = column or describing.text_column(self._sampled)
        texts = None if column is None else [_text(value) for value in self._sampled[column]]
        words = describing.words(texts, labels) if texts and len(labels) else {}
        others = {name: given for name, given in self._sampled.items() if name != column}
        values = describing.values(others, labels) if len(labels) else {}
        rows = sum(self.sizes.values())
        numbers = [*([NOISE] if self.sizes.get(NOISE) else []), *range(k)]
        return [
            Group(
                number,
                self.sizes.get(number, 0),
                self.sizes.get(number, 0) / max(rows, 1),
                words.get(number, ()),
                values.get(number, ()),
                tuple(name for _, name in self._nearest.get(number, [])),
            )
            for number in numbers
        ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)
