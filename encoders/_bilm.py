"""The network of ELMo: a character CNN below two stacks of LSTMs, one for each direction.

Peters et al. 2018, "Deep contextualized word representations"; the CNN with its highway layers is
that of Józefowicz et al. 2016, the LSTM with a projection that of Sak et al. 2014. Everything is
as in the published models (github.com/allenai/bilm-tf), with one difference: there the state of
the LSTM lives on into the next batch, here every text begins with zeros, so that its vectors are
its own.

The weights are a mapping of names to tensors (see `shapes`); forward and backward LSTM have equal
shapes and lie in one tensor each, so that a step of both is one product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Weights = Mapping[str, Tensor]
    Drop = Callable[[Tensor], Tensor]

_GATES = 4


@dataclass(frozen=True)
class Shape:
    """The sizes of a network.

    Attributes:
        characters: rows of the character table.
        width: characters of a word that are read, its two marks counted.
        character_dim: columns of the character table.
        filters: the windows of the CNN: how many characters wide, and how many of that width.
        activation: after the CNN, ``relu`` or ``tanh``.
        highways: layers between the CNN and its projection.
        projection: width of a token, and of an LSTM's output.
        cell: width of an LSTM's memory.
        depth: LSTM layers.
        cell_clip: bound of the memory, None for none.
        projection_clip: bound of the output, None for none.
        skip: whether a layer's input is added to its output, from the second layer on.
    """

    characters: int
    width: int
    character_dim: int
    filters: tuple[tuple[int, int], ...]
    activation: str
    highways: int
    projection: int
    cell: int
    depth: int = 2
    cell_clip: float | None = 3.0
    projection_clip: float | None = 3.0
    skip: bool = True

    @property
    def features(self) -> int:
        """How many numbers the CNN makes of a word."""
        return sum(count for _, count in self.filters)

    @property
    def widest(self) -> int:
        """The widest window of the CNN, in characters."""
        return max(width for width, _ in self.filters)


def shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """The name and shape of every weight.

    An LSTM's first axis is forward and backward, its last one the gates: input, forget, output,
    then what is new.
    """
    many = shape.features
    found: dict[str, tuple[int, ...]] = {"characters": (shape.characters, shape.character_dim)}
    for at, (width, count) in enumerate(shape.filters):
        found[f"window_{at}.kernel"] = (count, shape.character_dim, width)
        found[f"window_{at}.bias"] = (count,)
    for at in range(shape.highways):
        for part in ("carry", "transform"):
            found[f"highway_{at}.{part}"] = (many, many)
            found[f"highway_{at}.{part}_bias"] = (many,)
    if many != shape.projection:
        found |= {"token.kernel": (many, shape.projection), "token.bias": (shape.projection,)}
    for at in range(shape.depth):
        found[f"lstm_{at}.input"] = (2, shape.projection, _GATES * shape.cell)
        found[f"lstm_{at}.state"] = (2, shape.projection, _GATES * shape.cell)
        found[f"lstm_{at}.bias"] = (2, _GATES * shape.cell)
        found[f"lstm_{at}.projection"] = (2, shape.cell, shape.projection)
    return found


def words(weights: Weights, shape: Shape, spelled: Tensor) -> Tensor:
    """Words by their characters alone: from ``(n, width)`` int64 to ``(n, projection)`` float32."""
    import torch

    letters = weights["characters"][spelled].transpose(1, 2)
    activate = torch.tanh if shape.activation == "tanh" else torch.relu
    found = []
    for at in range(len(shape.filters)):
        kernel, bias = weights[f"window_{at}.kernel"], weights[f"window_{at}.bias"]
        found.append(activate(torch.nn.functional.conv1d(letters, kernel, bias).amax(2)))
    word = torch.cat(found, dim=1)
    for at in range(shape.highways):
        name = f"highway_{at}"
        carry = torch.addmm(weights[f"{name}.carry_bias"], word, weights[f"{name}.carry"])
        new = torch.addmm(weights[f"{name}.transform_bias"], word, weights[f"{name}.transform"])
        gate = torch.sigmoid(carry)
        word = gate * torch.relu(new) + (1 - gate) * word
    if "token.kernel" in weights:
        word = torch.addmm(weights["token.bias"], word, weights["token.kernel"])
    return word


def layers(
    weights: Weights, shape: Shape, tokens: Tensor, lengths: Tensor, drop: Drop | None = None
) -> list[Tensor]:
    """What each LSTM layer makes of texts, in both directions.

    Args:
        weights: see `shapes`.
        shape: the sizes.
        tokens: ``(time, texts, projection)`` float32, boundaries of the texts included; what is
            behind a text's end is read by nobody.
        lengths: ``(texts,)`` int64, how many tokens of each are its own.
        drop: what to do to the input of each layer and to the last output, when learning.

    Returns:
        For each layer ``(2, time, texts, projection)`` float32: at each token what is known from
        it and all before it, and from it and all behind it.
    """
    import torch

    drop = drop or _keep
    back = mirror(len(tokens), lengths)
    stream = torch.stack([tokens, _reorder(tokens, back)])
    found = []
    for at in range(shape.depth):
        came = drop(stream)
        stream = _lstm(weights, f"lstm_{at}", shape, came)
        stream = stream + came if shape.skip and at else stream
        found.append(stream)
    return [torch.stack([both[0], _reorder(both[1], back)]) for both in map(drop, found)]


def _keep(values: Tensor) -> Tensor:
    return values


def mirror(time: int, lengths: Tensor) -> Tensor:
    """Each text's places from its end to its beginning: ``(time, texts)`` int64, its own inverse.

    Places behind a text's end stay where they are.
    """
    import torch

    at = torch.arange(time, device=lengths.device)[:, None]
    return torch.where(at < lengths, lengths - 1 - at, at)


def _reorder(stream: Tensor, places: Tensor) -> Tensor:
    return stream.gather(0, places[:, :, None].expand_as(stream))


def _lstm(weights: Weights, name: str, shape: Shape, stream: Tensor) -> Tensor:
    """Both directions of one layer over ``(2, time, texts, projection)`` float32."""
    import torch

    two, time, texts, width = stream.shape
    bias = weights[f"{name}.bias"].view(two, 1, _GATES, shape.cell)
    # TensorFlow adds 1 to the forget gate outside of its weights.
    bias = bias + torch.eye(_GATES, device=bias.device)[1].view(_GATES, 1)
    given = torch.baddbmm(
        bias.flatten(2), stream.reshape(two, time * texts, width), weights[f"{name}.input"]
    ).view(two, time, texts, -1)
    state = stream.new_zeros(two, texts, shape.projection)
    memory = stream.new_zeros(two, texts, shape.cell)
    found = []
    for now in given.unbind(1):
        gates = torch.baddbmm(now, state, weights[f"{name}.state"])
        take, keep, give = gates[:, :, : 3 * shape.cell].sigmoid().chunk(3, dim=2)
        memory = keep * memory + take * gates[:, :, 3 * shape.cell :].tanh()
        memory = _clip(memory, shape.cell_clip)
        shown = give * memory.tanh()
        state = _clip(torch.bmm(shown, weights[f"{name}.projection"]), shape.projection_clip)
        found.append(state)
    return torch.stack(found, dim=1)


def _clip(values: Tensor, bound: float | None) -> Tensor:
    return values if bound is None else values.clamp(-bound, bound)


def initial(shape: Shape, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    """Weights to begin learning with: normal, by the root of what goes in; gates mostly carry."""
    import numpy as np

    found: dict[str, NDArray[np.float32]] = {}
    for name, size in shapes(shape).items():
        if name == "characters":
            drawn = rng.uniform(-1, 1, size)
        elif name.endswith("bias"):
            drawn = np.full(size, -2.0 if name.endswith("carry_bias") else 0.0)
        else:
            into = size[1] * size[2] if name.startswith("window") else size[-2]
            drawn = rng.normal(0, into**-0.5, size)
        found[name] = drawn.astype(np.float32)
    return found


def bundle(sizes: Sequence[int], limit: int) -> list[slice]:
    """Cut texts that go from short to long into batches of up to ``limit`` padded tokens."""
    cuts, start = [], 0
    for end in range(1, len(sizes) + 1):
        if end == len(sizes) or sizes[end] * (end + 1 - start) > limit:
            cuts.append(slice(start, end))
            start = end
    return cuts
