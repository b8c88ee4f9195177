"""Several modalities of one record in one vector, by weighted concatenation or average.

A product has a title, a photograph and a price; each has been encoded by an encoder of its own.
Concatenated, the vectors of the parts stand side by side, each scaled by the square root of its
weight, so that the squared Euclidean distance of two records is the weighted sum of those of their
parts (late fusion; Atrey et al. 2010 compare it with others). Averaged, parts that lie in one space
become one vector of that space.

Widths and lengths differ from encoder to encoder, and a weight would mean little while they do.
Each part is therefore brought to one scale first, in the way that its own metric asks for: a part
that is compared by cosine to norm 1, which changes no such comparison; one that is compared by
Euclidean distance to mean 0 and a mean squared norm of 1 over a sample, one factor for all its
dimensions, which changes no ranking either.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Literal

from encoders._ranges import check_count
from encoders.base import EncoderError, EncoderUsageError, State, digest
from encoders.learning import QUIET, Watch
from encoders.vectors import Part, check_parts, matrix

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from encoders.base import Encoder, Json, Metric, Modality

MODALITY: Modality = "vector"
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""

_LEAST_SAMPLE = 2
_LEAST_SPREAD = 1e-12
_LARGEST = 3e38
"""What a float32 holds, so that no finite part gives infinity."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]``.

    Attributes:
        method: ``concat`` puts the parts side by side; ``mean`` averages parts of one space.
        weights: how much each feature counts, by its name; 1 where it is not named.
        scale: how parts are made comparable: ``auto`` by the metric of each, ``norm`` brings every
            vector to norm 1, ``standard`` to mean 0 and mean squared norm 1 over a sample, ``none``
            takes them as they are.
        batch_size: records at a time.
        parts: the features that the encoder is over; a run fills them in from the feature's
            ``over``, so a configuration leaves them out.

    Raises:
        ValueError: if a value is out of its range.
    """

    method: Literal["concat", "mean"] = "concat"
    weights: dict[str, float] = field(default_factory=dict)
    scale: Literal["auto", "norm", "standard", "none"] = "auto"
    batch_size: int = 4096
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        check_count("batch_size", self.batch_size)
        for name, weight in self.weights.items():
            if not 0 <= weight < float("inf"):  # so that NaN is refused too
                raise ValueError(f"weights.{name} must be 0 or more, and finite, got {weight}")
        if self.method == "mean" and self.scale == "standard":
            raise ValueError(
                "scale = 'standard' takes each part out of the space that method = 'mean' needs "
                "them to share; choose 'norm' or 'none'"
            )

    def weight(self, part: Part) -> float:
        """How much a part counts."""
        return self.weights.get(part.feature, 1.0)

    def scaling(self, part: Part) -> str:
        """How a part is made comparable: ``norm``, ``standard`` or ``none``."""
        if self.scale != "auto":
            return self.scale
        if self.method == "mean":
            return "norm" if part.metric == "cosine" else "none"
        return "standard" if part.metric == "l2" else "norm"

    @property
    def learned(self) -> tuple[Part, ...]:
        """The parts whose scale is learned from a sample."""
        return tuple(part for part in self.parts if self.scaling(part) == "standard")


class Fuse:
    """Vectors of several features to one, ``(n, dim)`` float32.

    By ``concat`` dim is the sum of the widths, the parts stand in their order, and the metric is
    ``l2``. A part that a record lacks is zeros there: to norm 1 that is as far from every vector as
    60 degrees are, standardised it is the mean; two records that both lack it are alike in it. By
    ``mean`` dim and metric are those of the parts, and what a record lacks does not count.
    """

    modality: Modality = "vector"

    def __init__(self, params: Params) -> None:
        _check(params)
        self.params = params
        self.batch_size = params.batch_size
        averaged = params.method == "mean"
        self.metric: Metric = params.parts[0].metric if averaged else "l2"
        self._state: State | None = None

    @property
    def dim(self) -> int:
        """The width of the vectors."""
        widths = [part.dim for part in self.params.parts]
        return widths[0] if self.params.method == "mean" else sum(widths)

    def place(self, feature: str) -> slice | None:
        """Which dimensions are those of a part; None where they are those of all parts."""
        if self.params.method == "mean":
            return None
        names = [part.feature for part in self.params.parts]
        at = sum(part.dim for part in self.params.parts[: names.index(feature)])
        return slice(at, at + self.params.parts[names.index(feature)].dim)

    def recipe(self) -> dict[str, Json]:
        """Kind, code, parameters, the parts' fingerprints, and the digest of what was learned."""
        found = _recipe(self.params)
        if self.params.learned:
            found["state"] = digest(self._state) if self._state is not None else None
        return found

    def encode(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """Fuse a batch, a column a part (`encoders.vectors`); other columns are ignored.

        Returns:
            ``(n, dim)`` float32, finite.

        Raises:
            EncoderError: before `FittedFuse.fit` or ``restore`` where there is something to learn;
                if a part is missing from the batch, or has another width.
        """
        import numpy as np

        parts, weights = self.params.parts, [self.params.weight(p) for p in self.params.parts]
        blocks = [self._scaled(batch, part) for part in parts]
        if self.params.method == "mean":
            fused = _average(blocks, weights)
        else:
            # Squared, the roots are the weights again, which then sum up squared distances.
            scaled = [np.sqrt(w) * values for w, (values, _) in zip(weights, blocks, strict=True)]
            fused = np.hstack(scaled)
        return np.clip(fused, -_LARGEST, _LARGEST).astype(np.float32)

    def _scaled(
        self, batch: pl.DataFrame, part: Part
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """A part on its scale, zero where it is not there, and where it is."""
        import numpy as np

        values, there = matrix(batch, part)
        how = self.params.scaling(part)
        if how == "norm":
            return _unit(values), there
        if how == "standard":
            learned = self._known().arrays
            values = (values - learned[f"mean/{part.feature}"]) / learned[f"scale/{part.feature}"]
            return np.where(there[:, None], values, 0.0), there
        return values, there

    def _known(self) -> State:
        if self._state is None:
            raise EncoderError("fuse has learned no scale yet: call fit or restore first")
        return self._state


class FittedFuse(Fuse):
    """As `Fuse`, where some parts are standardised by a sample."""

    fit_size = 20_000

    @property
    def fitted(self) -> bool:
        """Whether `fit` or `restore` has been called."""
        return self._state is not None

    def fit(self, sample: pl.DataFrame, rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Take the mean of each such part, and its mean squared distance from that, from a sample.

        Raises:
            EncoderError: if under two records of the sample have such a part.
        """
        del rng, watch  # nothing here is left to chance, nor takes long
        arrays = {}
        for part in self.params.learned:
            values, there = matrix(sample, part)
            present = values[there]
            if len(present) < _LEAST_SAMPLE:
                raise EncoderError(
                    f"fuse needs {_LEAST_SAMPLE} records with a vector of {part.feature!r} to "
                    f"learn its scale from, got {len(present)} of {len(sample)}"
                )
            arrays[f"mean/{part.feature}"] = present.mean(axis=0)
            arrays[f"scale/{part.feature}"] = _spread(present)
        self._state = State(arrays, {"kind": "fuse"})

    def state(self) -> State:
        """What was learned: of each such part its mean ``(dim,)`` and its scale ``()``, float64.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        return _copy(self._known())

    def restore(self, state: State) -> None:
        """Take over a state.

        Raises:
            EncoderError: if it is not that of a fuse encoder over these parts.
        """
        shapes = {name: array.shape for name, array in state.arrays.items()}
        expected: dict[str, tuple[int, ...]] = {}
        for part in self.params.learned:
            expected |= {f"mean/{part.feature}": (part.dim,), f"scale/{part.feature}": ()}
        if state.meta.get("kind") != "fuse" or shapes != expected:
            raise EncoderError(
                f"this is not the state of a fuse encoder over these parts: got "
                f"{state.meta.get('kind')} with {shapes}, expected fuse with {expected}"
            )
        self._state = _copy(state)


def _check(params: Params) -> None:
    """Refuse parameters and parts that clash."""
    check_parts("fuse", params.parts)
    names = [part.feature for part in params.parts]
    strange = sorted(set(params.weights) - set(names))
    if strange:
        raise EncoderUsageError(
            f"weights names {strange[0]!r}, which the feature is not over; it is over "
            f"{', '.join(names)}"
        )
    if not any(params.weight(part) for part in params.parts):
        raise EncoderUsageError("every part has the weight 0; at least one must count")
    dots = [part.feature for part in params.parts if part.metric == "dot"]
    if dots and params.scale == "auto":
        raise EncoderUsageError(
            f"vectors of {dots[0]!r} are compared by their dot product, which is no distance that "
            "could be summed up; set scale = 'norm' to compare directions, or 'none'"
        )
    if params.method == "mean":
        _check_one_space(params.parts)


def _check_one_space(parts: tuple[Part, ...]) -> None:
    """Refuse an average of vectors that mean different things by the same dimension."""
    first = parts[0]
    for other in parts[1:]:
        if (other.dim, other.space, other.metric) != (first.dim, first.space, first.metric):
            raise EncoderUsageError(
                f"method = 'mean' needs parts of one space, and {first.feature!r} ({first.dim} "
                f"wide, {first.metric}) and {other.feature!r} ({other.dim} wide, {other.metric}) "
                "were made by encoders that do not share one; encode both with one encoder, or "
                "set method = 'concat'"
            )


def _average(
    blocks: list[tuple[NDArray[np.float64], NDArray[np.bool_]]], weights: list[float]
) -> NDArray[np.float64]:
    """The weighted mean over the parts that each record has; zero where it has none that counts."""
    import numpy as np

    total = np.zeros_like(blocks[0][0])
    counted = np.zeros(len(total))
    for weight, (values, there) in zip(weights, blocks, strict=True):
        total += weight * values
        counted += weight * there
    return total / np.where(counted > 0, counted, 1.0)[:, None]


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of norm 1; zero stays zero."""
    import numpy as np

    norms = np.sqrt((values * values).sum(axis=1))
    return values / np.where(norms > 0, norms, 1.0)[:, None]


def _spread(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The root of the mean squared distance of rows from their mean; 1 where all are equal."""
    import numpy as np

    centred = values - values.mean(axis=0)
    spread = np.sqrt((centred * centred).sum(axis=1).mean())
    return np.asarray(spread if spread > _LEAST_SPREAD else 1.0)


def _copy(state: State) -> State:
    """So that a caller who writes into the arrays of a state does not change the encoder."""
    return State({name: array.copy() for name, array in state.arrays.items()}, dict(state.meta))


def _recipe(params: Params) -> dict[str, Json]:
    given: dict[str, Json] = asdict(params)
    del given["batch_size"], given["parts"]
    given["weights"] = {part.feature: params.weight(part) for part in params.parts}
    return {
        "kind": "fuse",
        "revision": REVISION,
        "params": given,
        "scales": {part.feature: params.scaling(part) for part in params.parts},
        "parts": [part.recipe() for part in params.parts],
    }


def recipe(params: Params) -> dict[str, Json] | None:
    """The recipe, where nothing has to be learned; None elsewhere.

    Raises:
        EncoderUsageError: if the parameters clash with the parts.
    """
    _check(params)
    return None if params.learned else _recipe(params)


def build(params: Params) -> Encoder:
    """Build the encoder; where a part is standardised it must be fitted or restored first.

    Raises:
        EncoderUsageError: if the parameters clash with the parts, or no part was named.
    """
    return FittedFuse(params) if params.learned else Fuse(params)
