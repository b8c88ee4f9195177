"""What encoders that learn share: somebody who watches, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol


class Watch(Protocol):
    """Hears how a fit goes on; called from the thread that fits."""

    def stage(self, name: str, total: int | None) -> None:
        """A part of the fit begins; ``total`` is its number of steps where that is known."""

    def advance(self, steps: int) -> None:
        """Some steps of the stage are done."""

    def note(self, message: str) -> None:
        """Something that a person should know of the fit, such as overfitting."""


class Quiet:
    """A watch that nobody looks at."""

    def stage(self, name: str, total: int | None) -> None:
        """Say nothing."""

    def advance(self, steps: int) -> None:
        """Say nothing."""

    def note(self, message: str) -> None:
        """Say nothing."""


QUIET = Quiet()


@dataclass
class EarlyStopping:
    """When to stop learning, by the loss on records that were held out (Prechelt 1998).

    Attributes:
        patience: how many epochs may pass without a better held-out loss.
        least: by which share a loss must be lower than the best one to count as better.
        history: training and held-out loss of every epoch seen, in nats.
        best: the epoch of the lowest held-out loss, from 0; -1 before the first.
    """

    patience: int = 2
    least: float = 1e-3
    history: list[tuple[float, float]] = field(default_factory=list)
    best: int = -1

    def better(self, train: float, held_out: float) -> bool:
        """Take an epoch's losses; whether its model is the one to keep.

        Raises:
            ValueError: if a loss is NaN or infinite: the fit has diverged.
        """
        if not (math.isfinite(train) and math.isfinite(held_out)):
            raise ValueError(
                f"the loss of epoch {len(self.history) + 1} is {train} in training and {held_out} "
                "held out: the fit has diverged; lower the learning rate"
            )
        self.history.append((train, held_out))
        if self.best < 0 or held_out < self.history[self.best][1] * (1 - self.least):
            self.best = len(self.history) - 1
            return True
        return False

    @property
    def done(self) -> bool:
        """Whether patience has run out."""
        return len(self.history) - 1 - self.best >= self.patience

    def figures(self) -> dict[str, float | int | bool]:
        """What the fit came to, for the ``figures`` of a state's meta; losses in nats.

        ``overfitted`` tells that training went on to improve while the held-out loss rose; what
        is kept is the model of the best epoch, from before that.
        """
        train, held_out = self.history[self.best]
        last_train, last_held_out = self.history[-1]
        return {
            "epochs": len(self.history),
            "best_epoch": self.best + 1,
            "train_loss": train,
            "held_out_loss": held_out,
            "overfitted": last_train < train and last_held_out > held_out * (1 + self.least),
        }
