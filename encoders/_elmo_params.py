"""The keys of ELMo, for a published model and for one that learns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Literal

from encoders import _characters
from encoders._bilm import Shape
from encoders._ranges import check_count, check_dropout, check_held_out, check_steps
from encoders.base import EncoderUsageError

if TYPE_CHECKING:
    from encoders.base import Json

PATHS = ("options", "weights")
_READING = ("layers", "pooling", "max_tokens")
_RUNNING = ("device", "batch_size")
_COUNTS = (
    *("max_tokens", "character_dim", "highways", "projection", "vocabulary", "min_count"),
    *("noise", "epochs", "batch_size"),
)
_WORD_WIDTH = 50
"""Characters of a word that are read, its two marks counted, as in the published models."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "elmo"``.

    Attributes:
        options: the ``options.json`` of a published model; with ``weights``, or neither.
        weights: its weights, HDF5. What follows after ``max_tokens`` is for learning one's own.
        layers: which layers a token's vector is the mean of: ``mean`` for all, or the numbers of
            some; 0 is the characters alone, the last the most contextual.
        pooling: tokens to texts, ``mean`` or ``max``.
        max_tokens: how many tokens of a text are read; see `Elmo.truncated`.
        character_dim: width of the character table.
        filters: windows of the character CNN, pairs of a width in characters and a number.
        highways: layers between the CNN and its projection.
        projection: width of a token, half the width of the vectors.
        cell: width of an LSTM's memory.
        vocabulary: how many words are predicted at most; all others are one unknown word.
        min_count: how often a word must stand in the sample to be predicted.
        noise: words drawn a batch in place of the whole vocabulary.
        held_out: share of the sample that is not learned from, to know when to stop.
        dropout: share of each layer's input and output left out while learning.
        epochs: at most so many passes over the sample.
        rate: learning rate at the first step.
        decay: weight decay.
        device: ``auto`` (CUDA where there is one), or any device of torch.
        batch_size: texts handed over at a time.

    Raises:
        ValueError: if a value is out of its range, or of the other way to get a model.
    """

    options: str | None = None
    weights: str | None = None
    layers: Literal["mean"] | int | tuple[int, ...] = "mean"
    pooling: Literal["mean", "max"] = "mean"
    max_tokens: int = 512
    character_dim: int = 16
    filters: tuple[tuple[int, int], ...] = ((1, 16), (2, 32), (3, 64), (4, 128))
    highways: int = 1
    projection: int = 64
    cell: int = 128
    vocabulary: int = 10_000
    min_count: int = 3
    noise: int = 512
    held_out: float = 0.05
    dropout: float = 0.1
    epochs: int = 6
    rate: float = 0.004
    decay: float = 0.01
    device: str = "auto"
    batch_size: int = 64

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", tuple(tuple(pair) for pair in self.filters))
        if isinstance(self.layers, list):
            object.__setattr__(self, "layers", tuple(self.layers))
        if (self.options is None) != (self.weights is None):
            raise ValueError(
                f"options and weights belong together, got {self.options!r} and {self.weights!r}; "
                "give both files of a published model, or neither to learn one"
            )
        if self.options is not None:
            self._refuse_learning()
        self._check_sizes()
        self._check_learning()

    def _check_sizes(self) -> None:
        for name in _COUNTS:
            least = 0 if name == "highways" else 1
            check_count(name, getattr(self, name), least)
        if self.projection >= self.cell:
            raise ValueError(
                f"projection must be less than cell, got {self.projection} of {self.cell}"
            )
        if not self.filters or not all(
            1 <= width <= _WORD_WIDTH and count >= 1 for width, count in self.filters
        ):
            raise ValueError(
                f"filters must be pairs of a width from 1 to {_WORD_WIDTH} and a number of 1 or "
                f"more, such as [[1, 16], [3, 64]], got {self.filters}"
            )

    def _check_learning(self) -> None:
        check_held_out(self.held_out)
        check_dropout(self.dropout)
        check_steps(self.rate, self.decay)
        if self.pooling not in {"mean", "max"}:
            raise ValueError(f"pooling must be 'mean' or 'max', got {self.pooling!r}")

    def _refuse_learning(self) -> None:
        allowed = {*PATHS, *_READING, *_RUNNING}
        for field in fields(self):
            if field.name not in allowed and getattr(self, field.name) != field.default:
                raise ValueError(
                    f"{field.name} is for a model that learns; the published one that options and "
                    "weights name has its own: remove it"
                )

    def chosen(self, depth: int) -> tuple[int, ...]:
        """The numbers of the layers, of a network with so many LSTM layers.

        Raises:
            EncoderUsageError: if it has no such layer.
        """
        if self.layers == "mean":
            return tuple(range(depth + 1))
        given = (self.layers,) if isinstance(self.layers, int) else tuple(self.layers)
        if not given or not all(0 <= at <= depth for at in given):
            raise EncoderUsageError(
                f"layers must be 'mean', or numbers from 0 to {depth}, got {self.layers!r}"
            )
        return given

    def shape(self) -> Shape:
        """The sizes of a network that learns."""
        return Shape(
            characters=_characters.SYMBOLS,
            width=_WORD_WIDTH,
            character_dim=self.character_dim,
            filters=self.filters,
            activation="relu",
            highways=self.highways,
            projection=self.projection,
            cell=self.cell,
        )

    def learning(self) -> dict[str, Json]:
        """The keys that decide what is learned."""
        others = {*PATHS, *_READING, *_RUNNING}
        plain: dict[str, Json] = {
            name: value for name, value in asdict(self).items() if name not in others
        }
        return {**plain, "filters": [list(pair) for pair in self.filters]}

    def reading(self) -> dict[str, Json]:
        """The keys that decide what is made of a network's layers."""
        layers: Json = [*self.layers] if isinstance(self.layers, tuple) else self.layers
        return {"layers": layers, "pooling": self.pooling, "max_tokens": self.max_tokens}
