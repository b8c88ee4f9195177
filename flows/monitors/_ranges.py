"""Ranges that parameters of many monitors must lie in, and what is said of a value beyond them."""

from __future__ import annotations


def check_alpha(alpha: float, usual: float) -> None:
    """See that a share of false alarms is one.

    Args:
        alpha: the share.
        usual: what is told to whoever gave another.

    Raises:
        ValueError: if it is not.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha must lie between 0 and 1, got {alpha}; {usual:g} is usual")


def at_least(params: object, **least: int) -> None:
    """See that these parameters are not too small.

    Raises:
        ValueError: if one is.
    """
    for name, value in least.items():
        if getattr(params, name) < value:
            raise ValueError(f"{name} must be at least {value}, got {getattr(params, name)}")
