"""How a siamese network learns: like images near to each other, unlike ones apart.

Whatever the backbone, its features go through one linear layer to the vector. Both images of a
pair go through the same weights, which is what makes the network siamese (Bromley et al. 1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from encoders._classes import batches, turned
from encoders._descent import descend
from encoders._verification import Spread, check_collapse, nearest, separation

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from encoders._classes import Batch, Split
    from encoders._descent import Descent, Weights
    from encoders._metric import Objective
    from encoders._views import Views
    from encoders.base import Json
    from encoders.learning import Watch

_JUDGED = 600
"""Held-out images at most: 180,000 pairs tell an area under the ROC to a third decimal."""
_BLOCK = 32
_ROUNDS = 8
_RARE = 0.05


@dataclass(frozen=True)
class Regime:
    """How to learn.

    Attributes:
        classes: in a batch.
        images: of each class in a batch.
        turns: whether each quarter turn of a class is a class of its own.
        alone: whether each image is a class of its own, which has nothing like it but its views.
        normalize: whether vectors are brought to L2 norm 1 before they are compared.
        objective: the loss.
        descent: how to descend.
    """

    classes: int
    images: int
    turns: bool
    alone: bool
    normalize: bool
    objective: Objective
    descent: Descent


def head_shapes(width: int, dim: int) -> dict[str, tuple[int, ...]]:
    """The name and shape of all that lies between the features and the vector."""
    return {"head": (width, dim), "head_bias": (dim,), "centre": (width,), "scale": (width,)}


def begun(views: Views, split: Split, dim: int, rng: np.random.Generator) -> Weights:
    """The last layer, to begin with.

    Features are standardised by the sample. Where they have learned before, it begins at their
    principal components, which keep what they know; else by chance.
    """
    import torch

    rows = np.concatenate(split.train)
    rows = np.sort(rng.permutation(rows)[:_JUDGED])
    blocks = [rows[at : at + _BLOCK] for at in range(0, len(rows), _BLOCK)]
    with torch.no_grad():
        features = torch.cat([views.features(views.plain(block)) for block in blocks])
    width = features.shape[1]
    spread = features.std(0, correction=0)
    # A feature that hardly any image of the sample has must not rule over the others.
    scale = spread.clamp_min(_RARE * float(spread.mean()) or 1.0)
    head = torch.from_numpy(rng.normal(0, width**-0.5, (width, dim)).astype(np.float32))
    head = head.to(features.device)
    if not views.from_pixels:
        axes = torch.linalg.svd((features - features.mean(0)) / scale, full_matrices=False).Vh
        head[:, : len(axes)] = axes[:dim].T
    bias = features.new_zeros(dim)
    return {"head": head, "head_bias": bias, "centre": features.mean(0), "scale": scale}


def project(weights: Weights, features: Tensor, *, normalize: bool) -> Tensor:
    """``(n, width)`` features to ``(n, dim)`` vectors, by what `head_shapes` names."""
    import torch
    from torch.nn.functional import normalize as to_unit

    standard = (features - weights["centre"]) / weights["scale"]
    vectors = torch.addmm(weights["head_bias"], standard, weights["head"])
    return to_unit(vectors) if normalize else vectors


def learn(
    views: Views,
    head: Weights,
    split: Split,
    regime: Regime,
    rng: np.random.Generator,
    watch: Watch,
) -> dict[str, Json]:
    """Change the weights of the backbone and of the head in place; tell what the fit measured.

    Raises:
        EncoderError: if the fit diverges, or all vectors become one.
    """
    import torch

    learning = {name: head[name] for name in ("head", "head_bias")} | views.net.weights
    found, classes = dict(learning), turned(split.train, turns=regime.turns)

    def embed(given: Tensor) -> Tensor:
        return project(head, views.features(given), normalize=regime.normalize)

    def loss(batch: Batch) -> tuple[Tensor, int]:
        vectors = embed(views.drawn(batch.rows, batch.turns, rng))
        return regime.objective(vectors, torch.from_numpy(batch.classes).to(vectors.device))

    held = _HeldOut.of(views, split, regime, rng)
    stopping = descend(
        found,
        lambda: batches(classes, regime.classes, regime.images, rng),
        loss,
        lambda: held.loss(embed, regime.objective),
        regime.descent,
        watch=watch,
    )
    with torch.no_grad():
        for name, weight in learning.items():
            weight.detach_().copy_(found[name])
        vectors = held.vectors(embed)
    return {
        **stopping.figures(),
        "classes": len(classes),
        "held_out_classes": len(split.held) if split.by_class else 0,
        "held_out_images": len(held.classes),
        **_judged(vectors, held, watch),
    }


def _judged(vectors: Tensor, held: _HeldOut, watch: Watch) -> dict[str, Json]:
    spread = Spread.of(vectors)
    found, before = separation(vectors, held.classes), separation(held.raw, held.classes)
    check_collapse(spread, found, watch)
    if found <= before:
        watch.note(
            f"the vectors tell held-out images apart no better than what they are made of does "
            f"(area under the ROC {found:.3f}, before {before:.3f}): give more classes, or take "
            "an encoder that does not learn from labels"
        )
    return {
        "held_out_auc": found,
        "held_out_auc_before": before,
        "held_out_nearest": nearest(vectors, held.classes),
        "held_out_nearest_before": nearest(held.raw, held.classes),
        "spread": spread.share,
        "effective_rank": spread.rank,
    }


@dataclass(frozen=True)
class _HeldOut:
    """Images to judge by; two of each where nothing is like an image but its views.

    Attributes:
        given: them, as the backbone takes them, block by block.
        classes: ``(n,)`` int64.
        rounds: rows of them, balanced by class, to take the loss of.
        raw: ``(n, anything)``, what the vectors are made of and have to beat.
    """

    given: list[Tensor]
    classes: NDArray[np.int64]
    rounds: list[NDArray[np.int64]]
    raw: Tensor

    @classmethod
    def of(cls, views: Views, split: Split, regime: Regime, rng: np.random.Generator) -> _HeldOut:
        """Choose them, and what is drawn, once, so that epochs can be compared."""
        import torch

        rows, classes = _some(split, _JUDGED // (1 + regime.alone), rng)
        blocks = [rows[at : at + _BLOCK] for at in range(0, len(rows), _BLOCK)]
        with torch.no_grad():
            given = [views.plain(block) for block in blocks]
            if regime.alone:
                given += [views.drawn(block, np.zeros_like(block), rng) for block in blocks]
                classes = np.concatenate([classes, classes])
            raw = torch.cat([views.raw(block) for block in given])
        members = [(np.flatnonzero(classes == at), 0) for at in np.unique(classes)]
        drawn = batches(members, regime.classes, regime.images, rng)[:_ROUNDS]
        return cls(given, classes, [batch.rows for batch in drawn], raw)

    def vectors(self, embed: Callable[[Tensor], Tensor]) -> Tensor:
        """``(n, dim)``."""
        import torch

        return torch.cat([embed(block) for block in self.given])

    def loss(self, embed: Callable[[Tensor], Tensor], objective: Objective) -> float:
        """The mean over the rounds, of a pair or a triplet."""
        import torch

        vectors = self.vectors(embed)
        total, count = 0.0, 0
        for rows in self.rounds:
            classes = torch.from_numpy(self.classes[rows]).to(vectors.device)
            summed, asked = objective.measure(vectors[torch.from_numpy(rows)], classes)
            total, count = total + float(summed), count + asked
        return total / count


def _some(
    split: Split, most: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of held-out classes and their classes, evenly drawn where there are too many."""
    rows = np.concatenate(split.held)
    classes = np.repeat(np.arange(len(split.held)), [len(held) for held in split.held])
    chosen = np.sort(rng.permutation(len(rows))[:most])
    return rows[chosen], classes[chosen]
