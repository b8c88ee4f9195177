"""Layers of units, each of which sees all of the layer before: learned by torch, run by numpy.

While learning they are tensors of float32; afterwards rows go through them in float64, so that
encoding needs no torch and no rounding shows in the vectors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from encoders._descent import Weights

Activation: TypeAlias = Literal["relu", "tanh", "linear"]

ACTIVATIONS = ("relu", "tanh", "linear")


@dataclass(frozen=True)
class Mlp:
    """A network; its last layer is linear.

    Attributes:
        name: what the names of its weights begin with.
        widths: of what goes in, of each hidden layer, of what comes out.
        activation: of the hidden layers.
    """

    name: str
    widths: tuple[int, ...]
    activation: Activation

    @property
    def layers(self) -> int:
        """How many layers have weights."""
        return len(self.widths) - 1

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The name and the shape of every weight."""
        found: dict[str, tuple[int, ...]] = {}
        for at in range(self.layers):
            found[f"{self.name}_{at}"] = self.widths[at : at + 2]
            found[f"{self.name}_{at}_bias"] = self.widths[at + 1 : at + 2]
        return found

    def initial(self, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        """Weights to begin with (Glorot & Bengio 2010; before ReLUs He et al. 2015)."""
        import numpy as np

        found: dict[str, NDArray[np.float32]] = {}
        for name, shape in self.shapes().items():
            last = name.startswith(f"{self.name}_{self.layers - 1}")
            gain = 2.0 if self.activation == "relu" and not last else 1.0
            drawn = rng.normal(0, (gain / shape[0]) ** 0.5, shape)
            found[name] = (drawn if len(shape) > 1 else np.zeros(shape)).astype(np.float32)
        return found

    def forward(self, weights: Weights, rows: Tensor) -> Tensor:
        """Tensors ``(n, widths[0])`` to ``(n, widths[-1])``."""
        import torch

        for at in range(self.layers):
            rows = torch.addmm(
                weights[f"{self.name}_{at}_bias"], rows, weights[f"{self.name}_{at}"]
            )
            if at < self.layers - 1:
                rows = self._active(rows)
        return rows

    def run(
        self, weights: Mapping[str, NDArray[np.float32]], rows: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The same of arrays, in float64."""
        import numpy as np

        for at in range(self.layers):
            rows = rows @ weights[f"{self.name}_{at}"].astype(np.float64)
            rows = rows + weights[f"{self.name}_{at}_bias"]
            if at < self.layers - 1 and self.activation != "linear":
                rows = np.maximum(rows, 0) if self.activation == "relu" else np.tanh(rows)
        return rows

    def slopes(self, weights: Weights, rows: Tensor) -> Tensor:
        """How what comes out changes with what goes in, ``(n, widths[0], widths[-1])``."""
        import torch

        found = torch.eye(self.widths[0], dtype=rows.dtype).expand(len(rows), -1, -1)
        for at in range(self.layers):
            found = found @ weights[f"{self.name}_{at}"]
            if at == self.layers - 1:
                break
            bias = weights[f"{self.name}_{at}_bias"]
            rows = self._active(torch.addmm(bias, rows, weights[f"{self.name}_{at}"]))
            found = found * self._steepness(rows)[:, None]
        return found

    def _active(self, rows: Tensor) -> Tensor:
        if self.activation == "linear":
            return rows
        return rows.relu() if self.activation == "relu" else rows.tanh()

    def _steepness(self, active: Tensor) -> Tensor:
        """The slope of the activation, from its value."""
        import torch

        if self.activation == "linear":
            return torch.ones_like(active)
        return (active > 0).to(active.dtype) if self.activation == "relu" else 1 - active.square()
