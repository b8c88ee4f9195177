"""A recurrent network over sequences of unequal length, each read as if it were alone.

Simple recurrent networks (Elman 1990), LSTM (Hochreiter & Schmidhuber 1997) and GRU (Cho et al.
2014), in both directions (Schuster & Paliwal 1997). Sequences are packed, not padded: no step is
taken behind the end of any, in either direction, and the pooling over time sees none either.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor
    from torch.nn.utils.rnn import PackedSequence

    Drop = Callable[[Tensor], Tensor]

Cell: TypeAlias = Literal["lstm", "gru", "rnn"]
CELLS: tuple[Cell, ...] = ("lstm", "gru", "rnn")
Pooling: TypeAlias = Literal["mean", "max", "last", "attention"]
POOLINGS: tuple[Pooling, ...] = ("mean", "max", "last", "attention")

_GATES = {"lstm": 4, "gru": 3, "rnn": 1}


@dataclass(frozen=True)
class Shape:
    """The sizes of a network.

    Attributes:
        features: of a step of the input.
        cell: the kind of unit.
        layers: one above the other.
        hidden: units of a layer, in each direction.
        bidirectional: whether each layer reads backwards, too.
        pooling: how the top layer's steps become one row. ``last`` is the state after the last
            step, of the backward direction after the first; ``attention`` a mean whose weights
            are learned (Lin et al. 2017).
        dim: width of the row that is made of these.
    """

    features: int
    cell: Cell
    layers: int
    hidden: int
    bidirectional: bool
    pooling: Pooling
    dim: int

    @property
    def width(self) -> int:
        """Of the output of a layer."""
        return self.hidden * (1 + self.bidirectional)

    def weights(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of every weight, those of layers as torch names them."""
        found: dict[str, tuple[int, ...]] = {}
        for layer in range(self.layers):
            below = self.width if layer else self.features
            for way in ("", "_reverse") if self.bidirectional else ("",):
                found |= unit(f"layer_{layer}", way, self.cell, below, self.hidden)
        if self.pooling == "attention":
            found |= {"attend.weight": (self.width, self.width), "attend.bias": (self.width,)}
            found["query"] = (self.width,)
        return found | {"project.weight": (self.dim, self.width), "project.bias": (self.dim,)}


def unit(name: str, way: str, cell: Cell, below: int, hidden: int) -> dict[str, tuple[int, ...]]:
    """The weights of one direction of one layer, in torch's order of them."""
    rows = _GATES[cell] * hidden
    return {
        f"{name}.weight_ih{way}": (rows, below),
        f"{name}.weight_hh{way}": (rows, hidden),
        f"{name}.bias_ih{way}": (rows,),
        f"{name}.bias_hh{way}": (rows,),
    }


