"""The map of a report: records as dots, in the page's own colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.output.markup import Html, el, put

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.reports.model import Points

_FEW = 400


def cloud(layers: Sequence[tuple[str, Points]], rings: set[str], name: str, told: str) -> Html:
    """Records as dots, one path a layer: thousands of elements would make the page slow.

    Args:
        layers: a class and the points that have it, the ones behind first.
        rings: record ids of the last layer that are marked.
        name: of the chart, that no other element has.
        told: the chart in words.
    """
    dots = [_layer(kind, points) for kind, points in layers]
    last = layers[-1][1]
    marked = [
        el("circle", el("title", i), class_="ring", cx=_at(x), cy=_at(1 - y), r="11")
        for i, x, y in zip(last.ids, last.x, last.y, strict=True)
        if i in rings
    ]
    return el("svg", el("title", told, id=f"{name}-title"), put(*dots, *marked),
              role="img", aria_labelledby=f"{name}-title", viewBox="-20 -20 1040 1040",
              data_map=name)  # fmt: skip


def _layer(kind: str, points: Points) -> Html:
    """One path; its dots are larger where there are few."""
    few = " few" if len(points.ids) <= _FEW else ""
    return el("path", class_=f"dots {kind}{few}", d=_dots(points))


def _dots(points: Points) -> str:
    """Lines of no length: their round ends are the dots."""
    pairs = zip(points.x, points.y, strict=True)
    return "".join(f"M{_at(x)} {_at(1 - y)}h0" for x, y in pairs)


def _at(share: float) -> str:
    return f"{1000 * share:.0f}"
