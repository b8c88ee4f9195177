"""What a fit measured, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def told(figures: Mapping[str, Any]) -> Iterator[str]:
    """The figures of a fit (`encoders.base.State`) as sentences; none where there are none."""
    # series, such as the loss of every epoch, are for `vecmill recipe`, not for one line
    plain = {
        name: value
        for name, value in figures.items()
        if name != "overfitted" and not isinstance(value, list)
    }
    if plain:
        yield "learned: " + ", ".join(
            f"{name.replace('_', ' ')} {_short(value)}" for name, value in plain.items()
        )
    if figures.get("overfitted"):
        yield (
            "it overfitted: the loss in training went on to fall while that of the records held "
            f"out rose; what is kept is {_best(figures)}, from before that. More records, or a "
            "smaller model, would learn more"
        )


def _best(figures: Mapping[str, Any]) -> str:
    best, epochs = figures.get("best_epoch"), figures.get("epochs")
    return f"epoch {best} of {epochs}" if best and epochs else "the best epoch"


def _short(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)