def drawn(
    shapes: Mapping[str, tuple[int, ...]], cell: Cell, rng: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    """Weights to begin with: orthogonal from step to step (Saxe et al. 2014), Glorot's elsewhere.

    The forget gate of an LSTM begins open (Jozefowicz, Zaremba & Sutskever 2015).
    """
    found: dict[str, NDArray[np.float32]] = {}
    for name, shape in shapes.items():
        if "bias" in name or len(shape) == 1:
            array = np.zeros(shape)
            if cell == "lstm" and "bias_ih" in name:
                array[shape[0] // 4 : shape[0] // 2] = 1
        elif "weight_hh" in name:
            gates = rng.normal(size=(shape[0] // shape[1], shape[1], shape[1]))
            array = np.linalg.qr(gates)[0].reshape(shape)
        else:
            # of one gate, not of all side by side
            fans = shape[1] + (shape[0] // _GATES[cell] if "weight_ih" in name else shape[0])
            array = rng.uniform(-1, 1, shape) * np.sqrt(6 / fans)
        found[name] = array.astype(np.float32)
    return found


@dataclass(frozen=True)
class Network:
    """A network with its weights, tensors on one device."""

    shape: Shape
    weights: Mapping[str, Tensor]

    def __call__(self, steps: PackedSequence, drop: Drop | None = None) -> Tensor:
        """Rows ``(n, dim)`` float32 of packed sequences, in the order in which they were packed.

        Args:
            steps: of ``features`` each.
            drop: what to do to the output of each layer, when learning.
        """
        drop = drop or _keep
        states = last = steps.data
        for layer in range(self.shape.layers):
            states, last = run(
                self.shape.cell,
                [self.weights[name] for name in self._names(layer)],
                steps._replace(data=drop(states) if layer else states),
                bidirectional=self.shape.bidirectional,
            )
        pooled = self._pooled(steps._replace(data=states), last)
        rows = linear(self.weights, "project", drop(pooled))
        return rows if steps.unsorted_indices is None else rows[steps.unsorted_indices]

    def _names(self, layer: int) -> list[str]:
        return [name for name in self.shape.weights() if name.startswith(f"layer_{layer}.")]

    def _pooled(self, states: PackedSequence, last: Tensor) -> Tensor:
        """The states of each sequence as one row, the longest sequence first."""
        import torch

        if self.shape.pooling == "last":
            return last
        rows = sequences(states.batch_sizes).to(states.data.device)
        count = int(states.batch_sizes[0])
        blank = states.data.new_zeros(count, self.shape.width)
        if self.shape.pooling == "max":
            index = rows[:, None].expand_as(states.data)
            return blank.scatter_reduce(0, index, states.data, "amax", include_self=False)
        if self.shape.pooling == "mean":
            shares = torch.ones_like(rows, dtype=states.data.dtype)
        else:
            seen = torch.tanh(linear(self.weights, "attend", states.data))
            # bounded, so that no exponential overflows: no maximum has to be taken out
            shares = torch.exp(10 * torch.tanh(seen @ self.weights["query"] / 10))
        total = shares.new_zeros(count).index_add(0, rows, shares)
        return blank.index_add(0, rows, states.data * shares[:, None]) / total[:, None]


def accept_copies(device: str) -> None:
    """Silence cuDNN's advice on weights that are no module's: they are copied at each call.

    A layer's are some hundred kilobytes, nothing beside the call.
    """
    if device.startswith("cuda"):
        warnings.filterwarnings("ignore", "RNN module weights are not part of", UserWarning)


def run(
    cell: Cell,
    weights: Sequence[Tensor],
    steps: PackedSequence,
    *,
    bidirectional: bool = False,
    start: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One layer over packed sequences.

    Args:
        cell: the kind of unit.
        weights: as `unit` names them, of each direction.
        steps: the input.
        bidirectional: whether it reads backwards, too.
        start: ``(1, n, hidden)`` float32, the state before the first step; zeros if left out.

    Returns:
        The states after each step, ``(steps, width)``, packed as the input is, and those after
        the last, ``(n, width)``, the longest sequence first.
    """
    import torch

    count, hidden = int(steps.batch_sizes[0]), weights[1].shape[1]
    zeros = steps.data.new_zeros(1 + bidirectional, count, hidden)
    before = zeros if start is None else start
    # What torch.nn.LSTM calls: modules hold their weights, which threads could not share while
    # they learn. The arguments: with biases, one layer, no dropout, learning or not.
    options: tuple[Any, ...] = (True, 1, 0.0, torch.is_grad_enabled(), bidirectional)
    given = (steps.data, steps.batch_sizes)
    if cell == "lstm":
        states, last, _ = torch.lstm(*given, (before, zeros), list(weights), *options)
    else:
        layer = torch.gru if cell == "gru" else torch.rnn_tanh
        states, last = layer(*given, before, list(weights), *options)
    return states, last.transpose(0, 1).flatten(1)


def sequences(batch_sizes: Tensor) -> Tensor:
    """To which sequence each packed step belongs, the longest being 0: ``(steps,)`` int64."""
    import torch

    ends = torch.repeat_interleave(batch_sizes.cumsum(0) - batch_sizes, batch_sizes)
    return torch.arange(len(ends)) - ends


def pack(matrices: Sequence[NDArray[np.float32]], device: str) -> PackedSequence:
    """Sequences ``(steps, features)``, each of one step or more, as torch packs them."""
    import torch
    from torch.nn.utils.rnn import pack_sequence

    # copied, since one step backwards counts as contiguous though its stride is negative
    tensors = [torch.from_numpy(matrix.copy()).to(device) for matrix in matrices]
    return pack_sequence(tensors, enforce_sorted=False)


def linear(weights: Mapping[str, Tensor], name: str, rows: Tensor) -> Tensor:
    """Rows through the layer of this name."""
    import torch

    return torch.addmm(weights[f"{name}.bias"], rows, weights[f"{name}.weight"].T)


def _keep(rows: Tensor) -> Tensor:
    return rows
