"""Rows of a table to vectors: each column weighs alike, then principal components.

A column, whether numbers or categories, becomes a block of features (`encoders._columns`) that is
centred and divided by the root of its total variance. The mean squared distance of two rows is
then 2 for every column: neither a column in large units nor one with many categories drowns the
others. (Factor analysis of mixed data, Pagès 2004, has the same aim, but there a column of many
categories, and of rare ones, counts more.)

Principal components keep these distances as well as that many dimensions can (Pearson 1901).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from encoders._columns import from_json, learn, to_json
from encoders._learned import Learned, expect
from encoders._ranges import check_counts
from encoders._tables import require
from encoders.base import EncoderError, State
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from encoders._columns import Category, Number
    from encoders.base import Json, Metric, Modality

MODALITY: Modality = "tabular"
NESTED = True
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""

_LEAST_SAMPLE = 2
_LEAST_VARIANCE = 1e-10
"""Of the largest component's: what is below is rounding."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]``.

    Attributes:
        dim: how many principal components are kept at most; all that vary if left out.
        categories: columns of numbers or truth values that are to be read as categories.
        min_count: how often a category must stand in the fit sample to have a feature.
        max_categories: how many have one, the most frequent ones.
        batch_size: rows encoded at a time.

    Raises:
        ValueError: if a value is out of its range.
    """

    dim: int | None = 64
    categories: tuple[str, ...] = ()
    min_count: int = 5
    max_categories: int = 50
    batch_size: int = 8192

    def __post_init__(self) -> None:
        if isinstance(self.categories, str):
            raise ValueError(  # noqa: TRY004 - as every other wrong value of a parameter
                f"categories must be a list of column names, got {self.categories!r}"
            )
        object.__setattr__(self, "categories", tuple(self.categories))
        check_counts(self, ("dim", "min_count", "max_categories", "batch_size"))


@dataclass(frozen=True)
class _Model:
    columns: tuple[Number | Category, ...]
    mean: NDArray[np.float64]
    weights: NDArray[np.float64]


class Tabular(Learned[_Model]):
    """Rows to ``(n, dim)`` float32 that is centred on the fit sample; near rows are alike.

    A category that the fit sample did not have, or had too rarely, counts as one of the others,
    a gap where it had none as the median or as no category; infinity is a very large number.
    """

    modality: ClassVar[Modality] = "tabular"
    metric: Metric = "l2"
    fit_size = 20_000
    kind = "tabular"
    nothing = "has learned no columns yet"

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.params = params
        self.batch_size = params.batch_size

    @property
    def dim(self) -> int:
        """The width of the vectors: ``params.dim``, or fewer where the table has no more to tell.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        return int(self._known().weights.shape[1])

    def fit(self, sample: pl.DataFrame, rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Learn the columns and the components from a sample; the order of columns is no matter.

        Raises:
            EncoderError: if there are under two rows, no column varies, a type cannot be read, or
                a column of ``categories`` is not there.
        """
        import numpy as np

        del rng, watch  # nothing here is left to chance, nor takes long
        if sample.height < _LEAST_SAMPLE:
            raise EncoderError(
                f"tabular needs {_LEAST_SAMPLE} rows or more to learn from, got {sample.height}"
            )
        require(sample, self.params.categories)
        columns = self._learn_columns(sample)
        blocks = [column.block(sample[column.name]) for column in columns]
        scales = [1 / np.sqrt(block.var(axis=0).sum()) for block in blocks]
        scale = np.repeat(scales, [column.width for column in columns])
        features = np.hstack(blocks)
        mean = features.mean(axis=0)
        weights = scale[:, None] * _components((features - mean) * scale, self.params.dim)
        self._take(_Model(columns, mean, weights))

    def _written(self, model: _Model) -> State:
        """``mean (features,)``, ``weights (features, dim)`` and the columns."""
        columns: list[Json] = [to_json(column) for column in model.columns]
        return State({"mean": model.mean, "weights": model.weights}, {"columns": columns})

    def _read(self, state: State) -> _Model:
        columns = tuple(from_json(column) for column in cast("list[Any]", state.meta["columns"]))
        features = sum(column.width for column in columns)
        dim = state.arrays["weights"].shape[-1] if "weights" in state.arrays else 0
        expect(state, {"mean": (features,), "weights": (features, dim)})
        return _Model(columns, state.arrays["mean"], state.arrays["weights"])

    def recipe(self) -> dict[str, Json]:
        """Kind, revision, parameters, and the digest of what was learned (None before)."""
        params: dict[str, Json] = asdict(self.params)
        params["categories"] = [*sorted(self.params.categories)]
        del params["batch_size"]  # does not change the vectors
        return {"kind": "tabular", "revision": REVISION, "params": params, "state": self._digest}

    def encode(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """Encode rows; columns that were not in the fit sample, or constant there, are ignored.

        Returns:
            ``(n, dim)`` float32, finite.

        Raises:
            EncoderError: before `fit` or `restore`; if a column is missing or changed its type.
        """
        import numpy as np

        known = self._known()
        vectors = np.zeros((batch.height, self.dim))
        if batch.is_empty():
            return vectors.astype(np.float32)
        require(batch, [column.name for column in known.columns])
        features = np.hstack([column.block(batch[column.name]) for column in known.columns])
        # a matrix product would add up in another order for another number of rows
        for feature, weights in zip((features - known.mean).T, known.weights, strict=True):
            vectors += feature[:, None] * weights
        return vectors.astype(np.float32)

    def _learn_columns(self, sample: pl.DataFrame) -> tuple[Number | Category, ...]:
        learned = [
            learn(
                sample[name],
                as_category=name in self.params.categories,
                min_count=self.params.min_count,
                max_categories=self.params.max_categories,
            )
            for name in sorted(sample.columns)
        ]
        columns = tuple(column for column in learned if column is not None)
        if not columns:
            raise EncoderError(
                f"none of the {sample.width} columns varies over the {sample.height} rows of the "
                "sample: there is nothing to tell rows apart by"
            )
        return columns


def _components(features: NDArray[np.float64], dim: int | None) -> NDArray[np.float64]:
    """The principal components as columns, ``(features, at most dim)``, the strongest first."""
    import numpy as np
    from sklearn.decomposition import PCA

    pca = PCA(svd_solver="full").fit(features)
    strong = pca.explained_variance_ > _LEAST_VARIANCE * pca.explained_variance_[0]
    kept = int(np.count_nonzero(strong))
    kept = kept if dim is None else min(dim, kept)
    return np.ascontiguousarray(pca.components_[:kept].T)


def build(params: Params) -> Tabular:
    """Build the encoder; it must be fitted or restored before it encodes."""
    return Tabular(params)
