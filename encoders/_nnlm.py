"""The neural probabilistic language model: its network, and how it learns.

Bengio, Ducharme, Vincent & Jauvin 2003, "A Neural Probabilistic Language Model": the vectors of
the last words, side by side, go through a tanh layer to a softmax over all words:
``y = b + W x + U tanh(d + H x)``, where the direct connections ``W`` are optional.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from encoders._corpus import Corpus
from encoders._descent import descend, dropping, seeded
from encoders._lexicon import BOUNDARY, Lexicon
from encoders._softmax import Draws, exact_loss, sampled_loss

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from encoders._corpus import Objective, Text
    from encoders._descent import Drop
    from encoders.base import Json
    from encoders.learning import Watch

_BATCH = 256


@dataclass(frozen=True)
class Sizes:
    """The sizes of the network.

    Attributes:
        dim: of a word's vector.
        context: how many words before it a word is predicted from.
        hidden: width of the tanh layer.
        direct: whether the word vectors go to the softmax directly too.
    """

    dim: int
    context: int
    hidden: int
    direct: bool

    def shapes(self, symbols: int) -> dict[str, tuple[int, ...]]:
        """The name and shape of every weight, as the paper names them."""
        wide = self.dim * self.context
        found: dict[str, tuple[int, ...]] = {
            "C": (symbols, self.dim),
            "H": (wide, self.hidden),
            "d_bias": (self.hidden,),
            "U": (symbols, self.hidden),
            "b_bias": (symbols,),
        }
        return found | ({"W": (symbols, wide)} if self.direct else {})


@dataclass(frozen=True)
class Model:
    """The network with its weights, tensors on one device."""

    sizes: Sizes
    lexicon: Lexicon
    weights: Mapping[str, Tensor]

    def loss(self, texts: Sequence[Text]) -> float:
        """The exact loss a word in nats; ends of texts and unknown words count as words."""
        import torch

        contexts, targets = self._on_device(windows(texts, self.lexicon, self.sizes.context))
        with torch.no_grad():
            table, bias = self._output()
            return float(exact_loss(self._features(contexts), table, bias, targets)) / len(targets)

    def estimate(
        self,
        batch: tuple[NDArray[np.int64], NDArray[np.int64]],
        drop: Drop,
        drawn: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, int]:
        """The summed loss of some windows against drawn words, and how many they are."""
        contexts, targets = self._on_device(batch)
        table, bias = self._output()
        return sampled_loss(self._features(contexts, drop), table, bias, targets, drawn), len(
            targets
        )

    def _on_device(self, arrays: Sequence[NDArray[np.int64]]) -> list[Tensor]:
        import torch

        return [torch.from_numpy(array).to(self.weights["C"].device) for array in arrays]

    def _features(self, contexts: Tensor, drop: Drop | None = None) -> Tensor:
        import torch

        words = self.weights["C"][contexts].flatten(1)
        hidden = torch.addmm(self.weights["d_bias"], words, self.weights["H"]).tanh()
        hidden = hidden if drop is None else drop(hidden)
        return torch.cat([hidden, words], dim=1) if self.sizes.direct else hidden

    def _output(self) -> tuple[Tensor, Tensor]:
        import torch

        table = self.weights["U"]
        if self.sizes.direct:
            table = torch.cat([table, self.weights["W"]], dim=1)
        return table, self.weights["b_bias"]


def windows(
    texts: Sequence[Text], lexicon: Lexicon, context: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every word of every text and its end, ``(n,)`` int64, and the words before, ``(n, context)``.

    Before a text's first word there are boundaries.
    """
    before = np.full(context, BOUNDARY)
    runs = [np.concatenate([before, lexicon.encode(text), [BOUNDARY]]) for text in texts]
    found = [np.lib.stride_tricks.sliding_window_view(run, context + 1) for run in runs]
    both = np.concatenate(found)
    return np.ascontiguousarray(both[:, :-1]), np.ascontiguousarray(both[:, -1])


def learn(
    texts: Sequence[Text],
    sizes: Sizes,
    objective: Objective,
    rng: np.random.Generator,
    device: str,
    watch: Watch,
) -> tuple[Model, dict[str, Json]]:
    """Learn a network from texts; it comes with what the fit measured.

    Raises:
        EncoderError: if there are too few texts with words, or the fit diverges.
    """
    import torch

    corpus = Corpus.of(texts, objective, "nnlm", rng)
    lexicon = corpus.lexicon
    weights = {
        name: torch.from_numpy(array).to(device)
        for name, array in _initial(sizes, lexicon, rng).items()
    }
    model = Model(sizes, lexicon, weights)
    data = windows(corpus.train, lexicon, sizes.context)
    draws = Draws(lexicon.frequencies(), objective.noise)
    drop = dropping(objective.dropout, seeded(rng, device))
    stopping = descend(
        weights,
        lambda: _batches(data, rng),
        lambda batch: model.estimate(batch, drop, draws(rng, device)),
        lambda: model.loss(corpus.held),
        objective.descent,
        watch=watch,
    )
    model = Model(sizes, lexicon, {name: weight.detach() for name, weight in weights.items()})
    return model, {
        **stopping.figures(),
        **corpus.figures(),
        "held_out_perplexity": math.exp(model.loss(corpus.held)),
    }


def _batches(
    data: tuple[NDArray[np.int64], NDArray[np.int64]], rng: np.random.Generator
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    contexts, targets = data
    order = rng.permutation(len(targets))
    cuts = [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]
    return [(contexts[cut], targets[cut]) for cut in cuts]


def _initial(
    sizes: Sizes, lexicon: Lexicon, rng: np.random.Generator
) -> dict[str, NDArray[np.float32]]:
    deviations = {"C": 0.1, "H": (sizes.dim * sizes.context) ** -0.5, "U": 0.02, "W": 0.005}
    found: dict[str, NDArray[np.float32]] = {}
    for name, size in sizes.shapes(lexicon.size).items():
        drawn = rng.normal(0, deviations.get(name, 0.0), size)
        # From the frequencies on, there is only context left to learn.
        drawn = np.log(lexicon.frequencies()) if name == "b_bias" else drawn
        found[name] = drawn.astype(np.float32)
    return found
