"""Ranges that parameters of many kinds must lie in, and what is said of a value beyond them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_HALF = 0.5
_MOST_DROPPED = 0.9
"""Beyond it nothing is left to learn with."""


def check_counts(params: object, names: Iterable[str], least: int = 1) -> None:
    """See that parameters that count are not below the least; None is no count.

    Raises:
        ValueError: naming the first of them.
    """
    for name in names:
        check_count(name, getattr(params, name), least)


def check_count(name: str, value: int | None, least: int = 1) -> None:
    """See that one is not.

    Raises:
        ValueError: if it is.
    """
    if value is not None and value < least:
        raise ValueError(f"{name} must be {least} or more, got {value}")


def check_held_out(share: float) -> None:
    """See that something is held out of a sample, and most of it is not.

    Raises:
        ValueError: if that is not so.
    """
    if not 0 < share <= _HALF:
        raise ValueError(f"held_out must be above 0 and at most 0.5, got {share}")


def check_dropout(share: float) -> None:
    """See that dropout leaves something.

    Raises:
        ValueError: if it does not.
    """
    if not 0 <= share <= _MOST_DROPPED:
        raise ValueError(f"dropout must be from 0 to 0.9, got {share}")


def check_steps(rate: float, decay: float, name: str = "rate") -> None:
    """See that a learning rate and a weight decay can be descended by.

    Args:
        rate: the learning rate.
        decay: the weight decay.
        name: of the rate, where it has another.

    Raises:
        ValueError: if one cannot, NaN included.
    """
    if not (rate > 0 and decay >= 0):
        raise ValueError(f"{name} must be positive and decay not negative, got {rate} and {decay}")
