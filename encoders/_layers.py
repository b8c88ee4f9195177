"""Which layers of a transformer are read, and how their vectors become one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from encoders.base import EncoderUsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

Combine: TypeAlias = Literal["mean", "concat"]

LAST: tuple[int, ...] = (-1,)
"""The last layer alone, which a model gives without keeping the others."""


def asked(layers: int | Sequence[int]) -> tuple[int, ...]:
    """A layer, or a list of them, as a tuple.

    Raises:
        ValueError: if it names none.
    """
    if isinstance(layers, int):
        return (layers,)
    if not layers:
        raise ValueError("layers names no layer; leave it out for the last one")
    return tuple(layers)


def resolved(layers: tuple[int, ...], known: int, model: str) -> tuple[int, ...]:
    """The layers counted from 0, the embeddings.

    Args:
        layers: negative ones count from the last.
        known: how many the model gives, the embeddings among them.
        model: as the user called it.

    Raises:
        EncoderUsageError: if the model has no such layer, or one is named twice.
    """
    wrong = [layer for layer in layers if not -known <= layer < known]
    if wrong:
        raise EncoderUsageError(
            f"{model!r} has {known - 1} layers, so layers must be from {-known} to {known - 1} "
            f"(0 the embeddings, -1 the last), got {wrong[0]}"
        )
    found = tuple(layer % known for layer in layers)
    if len(set(found)) < len(found):
        raise EncoderUsageError(
            f"layers = {list(layers)} names a layer of {model!r} twice, which has {known - 1}; "
            "leave one out"
        )
    return found


def combined(layers: Sequence[torch.Tensor], how: Combine) -> torch.Tensor:
    """The mean of some layers ``(..., width)``, or all side by side ``(..., layers * width)``."""
    import torch

    if len(layers) == 1:
        return layers[0]
    return torch.cat(list(layers), dim=-1) if how == "concat" else torch.stack(list(layers)).mean(0)
