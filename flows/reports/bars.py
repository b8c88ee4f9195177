"""Numbers of a report, and bars of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.output.console import NOTHING, cell
from flows.output.markup import Html, el

if TYPE_CHECKING:
    from collections.abc import Mapping


def number(value: float | None) -> str:
    """A number as people read it; p-values next to nothing are not rounded to it."""
    return f"{value:.1e}" if value is not None and 0 < abs(value) < NOTHING else cell(value)


def pair_of(figures: Mapping[str, float]) -> tuple[str, float, float] | None:
    """What a part had before and has now, and what that is; shares before all else."""
    found = []
    for key, before in figures.items():
        if "reference" not in key:
            continue
        others = (key.replace("reference", "current"), key.replace("_reference", ""))
        now = next((figures[k] for k in others if k in figures and k != key), None)
        if now is not None:
            name = key.replace("reference", "").strip("_").replace("__", "_")
            found.append((name, before, now))
    return min(found, key=lambda pair: "share" not in pair[0], default=None)


def paired(name: str, before: float, now: float, most: float) -> Html:
    """Two bars, one below the other.

    Args:
        name: of what they show; a ``share`` is written in per cent.
        before: the reference's.
        now: the current sample's.
        most: the value of a bar of full width.
    """
    rows = (("before", before), ("after", now))
    return el("div", *(_bar(kind, value, most, name) for kind, value in rows), class_="pair")


def _bar(kind: str, value: float, most: float, name: str) -> Html:
    wide = 100 * max(0.0, value) / most if most > 0 else 0.0
    shown = f"{value:.1%}" if "share" in name or name == "" else number(value)
    bar = el("i", style=f"width:{wide:.2f}%")
    return el("div", el("span", kind, class_="hidden"), el("span", bar, class_="track"),
              el("b", shown), class_=kind)  # fmt: skip


def meter(value: float, most: float) -> Html:
    """A small bar beside a number."""
    wide = 100 * min(1.0, value / most) if most > 0 else 0.0
    return el("span", el("i", style=f"width:{wide:.1f}%"), class_="track small",
              aria_hidden="true")  # fmt: skip
