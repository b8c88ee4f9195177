"""A picture of quality against the number of dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.analysis import dims
from storage.model import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from flows.analysis.widths import Widths


def plot(found: Widths, path: Path) -> None:
    """Draw quality against width into a picture; its format goes by the name's ending.

    Raises:
        UsageError: if there is no such folder, or no such format.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    names = {"first": "first k", "principal": "k principal directions"}
    whole = next(width for width in found.widths if width.how == "whole")
    for how, name in names.items():
        points = [whole, *(width for width in found.widths if width.how == how)]
        at = [width.dim for width in points]
        axes.errorbar(
            *(at, [width.overlap for width in points]),
            yerr=[width.overlap_error for width in points],
            marker="o",
            label=f"overlap@{dims.K}, {name}",
        )
        if found.label is not None:
            accuracies = [width.accuracy or 0.0 for width in points]
            axes.plot(at, accuracies, "s--", label=f"accuracy for {found.label}, {name}")
    axes.set_xscale("log", base=2)
    ticks = sorted({width.dim for width in found.widths})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_ylim(0, 1.02)
    axes.set(xlabel="dimensions", ylabel="quality", title=f"{found.version.table}")
    axes.grid(visible=True, alpha=0.3)
    axes.legend()
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} to put {path.name} into; make it first")
    try:
        figure.savefig(path, dpi=150)
    except ValueError as error:
        raise UsageError(f"--png cannot be written as {path.name}: {error}") from error
