"""Rows of a table, or vectors of features, by their principal components.

Pearson 1901, "On lines and planes of closest fit to systems of points in space"; Hotelling 1933.
Of all projections to so many dimensions this one keeps most of the variance, which is the mean
squared distance of two records (`encoders._tables` says how they become rows of features).

It is exact, and takes the sample in block by block (`encoders._svd`), so that memory does not grow
with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders import _reading, _tables
from encoders._learned import Learned, expect
from encoders._ranges import check_counts
from encoders._reading import READS, Reading
from encoders._rows import BLOCK, blocks, each
from encoders._svd import gathered
from encoders.base import EncoderError, State
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from encoders._tables import Inputs
    from encoders.base import Json, Metric, Modality

__all__ = ["NESTED", "READS", "Params", "build", "modality"]

NESTED = True
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""

_LEAST_VARIANCE = 1e-10
"""Of the largest component's: what is below is rounding."""


@dataclass(frozen=True)
class Params(Reading):
    """The keys of ``[encoders.NAME]`` for ``kind = "pca"``: those of `Reading`, and its own.

    Attributes:
        dim: how many components are kept at most; all that vary if left out.
        whiten: give every component variance 1, so that weak ones count as much as strong ones.
        batch_size: records encoded at a time.

    Raises:
        ValueError: if a value is out of its range.
    """

    dim: int | None = 64
    whiten: bool = False
    batch_size: int = 8192

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, ("dim", "batch_size"))


@dataclass(frozen=True)
class _Model:
    """``weights`` is ``(features, dim)`` float64, its columns divided by deviations to whiten."""

    inputs: Inputs
    weights: NDArray[np.float64]
    figures: Json


class Pca(Learned[_Model]):
    """Records to ``(n, dim)`` float32, centred on the sample, the strongest component first."""

    metric: Metric = "l2"
    fit_size = 20_000
    kind = "pca"
    nothing = "has learned no components yet"

    def __init__(self, params: Params) -> None:
        super().__init__()
        _reading.check(self.kind, params)
        self.params = params
        self.batch_size = params.batch_size

    @property
    def modality(self) -> Modality:
        """What the records are, which is the user's choice."""
        return self.params.reads

    @property
    def dim(self) -> int:
        """The width of the vectors: ``params.dim``, or the rank of the sample where that is less.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        return int(self._known().weights.shape[1])

    def fit(self, sample: pl.DataFrame, rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Find the components of a sample; besides it, memory is that of one block of records.

        Raises:
            EncoderError: if there are under two records, or all are alike; as
                `_tables.learn_inputs` does.
        """
        import numpy as np

        del rng, watch  # nothing here is left to chance, nor takes long
        inputs = _tables.learn_inputs(self.kind, self.params, sample)
        # a triangle is decomposed again with each block, so blocks are larger than triangles
        parts = blocks(sample, max(BLOCK, 2 * inputs.width))
        variances, directions = gathered(inputs.rows(part) for part in parts).directions()
        if not variances[0] > 0:
            raise EncoderError(
                f"all {sample.height} records of the sample are alike: pca has nothing to tell "
                "them apart by"
            )
        strong = int(np.count_nonzero(variances > _LEAST_VARIANCE * variances[0]))
        kept = strong if self.params.dim is None else min(self.params.dim, strong)
        weights = directions[:, :kept]
        if self.params.whiten:
            weights = weights / np.sqrt(variances[:kept])
        figures: dict[str, Json] = {
            "records": sample.height,
            "features": inputs.width,
            "dim": kept,
            "kept_variance": round(float(variances[:kept].sum() / variances.sum()), 6),
        }
        self._take(_Model(inputs, np.ascontiguousarray(weights), figures))

    def _written(self, model: _Model) -> State:
        """``mean (features,)``, ``scale (features,)``, ``weights (features, dim)``, columns."""
        arrays, meta = model.inputs.written()
        return State({**arrays, "weights": model.weights}, {**meta, "figures": model.figures})

    def _read(self, state: State) -> _Model:
        inputs = _tables.read(self.params, state)
        features = sum(source.width for source in inputs.sources)
        dim = state.arrays["weights"].shape[-1] if "weights" in state.arrays else 0
        shapes = {"mean": (features,), "scale": (features,), "weights": (features, dim)}
        expect(state, shapes)
        return _Model(inputs, state.arrays["weights"], state.meta.get("figures"))

    def recipe(self) -> dict[str, Json]:
        """Kind, code, parameters, the parts' fingerprints, and the digest of what was learned."""
        params = _reading.recipe_of(self.params)
        return {"kind": self.kind, "code": REVISION, "params": params, "state": self._digest}

    def encode(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """Encode records: ``(n, dim)`` float32, finite.

        A column that the sample did not have, or that was constant there, is ignored.

        Raises:
            EncoderError: before `fit` or `restore`; if a column or a part is missing, or changed
                its type.
        """
        known = self._known()
        return each(known.inputs.rows(batch), self.dim, lambda rows: rows @ known.weights)


def modality(params: Params) -> Modality:
    """What the records are, which is the user's choice."""
    return params.reads


def build(params: Params) -> Pca:
    """Build the encoder; it must be fitted or restored before it encodes.

    Raises:
        EncoderUsageError: if vectors are to be read, and no part was named or one is not clear.
    """
    return Pca(params)
