"""Learning by gradient descent, epoch by epoch, until what was held out gets no better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from encoders._repeatable import repeatable
from encoders.base import EncoderError
from encoders.learning import EarlyStopping

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from torch import Generator, Tensor

    from encoders.learning import Watch

    Weights = dict[str, Tensor]
    Drop = Callable[[Tensor], Tensor]

_STEEPEST = 5.0
"""Gradients of a larger norm are shortened to this."""
_LAST = 0.05
"""What is left of the rate at the last step."""


@dataclass(frozen=True)
class Descent:
    """How to descend.

    Attributes:
        epochs: at most so many passes over the batches.
        rate: the learning rate of AdamW at the first step; it falls in a straight line.
        decay: its weight decay (Loshchilov & Hutter 2019), of all weights but biases.
        patience: epochs without a better held-out loss before it stops.
    """

    epochs: int
    rate: float
    decay: float
    patience: int = 2


def descend(
    weights: Weights,
    batches: Callable[[], Sequence[Any]],
    loss: Callable[[Any], tuple[Tensor, int]],
    held_out: Callable[[], float],
    how: Descent,
    *,
    watch: Watch,
) -> EarlyStopping:
    """Change weights in place to those of the epoch with the lowest held-out loss.

    Args:
        weights: leaf tensors by name.
        batches: the batches of an epoch, equally many each time.
        loss: of one batch, summed over its targets, and how many these are.
        held_out: the loss a target on what is not in the batches, in nats.
        how: rate, epochs and the like.
        watch: hears of each batch.

    Raises:
        EncoderError: if the loss becomes NaN or infinite.
    """
    import torch

    for weight in weights.values():
        weight.requires_grad_()
    optimizer = _optimizer(weights, how)
    stopping = EarlyStopping(how.patience)
    device = next(iter(weights.values())).device.type
    best: Weights = {}
    for epoch in range(how.epochs):
        with repeatable(device):
            train = _epoch(weights, batches(), loss, optimizer, (how, epoch), watch=watch)
        with torch.no_grad():
            try:
                better = stopping.better(train, held_out())
            except ValueError as error:
                raise EncoderError(str(error)) from error
        if better:
            best = {name: weight.detach().clone() for name, weight in weights.items()}
        if stopping.done:
            break
    weights.update(best)
    return stopping


def _optimizer(weights: Weights, how: Descent) -> Any:  # noqa: ANN401 - torch's optimizer; naming it would import torch
    import torch

    biases = [weight for name, weight in weights.items() if "bias" in name]
    others = [weight for name, weight in weights.items() if "bias" not in name]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": biases, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=how.rate, weight_decay=how.decay)


def _epoch(
    weights: Weights,
    batches: Sequence[Any],
    loss: Callable[[Any], tuple[Tensor, int]],
    optimizer: Any,  # noqa: ANN401 - as above
    at: tuple[Descent, int],
    *,
    watch: Watch,
) -> float:
    """One pass; the mean loss of a target."""
    import torch

    how, epoch = at
    watch.stage(f"epoch {epoch + 1} of at most {how.epochs}", len(batches))
    total, targets = 0.0, 0
    for step, batch in enumerate(batches):
        done = (epoch + step / len(batches)) / how.epochs
        for group in optimizer.param_groups:
            group["lr"] = how.rate * (1 - (1 - _LAST) * done)
        summed, count = loss(batch)
        optimizer.zero_grad()
        torch.autograd.backward(summed / count)
        torch.nn.utils.clip_grad_norm_(weights.values(), _STEEPEST)
        optimizer.step()
        total, targets = total + float(summed.detach()), targets + count
        watch.advance(1)
    return total / targets


def dropping(share: float, generator: Generator) -> Drop:
    """Dropout whose chance is in a generator of its own, not in that of the whole process."""
    import torch

    def drop(values: Tensor) -> Tensor:
        kept = torch.rand(values.shape, generator=generator, device=values.device) >= share
        return values * kept / (1 - share)

    return drop if share > 0 else lambda values: values


def seeded(rng: np.random.Generator, device: str) -> Generator:
    """A generator of torch whose chance comes from numpy's."""
    import torch

    return torch.Generator(device).manual_seed(int(rng.integers(2**63)))
