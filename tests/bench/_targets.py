"""What a benchmark measured, held against what it is to reach."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.bench._arms import Ratio


@dataclass(frozen=True)
class Measure:
    """One figure.

    Attributes:
        name: what was measured.
        value: a number, or a ratio with its spread, of which the median counts.
        unit: of the number.
        least, most: what it is to reach, and not to pass; None for no such bound.
        more: what JSON has beside it.
    """

    name: str
    value: float | Ratio
    unit: str = ""
    least: float | None = None
    most: float | None = None
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def number(self) -> float:
        """What counts."""
        return self.value.median if isinstance(self.value, Ratio) else self.value

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.least is None and self.most is None:
            return None
        low = self.least is None or self.number >= self.least
        return low and (self.most is None or self.number <= self.most)

    def row(self) -> tuple[str, str, str, str]:
        """Cells of a table: what, how much, the target, and whether it is met."""
        value = str(self.value) if isinstance(self.value, Ratio) else f"{self.value:,.4g}"
        bounds = [
            *([f"≥ {self.least:g}"] if self.least is not None else []),
            *([f"≤ {self.most:g}"] if self.most is not None else []),
        ]
        told = {None: "", True: "met", False: "missed"}[self.met]
        return self.name, f"{value} {self.unit}".strip(), " ".join(bounds), told

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        value = self.value.plain() if isinstance(self.value, Ratio) else round(self.value, 6)
        bounds = {"least": self.least, "most": self.most, "met": self.met}
        return {"name": self.name, "value": value, "unit": self.unit, **bounds, **self.more}
