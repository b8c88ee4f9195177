"""What a recurrent encoder of recordings is asked while it learns: their labels, or themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from encoders._recurrent import Cell, linear, pack, run, sequences, unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Weights = Mapping[str, Tensor]
    Steps = Sequence[NDArray[np.float32]]

_SMOOTHING = 0.1
"""Of labels (Szegedy et al. 2016): a class is aimed at with 0.9, not with certainty."""


class Goal(Protocol):
    """A question that only rows which know their recordings can answer."""

    def weights(self, dim: int) -> dict[str, tuple[int, ...]]:
        """The shapes of what it takes to answer from rows of a width, beside the network."""
        ...

    def loss(
        self, weights: Weights, vectors: Tensor, rows: NDArray[np.int64], steps: Steps
    ) -> tuple[Tensor, int]:
        """The loss summed over targets, and how many these are.

        Args:
            weights: see `weights`.
            vectors: ``(n, dim)`` float32.
            rows: ``(n,)`` int64, which recordings of the sample they are of.
            steps: these recordings, ``(t, features)`` each, as they are.
        """
        ...

    def figures(
        self, weights: Weights, vectors: Tensor, rows: NDArray[np.int64], steps: Steps
    ) -> dict[str, float]:
        """What is measured on recordings held out besides, and what comes of knowing nothing."""
        ...

    def failure(self, figures: Mapping[str, float]) -> str | None:
        """These figures in words, where no more was learned than nothing; None elsewhere."""
        ...


@dataclass(frozen=True)
class Classes:
    """Tell the class of a recording, by a linear softmax.

    Attributes:
        numbers: ``(n,)`` int64, the class of each recording of the sample.
        count: how many classes there are.
    """

    numbers: NDArray[np.int64]
    count: int

    def weights(self, dim: int) -> dict[str, tuple[int, ...]]:
        """A row a class."""
        return {"classes.weight": (self.count, dim), "classes.bias": (self.count,)}

    def loss(
        self, weights: Weights, vectors: Tensor, rows: NDArray[np.int64], steps: Steps
    ) -> tuple[Tensor, int]:
        """Cross entropy in nats; a target is a recording."""
        import torch

        del steps
        wanted = torch.from_numpy(self.numbers[rows]).to(vectors.device)
        told = self._told(weights, vectors)
        summed = torch.nn.functional.cross_entropy(
            told, wanted, reduction="sum", label_smoothing=_SMOOTHING
        )
        return summed, len(rows)

    def figures(
        self, weights: Weights, vectors: Tensor, rows: NDArray[np.int64], steps: Steps
    ) -> dict[str, float]:
        """How often it is right, and how often who always says the class of most would be."""
        import numpy as np

        del steps
        told = self._told(weights, vectors).argmax(dim=1).cpu().numpy()
        most = np.bincount(self.numbers[rows], minlength=self.count).max()
        return {
            "held_out_accuracy": float((told == self.numbers[rows]).mean()),
            "majority_accuracy": float(most / len(rows)),
        }

    def failure(self, figures: Mapping[str, float]) -> str | None:
        """Where no more are told than by always saying the class of most."""
        accuracy, majority = figures["held_out_accuracy"], figures["majority_accuracy"]
        if accuracy > majority:
            return None
        return (
            f"learned nothing: of the recordings held out it tells {accuracy:.0%}, and who always "
            f"says the most frequent class {majority:.0%}; give more recordings or epochs, or "
            "check the labels"
        )

    def _told(self, weights: Weights, vectors: Tensor) -> Tensor:
        return linear(weights, "classes", vectors)


@dataclass(frozen=True)
class Again:
    """Unroll a recording from its row alone, the last step first, by a network of one layer.

    Srivastava, Mansimov & Salakhutdinov 2015, the unconditioned decoder: it is told nothing of
    the steps before, so that all must be in the row.

    Attributes:
        cell: its kind of unit.
        hidden: how many.
        features: of a step.
    """

    cell: Cell
    hidden: int
    features: int

    def weights(self, dim: int) -> dict[str, tuple[int, ...]]:
        """From the row to a first state, on through time, and from each state to a step."""
        return {
            "begin.weight": (self.hidden, dim),
            "begin.bias": (self.hidden,),
            **unit("unroll", "", self.cell, dim, self.hidden),
            "step.weight": (self.features, self.hidden),
            "step.bias": (self.features,),
        }

    def loss(
        self, weights: Weights, vectors: Tensor, rows: NDArray[np.int64], steps: Steps
    ) -> tuple[Tensor, int]:
        """Squared errors; a target is a number of a step, of deviation 1 over the sample."""
        del rows
        wanted = pack([step[::-1] for step in steps], str(vectors.device))
        longest_first = vectors[wanted.sorted_indices]
        given = longest_first[sequences(wanted.batch_sizes).to(vectors.device)]
        names = unit("unroll", "", self.cell, vectors.shape[1], self.hidden)
        states, _ = run(
            self.cell,
            [weights[name] for name in names],
            wanted._replace(data=given),
            start=linear(weights, "begin", longest_first).tanh()[None],
        )
        error = linear(weights, "step", states) - wanted.data
        return error.square().sum(), error.numel()

    def figures(
        self, weights: Weights, vectors: Tensor, rows: NDArray[np.int64], steps: Steps
    ) -> dict[str, float]:
        """The mean squared error of a number, and that of always saying the mean frame."""
        import numpy as np

        summed, numbers = self.loss(weights, vectors, rows, steps)
        squares = sum(float(np.square(step, dtype=np.float64).sum()) for step in steps)
        return {
            "held_out_error": float(summed) / numbers,
            "mean_frame_error": squares / numbers,
        }

    def failure(self, figures: Mapping[str, float]) -> str | None:
        """Where recordings come out no better than as their mean frame."""
        error, mean = figures["held_out_error"], figures["mean_frame_error"]
        if error < mean:
            return None
        return (
            f"learned nothing: it unrolls the recordings held out with an error of {error:.3g}, "
            f"and the mean frame alone has {mean:.3g}; give more recordings or epochs"
        )
