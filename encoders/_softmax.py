"""The last layer of a language model: which word comes, out of all that it knows.

To learn, the sum over the whole vocabulary is estimated from words drawn by their frequency
(importance sampling: Bengio & Senécal 2003, "Quick training of probabilistic neural nets by
importance sampling"); to be measured, it is computed in full, so that probabilities sum to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

_AT_ONCE = 1 << 23
"""Floats that the full softmax may hold: 32 MiB."""


class Draws:
    """Draws words by their frequency, as noise to learn against."""

    def __init__(self, frequencies: NDArray[np.float64], count: int) -> None:
        self._edges = np.cumsum(frequencies)
        self._count = count
        self._log_expected = np.log(count * frequencies).astype(np.float32)

    def __call__(self, rng: np.random.Generator, device: str) -> tuple[Tensor, Tensor]:
        """Words, ``(count,)`` int64 with repetition, and ``(count,)`` float32 beside them.

        The latter is the logarithm of how often such a draw is expected to come upon each.
        """
        import torch

        at = np.searchsorted(self._edges, rng.random(self._count), side="right")
        drawn = np.minimum(at, len(self._edges) - 1)
        expected = torch.from_numpy(self._log_expected[drawn])
        return torch.from_numpy(drawn).to(device), expected.to(device)


def sampled_loss(
    features: Tensor, table: Tensor, bias: Tensor, targets: Tensor, drawn: tuple[Tensor, Tensor]
) -> Tensor:
    """The summed negative log-likelihood of words, its normaliser estimated from drawn words.

    Args:
        features: ``(n, d)`` float32, what the model makes of each context.
        table: ``(v, d)`` float32, a row a word.
        bias: ``(v,)`` float32.
        targets: ``(n,)`` int64, the word that came.
        drawn: from `Draws`.
    """
    import torch

    noise, log_expected = drawn
    true = (features * table[targets]).sum(1) + bias[targets]
    # A draw stands for all words that are as rare as it: its weight is one by its expected count.
    others = torch.addmm(bias[noise] - log_expected, features, table[noise].T)
    hit = noise[None, :] == targets[:, None]
    others = others.masked_fill(hit, -torch.inf)
    total = torch.logsumexp(torch.cat([true[:, None], others], dim=1), dim=1)
    return (total - true).sum()


def exact_loss(features: Tensor, table: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """The summed negative log-likelihood over the whole vocabulary, in nats; see `sampled_loss`."""
    import torch

    rows = max(1, _AT_ONCE // len(table))
    parts = [
        torch.nn.functional.cross_entropy(torch.addmm(bias, some, table.T), wanted, reduction="sum")
        for some, wanted in zip(
            torch.split(features, rows), torch.split(targets, rows), strict=True
        )
    ]
    return torch.stack(parts).sum()
