"""The parameters of a recurrent encoder of recordings."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from encoders._mel import Mel
from encoders._ranges import check_count, check_counts, check_dropout, check_held_out, check_steps
from encoders._recurrent import CELLS, POOLINGS, Cell, Pooling, Shape
from encoders._warp import Warp

if TYPE_CHECKING:
    from encoders._recurrent_training import Objective
    from encoders._steps import Reading

_COUNTS = ("layers", "hidden", "dim", "stack", "epochs", "patience", "batch_size")
_WARPS = {"tract": 0.5, "pace": 0.5, "crop": 0.4, "mask_bands": 1.0, "mask_time": 1.0}


@dataclass(frozen=True)
class Params(Mel):
    """The keys of ``[encoders.NAME]`` for ``kind = "lstm"``: those of `Mel`, and these.

    Attributes:
        label: the kept column whose labels are learned to be told; None learns to unroll the
            recordings themselves, as a sequence autoencoder.
        cell: ``lstm``, ``gru`` or ``rnn``.
        layers: one above the other.
        hidden: units of a layer, in each direction.
        bidirectional: read backwards, too.
        pooling: steps to a recording, ``mean``, ``max``, ``last`` or ``attention``.
        dim: the width of the vectors.
        centre: take the mean of each band over a recording out of it.
        stack: frames side by side in a step.
        span_seconds: longer recordings are read in equal parts of at most so much, each from
            its beginning; their vector is the mean of the parts'.
        held_out: share of the sample that is not learned from, to know when to stop.
        dropout: share of each layer's output that is left out while learning.
        tract: while learning, frequencies are times 1 - tract to 1 + tract.
        pace: while learning, durations are times 1 - pace to 1 + pace.
        crop: while learning, at most this share is cut from either end.
        masks: while learning, so many masks of bands and so many of times.
        mask_bands: the widest mask, as a share of the bands.
        mask_time: the longest mask, as a share of the frames.
        epochs: at most so many passes over the sample.
        patience: epochs without a lower held-out loss before it stops.
        learning_rate: at the first step.
        decay: weight decay.
        normalize: give vectors of L2 norm 1.
        device: ``auto`` (CUDA where there is one), or any device of torch.
        batch_size: recordings encoded at a time; their samples are in memory together.

    Raises:
        ValueError: if a value is out of its range.
    """

    label: str | None = None
    cell: Cell = "lstm"
    layers: int = 1
    hidden: int = 64
    bidirectional: bool = True
    pooling: Pooling = "mean"
    dim: int = 64
    centre: bool = True
    stack: int = 2
    span_seconds: float = 10.0
    held_out: float = 0.1
    dropout: float = 0.3
    tract: float = 0.0
    pace: float = 0.0
    crop: float = 0.0
    masks: int = 0
    mask_bands: float = 0.2
    mask_time: float = 0.2
    epochs: int = 15
    patience: int = 4
    learning_rate: float = 0.005
    decay: float = 0.05
    normalize: bool = True
    device: str = "auto"
    batch_size: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_network()
        self._check_learning()

    def _check_network(self) -> None:
        check_counts(self, _COUNTS)
        for name, known in {"cell": CELLS, "pooling": POOLINGS}.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        if not self.span_seconds * 1000 >= self.window_ms:  # NaN too
            raise ValueError(
                f"span_seconds must be at least a window, {self.window_ms / 1000:g} s, "
                f"got {self.span_seconds}"
            )

    def _check_learning(self) -> None:
        for name, most in _WARPS.items():
            if not 0 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be from 0 to {most}, got {getattr(self, name)}")
        check_count("masks", self.masks, 0)
        check_held_out(self.held_out)
        check_dropout(self.dropout)
        check_steps(self.learning_rate, self.decay, "learning_rate")

    def shape(self) -> Shape:
        """The sizes of the network."""
        return Shape(
            features=self.mels * self.stack,
            cell=self.cell,
            layers=self.layers,
            hidden=self.hidden,
            bidirectional=self.bidirectional,
            pooling=self.pooling,
            dim=self.dim,
        )

    def reading(self) -> Reading:
        """How recordings are read."""
        from encoders._steps import Reading

        mel = Mel(**{field.name: getattr(self, field.name) for field in fields(Mel)})
        span = max(1, round(self.span_seconds * 1000 / self.hop_ms))
        return Reading(mel, self.centre, self.stack, span)

    def objective(self) -> Objective:
        """How to learn."""
        from encoders._descent import Descent
        from encoders._recurrent_training import Objective

        return Objective(
            held_out=self.held_out,
            dropout=self.dropout,
            warp=Warp(
                self.tract, self.pace, self.crop, self.masks, self.mask_bands, self.mask_time
            ),
            descent=Descent(self.epochs, self.learning_rate, self.decay, self.patience),
        )
