"""A map as a picture: PNG, or what else matplotlib writes."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.maps import projection
from flows.maps.colours import FAINT, SCALE, Categories, Numbers
from flows.output import units
from flows.output.visible import on_one_line

if TYPE_CHECKING:
    from pathlib import Path

    from flows.maps.colours import Colours
    from flows.maps.drawing import Map

_INK, _DIM = "#222222", "#666666"
_DPI = 160
_MANY = 5_000


def picture(found: Map, colours: Colours, path: Path) -> None:
    """Draw a map into a file; its format goes by the name's ending.

    Raises:
        ValueError: if there is no such format.
        OSError: if the file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7.4), layout="constrained", facecolor="white")
    axes = figure.subplots()
    _points(axes, found.places, colours)
    axes.set_aspect("equal", "datalim")
    axes.set(xticks=[], yticks=[])
    axes.margins(0.03)
    for side in axes.spines.values():
        side.set_color("#dddddd")
    heading, below = headings(found, colours.column)
    figure.suptitle(_plain(heading), x=0.006, ha="left", fontsize=15, fontweight="bold", color=_INK)
    axes.set_title(_plain(below), loc="left", fontsize=9.5, color=_DIM)
    if isinstance(colours, Numbers):
        _bar(figure, axes, colours)
    elif colours.column is not None:
        _legend(axes, colours)
    with warnings.catch_warnings():
        # The font may lack letters of a name: a picture without them is better than none.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(path, dpi=_DPI)


def headings(found: Map, column: str | None) -> tuple[str, str]:
    """What a map shows, in short and at length."""
    n = units.several(len(found.places), "record")
    if len(found.places) + found.left_out < found.total:
        n = f"{len(found.places):,} of {found.total:,} records"
    parts = [projection.NAMES[found.method], n]
    if found.trust is not None:
        parts.append(f"trustworthiness {found.trust:.3f} (k = {found.neighbours})")
    parts.append(f"laid out {found.laid_out[:10]}")
    if found.added:
        parts.append(f"{found.added:,} added since")
    if column is not None:
        parts.append(f"by {on_one_line(column)}")
    return f"{found.version.feature} v{found.version.version}", " · ".join(parts)


def _points(axes: Any, places: projection.Matrix, colours: Colours) -> None:  # noqa: ANN401 - a private class
    """Points in a random order, so that no category hides another; the faint ones first."""
    n = len(places)
    order = np.random.default_rng(0).permutation(n)
    size = float(np.clip(20_000 / n, 1.5, 28))
    look: dict[str, Any] = {
        "s": size,
        "alpha": 0.85 if n < _MANY else 0.6,
        "linewidths": 0,
        "rasterized": True,
    }
    if isinstance(colours, Numbers):
        none = np.isnan(colours.values)
        axes.scatter(*places[none].T, color=FAINT, **look)
        some = order[~none[order]]
        limits = {"vmin": colours.low, "vmax": colours.high}
        axes.scatter(*places[some].T, c=colours.values[some], cmap=SCALE, **limits, **look)
        return
    behind = np.array([category.behind for category in colours.categories])[colours.codes]
    shades = np.array([category.colour for category in colours.categories])[colours.codes]
    for some in (order[behind[order]], order[~behind[order]]):
        axes.scatter(*places[some].T, c=shades[some], **look)


def _bar(figure: Any, axes: Any, numbers: Numbers) -> None:  # noqa: ANN401 - as above
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    shown = ScalarMappable(Normalize(numbers.low, numbers.high), SCALE)
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max"}
    bar = figure.colorbar(
        shown, ax=axes, shrink=0.6, aspect=30, extend=extend.get(numbers.beyond, "both")
    )
    bar.set_ticks([tick for tick, _ in numbers.ticks], labels=[text for _, text in numbers.ticks])
    bar.set_label(_plain(numbers.column), color=_DIM)
    bar.ax.tick_params(labelcolor=_INK, color="#bbbbbb", labelsize=9)
    bar.outline.set_visible(False)


def _legend(axes: Any, colours: Categories) -> None:  # noqa: ANN401 - as above
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], marker="o", linestyle="", markersize=7, color=category.colour,
               label=_plain(f"{category.name}  {category.count:,}"))
        for category in colours.categories
    ]  # fmt: skip
    legend = axes.legend(
        handles=handles,
        title=_plain(colours.column or ""),
        loc="upper left",
        bbox_to_anchor=(1.01, 1),
        frameon=False,
        fontsize=9.5,
        labelcolor=_INK,
        alignment="left",
        borderaxespad=0,
    )
    legend.get_title().set_color(_DIM)


def shades() -> list[str]:
    """The colours of the scale from low to high, as ``#rrggbb``."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colormaps[SCALE](at)) for at in np.linspace(0, 1, 16)]


def _plain(text: str) -> str:
    """Text in which matplotlib reads no formula."""
    return on_one_line(text).replace("$", r"\$")
