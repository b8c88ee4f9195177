"""Rows of a table, or vectors of features, by a variational autoencoder.

Kingma & Welling 2014, "Auto-Encoding Variational Bayes": a record is sent to a normal distribution
over vectors, q(z|x), and comes back from a draw of it; what q tells beyond a standard normal costs
its Kullback-Leibler divergence. The vector of a record is the mean of its q, so that no chance is
in it. How precise the way back is taken to be is not a parameter but what the errors of a batch say
(Rybkin, Daniilidis & Levine 2021, "Simple and Effective VAE Training with Calibrated Decoders").

A unit whose q is the same for all records is lost, "collapsed" (Bowman et al. 2016, "Generating
Sentences from a Continuous Space"); their remedy, to let the divergence cost nothing in the first
passes and ever more until it costs all, is `warmup`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from encoders import _compress
from encoders._compress import Compressor, Deep
from encoders._reading import READS

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from encoders._compress import Arrays, Split
    from encoders._descent import Weights
    from encoders._mlp import Mlp
    from encoders.base import Json, Modality
    from encoders.learning import Watch

__all__ = ["READS", "Params", "build", "modality"]

REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""

COLLAPSED = 0.01
"""Nats a record under which a unit tells nothing."""

_PRECISE = 1e-6
"""The least mean square of an error: losses are told in nats above a precision of a thousandth."""
_MOST = 12.0
"""Logarithms of variances are held within this, of either sign."""


@dataclass(frozen=True)
class Params(Deep):
    """The keys of ``[encoders.NAME]`` for ``kind = "vae"``, beside those of `Deep`.

    Attributes:
        beta: how much the divergence counts in the end; 1 is the bound of the likelihood, more
            gives fewer and plainer units (Higgins et al. 2017).
        warmup: passes over which it rises to that.

    Raises:
        ValueError: if a value is out of its range.
    """

    beta: float = 1.0
    warmup: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.beta < float("inf"):
            raise ValueError(f"beta must be above 0, and finite, got {self.beta}")
        if self.warmup < 0:
            raise ValueError(f"warmup must be 0 or more, got {self.warmup}")


class Vae(Compressor):
    """Records to the means of their q, ``(n, dim)`` float32; the unit that tells most first."""

    kind = "vae"
    code = REVISION
    outputs: ClassVar[int] = 2

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.params = params

    def _learn(
        self, split: Split, rng: np.random.Generator, watch: Watch
    ) -> tuple[Arrays, dict[str, Json]]:
        from dataclasses import replace

        import torch

        from encoders._descent import descend, seeded

        params, train, held = self.params, split.train, split.held
        down, up = self._networks(train.shape[1])
        weights = {
            n: torch.from_numpy(a) for net in (down, up) for n, a in net.initial(rng).items()
        }
        generator = seeded(rng, "cpu")
        steps = -(-len(train) // _compress.BATCH)
        drawn = torch.randn(len(held), params.dim, generator=generator)
        seen = 0

        def batches() -> list[Tensor]:
            order = torch.from_numpy(rng.permutation(len(train)))
            return list(torch.split(order, _compress.BATCH))

        def bound(rows: Tensor, noise: Tensor, share: float) -> Tensor:
            mean, log_variance = posterior(down, weights, rows)
            back = up.forward(weights, mean + (log_variance / 2).exp() * noise)
            told = params.beta * share * divergence(mean, log_variance).sum()
            return rows.numel() * _surprise((back - rows).square().mean()) + told

        def loss(picked: Tensor) -> tuple[Tensor, int]:
            nonlocal seen
            seen += 1
            rows = train[picked]
            noise = torch.randn(len(rows), params.dim, generator=generator)
            share = min(1.0, seen / (steps * params.warmup)) if params.warmup else 1.0
            return bound(rows, noise, share), rows.numel()

        def held_out() -> float:
            return float(bound(held, drawn, 1.0)) / held.numel()

        # while the cost still rises no pass can be called the best one
        how = replace(params.descent(), patience=params.patience + params.warmup)
        stopping = descend(weights, batches, loss, held_out, how, watch=watch)
        weights = {name: weight.detach() for name, weight in weights.items()}
        nats = divergence(*posterior(down, weights, held)).mean(0)
        weights, nats = _ordered(weights, down, nats)

        def back(rows: Tensor) -> Tensor:
            return up.forward(weights, posterior(down, weights, rows)[0])

        found = _compress.compared(
            _compress.lost(held, back), split, params.dim, watch, plain=False
        )
        collapsed = int((nats < COLLAPSED).sum())
        _tell(collapsed, params, watch)
        figures: dict[str, Json] = {
            **stopping.figures(),
            **found,
            "nats": float(nats.sum()),
            "collapsed_units": collapsed,
            "nats_by_unit": [round(float(n), 4) for n in nats],
        }
        return {name: weight.numpy() for name, weight in weights.items()}, figures


def posterior(down: Mlp, weights: Weights, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The mean and the logarithm of the variance of q, ``(n, dim)`` each."""
    mean, log_variance = down.forward(weights, rows).chunk(2, dim=1)
    return mean, log_variance.clamp(-_MOST, _MOST)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler, of each unit's normal distribution from a standard one, in nats.

    Kingma & Welling 2014, appendix B.
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance) / 2


def _surprise(square: Tensor) -> Tensor:
    """Nats a feature of errors with this mean square, at the precision that fits them best."""
    return (square.clamp_min(_PRECISE) / _PRECISE).log() / 2


def _ordered(weights: Weights, down: Mlp, nats: Tensor) -> tuple[Weights, Tensor]:
    """Units in the order of what they tell."""
    import torch

    order = torch.sort(nats, descending=True, stable=True).indices
    both = torch.cat([order, order + len(order)])
    last = f"down_{down.layers - 1}"
    moved = {
        last: weights[last][:, both],
        f"{last}_bias": weights[f"{last}_bias"][both],
        "up_0": weights["up_0"][order],
    }
    return {**weights, **{name: weight.contiguous() for name, weight in moved.items()}}, nats[order]


def _tell(collapsed: int, params: Params, watch: Watch) -> None:
    if collapsed == params.dim:
        watch.note(
            f"all {params.dim} units have collapsed: every record has the same distribution, and "
            "vectors tell nothing; lower beta, raise warmup or epochs, or give more records"
        )
    elif collapsed:
        watch.note(
            f"{collapsed} of {params.dim} units have collapsed: they tell under {COLLAPSED} nats "
            f"of a record. dim = {params.dim - collapsed} would do; for more, lower beta or raise "
            "warmup"
        )


def modality(params: Params) -> Modality:
    """What the records are, which is the user's choice."""
    return params.reads


def build(params: Params) -> Vae:
    """Build the encoder; it must be fitted or restored before it encodes.

    Raises:
        EncoderUsageError: if vectors are to be read, and no part was named or one is not clear.
    """
    return Vae(params)
