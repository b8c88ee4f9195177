"""What encoders that pass messages along edges share: how edges weigh, and how layers are learned.

A layer looks one edge further. It is a sparse product: for each node a sum over its neighbours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix
    from torch import Generator, Tensor

    from encoders._graphs import Graph
    from encoders.learning import Watch

    Weights = dict[str, Tensor]


def symmetric(graph: Graph) -> csr_matrix:
    """Weights over the roots of both degrees, each node an edge to itself.

    Kipf & Welling 2017, equation 2. Degrees count all edges of a node, seen or not, so that a part
    of a graph gives what the whole does.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

    edges, own = graph.rows.tocoo(), np.arange(len(graph.degrees))
    root = 1 / np.sqrt(graph.degrees + 1)
    start, end = np.r_[own, edges.row], np.r_[own, edges.col]
    weights = np.r_[np.ones(len(own)), edges.data] * root[start] * root[end]
    return csr_matrix((weights, (start, end)), graph.rows.shape)


def mean(graph: Graph) -> csr_matrix:
    """The mean over a node's neighbours, as its edges weigh; nothing for a node without any."""
    import numpy as np
    from scipy.sparse import csr_matrix

    edges = graph.rows.tocoo()
    total = np.bincount(edges.row, edges.data, len(graph.degrees))
    shares = edges.data / total[edges.row]
    return csr_matrix((shares, (edges.row, edges.col)), graph.rows.shape)


def tensor(matrix: csr_matrix) -> Tensor:
    """A sparse matrix as torch has it, float32."""
    import numpy as np
    import torch

    rows = matrix.tocsr().tocoo()
    places = torch.from_numpy(np.vstack([rows.row, rows.col]).astype(np.int64))
    values = torch.from_numpy(rows.data.astype(np.float32))
    return torch.sparse_coo_tensor(
        places, values, rows.shape, is_coalesced=True, check_invariants=False
    )


def dropped(matrix: Tensor, share: float, generator: Generator) -> Tensor:
    """Dropout of the entries of a sparse matrix."""
    import torch

    if share == 0:
        return matrix
    values = matrix.values()
    kept = torch.rand(values.shape, generator=generator) >= share
    values = values * kept / (1 - share)
    return torch.sparse_coo_tensor(
        matrix.indices(), values, matrix.shape, is_coalesced=True, check_invariants=False
    )


def glorot(shape: tuple[int, int], rng: np.random.Generator) -> Tensor:
    """Weights at the beginning (Glorot & Bengio 2010), float32."""
    import torch

    bound = (6 / sum(shape)) ** 0.5
    return torch.from_numpy(rng.uniform(-bound, bound, shape).astype("float32"))


def learn(
    weights: Weights,
    loss: Callable[[], Tensor],
    groups: Iterable[dict[str, Any]],
    epochs: int,
    watch: Watch,
) -> list[float]:
    """Change weights in place by Adam (Kingma & Ba 2015); the loss of every epoch.

    Raises:
        EncoderError: if the loss becomes NaN or infinite.
    """
    import math

    import torch

    for weight in weights.values():
        weight.requires_grad_()
    optimizer = torch.optim.Adam(groups)
    losses = []
    watch.stage("learn", epochs)
    for epoch in range(epochs):
        optimizer.zero_grad()
        found = loss()
        losses.append(float(found.detach()))
        if not math.isfinite(losses[-1]):
            raise EncoderError(
                f"the loss of epoch {epoch + 1} is {losses[-1]}: the fit has diverged; lower the "
                "learning rate"
            )
        torch.autograd.backward(found)
        optimizer.step()
        watch.advance(1)
    for weight in weights.values():
        weight.requires_grad_(False)  # noqa: FBT003 - torch's stubs know no name for it
    return losses


def classes_of(
    labels: Sequence[str | None], kind: str, watch: Watch
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64]]:
    """The classes, the places of the records that have one, and which each has.

    Raises:
        EncoderError: if there are fewer than two.
    """
    import numpy as np

    names = tuple(sorted({label for label in labels if label is not None}))
    if len(names) < 2:  # noqa: PLR2004 - one class tells nothing apart
        raise EncoderError(
            f"{kind} learns to tell classes apart, and the {len(labels)} nodes of the sample have "
            f"{len(names)}: label must name a column of two or more, empty where it is not known"
        )
    number = {name: at for at, name in enumerate(names)}
    there = np.array([at for at, label in enumerate(labels) if label is not None], np.int64)
    targets = np.array([number[label] for label in labels if label is not None], np.int64)
    watch.note(f"{len(there):,} of {len(labels):,} nodes have a label, of {len(names)} classes")
    return names, there, targets
