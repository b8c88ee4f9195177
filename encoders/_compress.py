"""What encoders have in common that learn to give records back through a narrow place.

Records become rows of features (`encoders._tables`), all multiplied by one factor so that their
mean square is 1. A share of them is held out, to know when to stop and to tell how much is lost of
records that were not learned from, beside what as many principal components lose: the best that
can be done without bending (Baldi & Hornik 1989).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from encoders import _reading, _tables
from encoders._learned import Learned, expect
from encoders._mlp import ACTIVATIONS, Activation, Mlp
from encoders._ranges import check_count, check_counts, check_held_out, check_steps
from encoders._reading import Reading
from encoders._rows import blocks, each
from encoders._svd import gathered
from encoders.base import EncoderError, State
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray
    from torch import Tensor

    from encoders._descent import Descent
    from encoders._tables import Inputs
    from encoders.base import Json, Metric, Modality

    Arrays = dict[str, NDArray[np.float32]]

BATCH = 64
"""Records that a step of the descent sees."""

_LEAST = 10
_BLOCK = 4096
_NOTHING = 0.9


@dataclass(frozen=True)
class Deep(Reading):
    """The keys that such encoders share, beside those of `Reading`.

    Attributes:
        dim: the width of the vectors.
        hidden: units of each layer between records and vectors; the way back has the same, turned
            round.
        activation: of these layers: ``relu``, ``tanh``, or ``linear`` for none.
        held_out: share of the sample that is not learned from, to know when to stop.
        epochs: at most so many passes over the sample.
        patience: how many passes may bring nothing before it stops.
        rate: learning rate at the first step.
        decay: weight decay.
        batch_size: records encoded at a time.

    Raises:
        ValueError: if a value is out of its range.
    """

    dim: int = 32
    hidden: tuple[int, ...] = (128,)
    activation: Activation = "relu"
    held_out: float = 0.1
    epochs: int = 60
    patience: int = 5
    rate: float = 0.002
    decay: float = 0.01
    batch_size: int = 4096

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "hidden", tuple(self.hidden))
        check_counts(self, ("dim", "epochs", "patience", "batch_size"))
        for width in self.hidden:
            check_count("a width of hidden", width)
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"activation must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}"
            )
        check_held_out(self.held_out)
        check_steps(self.rate, self.decay)

    def descent(self) -> Descent:
        """How to descend."""
        from encoders._descent import Descent

        return Descent(self.epochs, self.rate, self.decay, self.patience)


@dataclass(frozen=True)
class Split:
    """Rows to learn from, and rows held out: ``(n, features)`` float32 each.

    Attributes:
        train: those to learn from.
        held: the others.
        groups: ``(features,)`` int64: features of one column of a table have one number, those of
            vectors each its own.
    """

    train: Tensor
    held: Tensor
    groups: Tensor


@dataclass(frozen=True)
class Model:
    """What was learned: how records are read, and arrays by name; ``gain`` is the one factor."""

    inputs: Inputs
    arrays: Arrays
    figures: Json


class Compressor(Learned[Model]):
    """Records to ``(n, dim)`` float32."""

    metric: Metric = "l2"
    fit_size = 20_000
    code: int
    outputs: ClassVar[int] = 1
    """Numbers that the way there gives for each one of the vector; the first of them is used."""

    def __init__(self, params: Deep) -> None:
        super().__init__()
        _reading.check(self.kind, params)
        self._params = params
        self.batch_size = params.batch_size

    @abstractmethod
    def _learn(
        self, split: Split, rng: np.random.Generator, watch: Watch
    ) -> tuple[Arrays, dict[str, Json]]:
        """Arrays other than the gain, and what the fit measured."""

    def _shapes(self, features: int) -> dict[str, tuple[int, ...]]:
        """Of the arrays that `_learn` gives."""
        down, up = self._networks(features)
        return {**down.shapes(), **up.shapes()}

    def _networks(self, features: int) -> tuple[Mlp, Mlp]:
        """The way there and the way back."""
        params = self._params
        there = (features, *params.hidden, self.outputs * params.dim)
        back = (params.dim, *params.hidden[::-1], features)
        return Mlp("down", there, params.activation), Mlp("up", back, params.activation)

    def _inner(self, arrays: Arrays, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Rows of features, multiplied by the gain, to what comes back by the way back."""
        return self._networks(rows.shape[1])[0].run(arrays, rows)[:, : self.dim]

    def _vectors(self, arrays: Arrays, inner: NDArray[np.float64]) -> NDArray[np.float64]:
        """The vectors that are given of that."""
        del arrays
        return inner

    @property
    def modality(self) -> Modality:
        """What the records are, which is the user's choice."""
        return self._params.reads

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        return self._params.dim

    def fit(self, sample: pl.DataFrame, rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Learn to give records back, until held-out ones come back no better.

        Raises:
            EncoderError: if there are under 10 records, all are alike, or the fit diverges; as
                `_tables.learn_inputs` does.
        """
        import numpy as np
        import torch

        from encoders._repeatable import one_core

        if sample.height < _LEAST:
            raise EncoderError(
                f"{self.kind} needs {_LEAST} records or more to learn from, got {sample.height}"
            )
        inputs = _tables.learn_inputs(self.kind, self._params, sample)
        parts = [inputs.rows(part).astype(np.float32) for part in blocks(sample)]
        rows = torch.tensor(np.concatenate(parts))
        order = torch.from_numpy(rng.permutation(len(rows)))
        out = max(1, round(self._params.held_out * len(rows)))
        with one_core():
            size = float(rows.square().mean(dtype=torch.float64)) ** 0.5
            if not size > 0:
                raise EncoderError(
                    f"all {len(rows)} records of the sample are alike: {self.kind} has nothing to "
                    "tell them apart by"
                )
            rows /= size
            split = Split(rows[order[out:]], rows[order[:out]], torch.tensor(inputs.groups()))
            arrays, figures = self._learn(split, rng, watch)
        figures |= {"records": len(rows) - out, "held_out_records": out, "features": inputs.width}
        gain = np.array(1 / size, np.float32)
        self._take(Model(inputs, {"gain": gain, **arrays}, figures))

    def _written(self, model: Model) -> State:
        arrays, meta = model.inputs.written()
        return State({**arrays, **model.arrays}, {**meta, "figures": model.figures})

    def _read(self, state: State) -> Model:
        inputs = _tables.read(self._params, state)
        features = sum(source.width for source in inputs.sources)
        ours = {"gain": (), **self._shapes(features)}
        expect(state, {"mean": (features,), "scale": (features,), **ours})
        arrays = {name: state.arrays[name] for name in ours}
        return Model(inputs, arrays, state.meta.get("figures"))

    def recipe(self) -> dict[str, Json]:
        """Kind, code, parameters, the parts' fingerprints, and the digest of what was learned."""
        params = _reading.recipe_of(self._params)
        return {"kind": self.kind, "code": self.code, "params": params, "state": self._digest}

    def encode(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """Encode records: ``(n, dim)`` float32, finite.

        Raises:
            EncoderError: before `fit` or `restore`; if a column or a part is missing, or changed
                its type.
        """
        known = self._known()
        rows = known.inputs.rows(batch) * known.arrays["gain"]

        def through(block: NDArray[np.float64]) -> NDArray[np.float64]:
            return self._vectors(known.arrays, self._inner(known.arrays, block))

        return each(rows, self.dim, through)

    def reconstruct(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """What is left of records in their vectors, as rows of features ``(n, features)`` float32.

        Raises:
            EncoderError: as `encode` does.
        """
        known, width = self._known(), self._known().inputs.width
        rows = known.inputs.rows(batch) * known.arrays["gain"]
        back = self._networks(width)[1]

        def through(block: NDArray[np.float64]) -> NDArray[np.float64]:
            return back.run(known.arrays, self._inner(known.arrays, block)) / known.arrays["gain"]

        return each(rows, width, through)


def lost(rows: Tensor, back: Callable[[Tensor], Tensor]) -> float:
    """The mean square of what does not come back, a feature."""
    import torch

    total = 0.0
    with torch.no_grad():
        for block in torch.split(rows, _BLOCK):
            total += float((back(block) - block).square().sum(dtype=torch.float64))
    return total / rows.numel()


def lost_by_pca(split: Split, dim: int) -> float:
    """The same of held-out rows by as many principal components of those to learn from."""
    import torch

    found = gathered(block.double().numpy() for block in torch.split(split.train, _BLOCK))
    _, directions = found.directions()
    mean, axes = torch.tensor(found.mean), torch.tensor(directions[:, :dim].copy())
    return lost(split.held.double(), lambda rows: ((rows - mean) @ axes) @ axes.T + mean)


def compared(
    found: float, split: Split, dim: int, watch: Watch, *, plain: bool = True
) -> dict[str, Json]:
    """Figures of what held-out records lose, as shares of what their mean loses; tells the watch.

    Args:
        found: what they lose.
        split: the rows.
        dim: of the vectors.
        watch: hears where principal components lose less.
        plain: whether nothing but giving records back was asked for.
    """
    import torch

    centre = split.train.double().mean(0)
    of_mean = float((split.held - centre).square().mean(dtype=torch.float64)) or 1.0
    error, of_pca = found / of_mean, lost_by_pca(split, dim) / of_mean
    if error > _NOTHING:
        watch.note(
            f"held-out records come back with {error:.0%} of the error of the mean record: next to "
            "nothing was learned; give more records, more epochs, or another rate"
        )
    elif error > 1.02 * of_pca and plain:
        watch.note(
            f"held-out records come back with {error:.1%} of the error of the mean record, and "
            f"from as many principal components with {of_pca:.1%}: kind 'pca' keeps more of these "
            "records; or give more records, more epochs, or wider hidden layers"
        )
    return {"held_out_error": error, "held_out_error_of_pca": of_pca}
