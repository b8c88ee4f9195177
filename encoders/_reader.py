"""Texts through ELMo's network: spelled, put into batches of like length, pooled."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from encoders import _bilm
from encoders._characters import BEGIN_TEXT, END_TEXT, needed, spelled, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from encoders._bilm import Drop, Shape, Weights

_FLOATS = 1 << 25
"""What the gates of a batch may hold: 128 MiB."""
_GATES = 8
"""Four of each direction."""


@dataclass(frozen=True)
class Reader:
    """A network with its weights.

    Attributes:
        weights: on the device where it runs.
        shape: its sizes.
        device: of torch.
    """

    weights: Weights
    shape: Shape
    device: str

    @cached_property
    def dim(self) -> int:
        """The width of a layer: both directions."""
        return 2 * self.shape.projection

    def pooled(
        self, texts: Sequence[str], chosen: Sequence[int], pooling: str, most: int
    ) -> NDArray[np.float32]:
        """Encode texts: ``(n, dim)`` float32, zeros for a text without a token.

        Args:
            texts: any number.
            chosen: which layers to take the mean of; 0 is that of the characters alone.
            pooling: over the tokens of a text, ``mean`` or ``max``.
            most: how many tokens of a text are read.
        """
        import torch

        cut = [tokens(text)[:most] for text in texts]
        found = np.zeros((len(texts), self.dim), np.float32)
        full = sorted((row for row in range(len(cut)) if cut[row]), key=lambda row: len(cut[row]))
        lengths = [len(cut[row]) + 2 for row in full]
        for part in _bilm.bundle(lengths, _FLOATS // (_GATES * self.shape.cell)):
            rows = full[part]
            with torch.no_grad():
                mixed, own = self._mixed([cut[row] for row in rows], chosen)
                found[rows] = _POOLINGS[pooling](mixed, own).cpu().numpy()
        return found

    def _mixed(
        self, texts: Sequence[Sequence[str]], chosen: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """The mean of some layers, ``(time, texts, dim)``, and which of it are tokens of a text."""
        import torch

        came, above, lengths = self.read(texts)
        every = [torch.cat([came, came], dim=2), *(torch.cat([*both], dim=2) for both in above)]
        at = torch.arange(len(came), device=self.device)[:, None]
        own = (at > 0) & (at < lengths - 1)
        return torch.stack([every[layer] for layer in chosen]).mean(0), own[:, :, None]

    def read(
        self, texts: Sequence[Sequence[str]], drop: Drop | None = None
    ) -> tuple[Tensor, list[Tensor], Tensor]:
        """Tokens ``(time, texts, projection)``, the layers above them, and lengths ``(texts,)``.

        Each text has its two boundaries, counted in its length.
        """
        import torch

        places, distinct = _numbered(texts)
        rows = spelled(distinct, self.shape.width)
        rows = rows[:, : needed(rows, self.shape.widest)]
        vectors = _bilm.words(self.weights, self.shape, torch.from_numpy(rows).to(self.device))
        came = vectors[torch.from_numpy(places).to(self.device)]
        lengths = torch.tensor([len(text) + 2 for text in texts], device=self.device)
        return came, _bilm.layers(self.weights, self.shape, came, lengths, drop), lengths


def _numbered(texts: Sequence[Sequence[str]]) -> tuple[NDArray[np.int64], list[str | int]]:
    """Each token's place among the distinct ones, ``(time, texts)``, so that each is read once."""
    known: dict[str | int, int] = {END_TEXT: 0, BEGIN_TEXT: 1}
    time = max(len(text) for text in texts) + 2
    places = np.zeros((time, len(texts)), np.int64)
    for column, text in enumerate(texts):
        places[0, column] = known[BEGIN_TEXT]
        for at, token in enumerate(text, 1):
            places[at, column] = known.setdefault(token, len(known))
    return places, list(known)


def _mean(values: Tensor, own: Tensor) -> Tensor:
    return (values * own).sum(0) / own.sum(0)


def _max(values: Tensor, own: Tensor) -> Tensor:
    return values.masked_fill(~own, -math.inf).amax(0)


_POOLINGS = {"mean": _mean, "max": _max}
