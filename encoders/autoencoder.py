"""Rows of a table, or vectors of features, by an autoencoder: learned from giving them back.

Hinton & Salakhutdinov 2006, "Reducing the Dimensionality of Data with Neural Networks"; with noise
upon what goes in, or some of it taken away, it is a denoising one (Vincent et al. 2008, "Extracting
and Composing Robust Features with Denoising Autoencoders").

The numbers within mean nothing by themselves: any turn and stretch of them comes back as well. So
vectors are turned and stretched once more, so that a small step of a vector is as long as the step
of the record that comes back, on average over the sample (the pull-back of its distance;
Arvanitidis et al. 2018, "Latent Space Oddity"), the direction that varies most first. Without
hidden layers they are then principal components.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders import _compress
from encoders._compress import Compressor, Deep
from encoders._reading import READS
from encoders._rows import unit
from encoders._svd import signed

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray
    from torch import Generator, Tensor

    from encoders._compress import Arrays, Split
    from encoders._descent import Weights
    from encoders._mlp import Mlp
    from encoders.base import Json, Metric, Modality
    from encoders.learning import Watch

__all__ = ["READS", "Params", "build", "modality"]

REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""

_LOOKED = 512
"""Records of the sample over which the length of a step is averaged."""
_LEAST_SIZE = 1e-12


@dataclass(frozen=True)
class Params(Deep):
    """The keys of ``[encoders.NAME]`` for ``kind = "autoencoder"``, beside those of `Deep`.

    Attributes:
        noise: laid upon what goes in while learning, in standard deviations of all features.
        masking: share of the columns (of vectors: of the dimensions) that are put to their mean
            in what goes in while learning.
        sparsity: how much the size of a unit of the vector costs beside the squared error; above 0
            units are 0 or positive, and are not turned.
        normalize: give vectors of L2 norm 1.

    Raises:
        ValueError: if a value is out of its range.
    """

    noise: float = 0.0
    masking: float = 0.0
    sparsity: float = 0.0
    normalize: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.noise <= 2:  # noqa: PLR2004 - beyond it nothing is seen of a record
            raise ValueError(f"noise must be from 0 to 2, got {self.noise}")
        if not 0 <= self.masking < 1:
            raise ValueError(f"masking must be 0 or more and under 1, got {self.masking}")
        if not 0 <= self.sparsity < float("inf"):
            raise ValueError(f"sparsity must be 0 or more, and finite, got {self.sparsity}")


class Autoencoder(Compressor):
    """Records to ``(n, dim)`` float32, centred on the sample unless they are sparse."""

    kind = "autoencoder"
    code = REVISION

    def __init__(self, params: Params) -> None:
        super().__init__(params)
        self.params = params
        self.metric: Metric = "cosine" if params.normalize else "l2"

    def encode(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """Encode records: ``(n, dim)`` float32, finite.

        Raises:
            EncoderError: as `Compressor.encode` does.
        """
        found = super().encode(batch)
        return unit(found) if self.params.normalize else found

    def _learn(
        self, split: Split, rng: np.random.Generator, watch: Watch
    ) -> tuple[Arrays, dict[str, Json]]:
        import torch

        from encoders._descent import descend, seeded

        params, train = self.params, split.train
        down, up = self._networks(train.shape[1])
        weights = {
            n: torch.from_numpy(a) for net in (down, up) for n, a in net.initial(rng).items()
        }
        generator = seeded(rng, "cpu")

        def batches() -> list[Tensor]:
            order = torch.from_numpy(rng.permutation(len(train)))
            return list(torch.split(order, _compress.BATCH))

        def cost(clean: Tensor, seen: Tensor) -> Tensor:
            inner = self._kept(down.forward(weights, seen))
            error: Tensor = (up.forward(weights, inner) - clean).square().sum()
            if not params.sparsity:
                return error
            # by what a unit does, or small units with large weights would cost nothing
            size: Tensor = (inner * weights["up_0"].norm(dim=1)).sum()
            return error + params.sparsity * size

        def loss(rows: Tensor) -> tuple[Tensor, int]:
            clean = train[rows]
            return cost(clean, self._spoilt(clean, split.groups, generator)), clean.numel()

        def held_out() -> float:
            return float(cost(split.held, split.held)) / split.held.numel()

        stopping = descend(weights, batches, loss, held_out, params.descent(), watch=watch)
        weights = {name: weight.detach() for name, weight in weights.items()}

        def back(rows: Tensor) -> Tensor:
            return up.forward(weights, self._kept(down.forward(weights, rows)))

        plain = not params.sparsity
        found = _compress.compared(
            _compress.lost(split.held, back), split, params.dim, watch, plain=plain
        )
        inner = self._kept(down.forward(weights, train))
        ends = _turned(up, weights, inner) if plain else _scaled(inner)
        figures: dict[str, Json] = {**stopping.figures(), **found}
        if not plain:
            zero = self._kept(down.forward(weights, split.held)) == 0
            figures["zeros"] = float(zero.double().mean())
            figures["dead_units"] = int((inner == 0).all(0).sum())
        return {name: weight.numpy() for name, weight in (weights | ends).items()}, figures

    def _kept(self, rows: Tensor) -> Tensor:
        return rows.relu() if self.params.sparsity else rows

    def _spoilt(self, rows: Tensor, groups: Tensor, generator: Generator) -> Tensor:
        """Rows with noise upon them, and with some columns gone."""
        import torch

        if self.params.noise:
            rows = rows + self.params.noise * torch.randn(rows.shape, generator=generator)
        if self.params.masking:
            shape = (len(rows), int(groups.max()) + 1)
            kept = torch.rand(shape, generator=generator) >= self.params.masking
            rows = rows * kept[:, groups]
        return rows

    def _shapes(self, features: int) -> dict[str, tuple[int, ...]]:
        return {**super()._shapes(features), "centre": (self.dim,), "turn": (self.dim, self.dim)}

    def _inner(self, arrays: Arrays, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        inner = super()._inner(arrays, rows)
        return np.maximum(inner, 0) if self.params.sparsity else inner

    def _vectors(self, arrays: Arrays, inner: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        # sparse ones have the centre 0 and no gain to undo
        gain = 1.0 if self.params.sparsity else arrays["gain"]
        return (inner - arrays["centre"]) @ arrays["turn"].astype(np.float64) / gain


def _turned(up: Mlp, weights: Weights, inner: Tensor) -> Weights:
    """The turn and stretch that make steps of vectors as long as those of what comes back."""
    import torch

    exact = {name: weight.double() for name, weight in weights.items()}
    inner = inner.double()
    square = torch.zeros(inner.shape[1], inner.shape[1], dtype=torch.float64)
    seen = inner[:_LOOKED]
    for block in torch.split(seen, 32):
        slopes = up.slopes(exact, block)
        square += torch.einsum("ndf,nef->de", slopes, slopes)
    sizes, axes = torch.linalg.eigh(square / len(seen))
    stretch = axes * sizes.clamp_min(_LEAST_SIZE).sqrt()
    centre = inner.mean(0)
    stretched = (inner - centre) @ stretch
    _, directions = torch.linalg.eigh(stretched.T @ stretched)
    strongest = torch.tensor(signed(directions.flip(1).numpy()))
    return {"centre": centre.float(), "turn": (stretch @ strongest).float()}


def _scaled(inner: Tensor) -> Weights:
    """Each unit by its root mean square, so that what is 0 stays 0."""
    import torch

    size = inner.square().mean(0).sqrt()
    scale = torch.where(size > _LEAST_SIZE, 1 / size, torch.ones_like(size))
    return {"centre": torch.zeros_like(size), "turn": torch.diag(scale)}


def modality(params: Params) -> Modality:
    """What the records are, which is the user's choice."""
    return params.reads


def build(params: Params) -> Autoencoder:
    """Build the encoder; it must be fitted or restored before it encodes.

    Raises:
        EncoderUsageError: if vectors are to be read, and no part was named or one is not clear.
    """
    return Autoencoder(params)
