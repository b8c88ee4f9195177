"""Rows of a table by entity embeddings: categories that mean alike are near each other.

Guo & Berkhahn 2016, "Entity Embeddings of Categorical Variables". One-hot features are as far apart
for Bern and Zürich as for Bern and Lima; here each category has a short vector of its own, learned
from what it says of a label, or of the other columns (`encoders._categories`).

A vector is that of each column side by side, in the order of their names, with numbers alongside
(`encoders._fields`). Each column is centred and divided by the root of its total variance, so that
none drowns the others.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from encoders import _fields
from encoders._columns import Category, learn
from encoders._fields import Field, from_fields, learn_field
from encoders._learned import Learned, expect
from encoders._ranges import check_count, check_counts, check_held_out, check_steps
from encoders._reading import column_names
from encoders._tables import require
from encoders.base import EncoderError, EncoderUsageError, State
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from encoders.base import Json, Metric, Modality

MODALITY: Modality = "tabular"
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""

_LEAST = 10
_TARGETS = ("class", "number")


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "entity"``.

    Attributes:
        label: the kept column of the source that is to be told; None learns from hidden columns.
        target: whether the label is a ``class``, or a ``number`` (regression).
        categories: columns of numbers or truth values to be read as categories.
        min_count: how often a category must stand in the sample to have a row.
        max_categories: how many have one, the most frequent ones.
        bins: numbers are cut into so many ranges at most, each with a row; 0 for none.
        dims: the width of the rows of a column, by its name; else by `_fields.rule`.
        hidden: units of each layer of the network that tells, above the rows.
        dropping: share of the values that are taken away while learning, so that unknown and
            missing ones have a row; without a label, of the columns that are hidden.
        held_out: share of the sample that is not learned from, to know when to stop.
        epochs: at most so many passes over the sample.
        patience: how many passes may bring nothing before it stops.
        rate: learning rate at the first step.
        decay: weight decay.
        batch_size: rows encoded at a time.

    Raises:
        ValueError: if a value is out of its range.
    """

    label: str | None = None
    target: Literal["class", "number"] = "class"
    categories: tuple[str, ...] = ()
    min_count: int = 5
    max_categories: int = 10_000
    bins: int = 32
    dims: dict[str, int] = field(default_factory=dict)
    hidden: tuple[int, ...] = (64,)
    dropping: float = 0.05
    held_out: float = 0.1
    epochs: int = 30
    patience: int = 3
    rate: float = 0.002
    decay: float = 0.01
    batch_size: int = 8192

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", column_names(self.categories))
        object.__setattr__(self, "hidden", tuple(self.hidden))
        check_counts(self, ("min_count", "max_categories", "epochs", "patience", "batch_size"))
        for width in self.hidden:
            check_count("a width of hidden", width)
        for name, dim in self.dims.items():
            check_count(f"dims.{name}", dim)
        least = 0 if self.label is not None else 2
        if self.bins < least:
            why = ", since without a label ranges are told" if least else ""
            raise ValueError(f"bins must be {least} or more{why}, got {self.bins}")
        if self.target not in _TARGETS:
            raise ValueError(f"target must be one of {', '.join(_TARGETS)}, got {self.target!r}")
        if self.target == "number" and self.label is None:
            raise ValueError("target = 'number' needs the column that holds it: set label")
        if not 0 < self.dropping < 0.5:  # noqa: PLR2004 - twice it is taken away
            raise ValueError(f"dropping must be above 0 and under 0.5, got {self.dropping}")
        check_held_out(self.held_out)
        check_steps(self.rate, self.decay)


@dataclass(frozen=True)
class _Model:
    """``tables``, a field each, and what is taken off numbers and what these are multiplied by."""

    fields: tuple[Field, ...]
    tables: tuple[NDArray[np.float32], ...]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    figures: Json


class Entity(Learned[_Model]):
    """Rows to ``(n, dim)`` float32, centred on the sample; each column has dimensions of its own.

    A category that the sample did not have, or had too rarely, has the row of all others, a gap
    that of gaps; both are learned where the sample has none, by taking values away.
    """

    modality: ClassVar[Modality] = "tabular"
    metric: Metric = "l2"
    fit_size = 20_000
    kind = "entity"
    nothing = "has learned no categories yet"

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.params = params
        self.label = params.label
        self.batch_size = params.batch_size

    @property
    def dim(self) -> int:
        """The width of the vectors.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        return sum(one.width for one in self._known().fields)

    def place(self, column: str) -> slice | None:
        """The dimensions of a column; None for one that says nothing.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        at = 0
        for one in self._known().fields:
            if one.column.name == column:
                return slice(at, at + one.width)
            at += one.width
        return None

    def category(self, column: str, name: str | None) -> NDArray[np.float32]:
        """The vector ``(d,)`` of one category; of one that is not known that of all others.

        Args:
            column: its name.
            name: the category as text; None for a gap.

        Raises:
            EncoderError: before `fit` or `restore`, or if there is no such column of categories.
        """
        known = self._known()
        for each, table in zip(known.fields, known.tables, strict=True):
            if each.column.name == column and isinstance(each.column, Category):
                places = {text: at for at, text in enumerate(each.column.names)}
                row = each.known + 1 if name is None else places.get(name, each.known)
                found: NDArray[np.float32] = table[row].copy()
                return found
        there = [f.column.name for f in known.fields if isinstance(f.column, Category)]
        raise EncoderError(
            f"{column!r} is no column of categories of this encoder; it has "
            f"{', '.join(map(repr, there))}"
        )

    def fit(self, sample: pl.DataFrame, rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Learn from columns that are hidden; with a `label` set, call `fit_labelled`.

        Raises:
            EncoderError: if there are under 10 rows, under two columns say anything, none is of
                categories, or a type cannot be read.
        """
        if self.label is not None:
            raise EncoderUsageError(
                f"label = {self.label!r} asks to learn from labels, got rows alone; call "
                "fit_labelled, or leave label out"
            )
        self._learn(sample, None, rng, watch)

    def fit_labelled(
        self,
        sample: pl.DataFrame,
        labels: Sequence[str | None],
        rng: np.random.Generator,
        watch: Watch = QUIET,
    ) -> None:
        """Learn from what rows say of their label; those without one are left out.

        Raises:
            EncoderError: as `fit` does; if fewer than two labels differ, or one is no number.
        """
        if len(labels) != sample.height:
            raise EncoderError(f"got {len(labels)} labels for {sample.height} rows")
        there = [at for at, label in enumerate(labels) if label is not None]
        self._learn(sample[there], [str(labels[at]) for at in there], rng, watch)

    def encode(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """Encode rows: ``(n, dim)`` float32, finite; other columns than the sample's are ignored.

        Raises:
            EncoderError: before `fit` or `restore`; if a column is missing or changed its type.
        """
        import numpy as np

        known, out = self._known(), np.zeros((batch.height, self.dim), np.float32)
        if batch.is_empty():
            return out
        require(batch, [each.column.name for each in known.fields])
        at = number = 0
        for each, table in zip(known.fields, known.tables, strict=True):
            out[:, at : at + each.dim] = table[each.index(batch)]
            place = slice(number, number + each.beside)
            beside = (each.numbers(batch) - known.mean[place]) * known.scale[place]
            out[:, at + each.dim : at + each.width] = beside
            at, number = at + each.width, number + each.beside
        return out

    def recipe(self) -> dict[str, Json]:
        """Kind, code, parameters, and the digest of what was learned (None before)."""
        params: dict[str, Json] = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self.params).items()
            if name != "batch_size"
        }
        return {"kind": self.kind, "code": REVISION, "params": params, "state": self._digest}

    def _written(self, model: _Model) -> State:
        """``table_K (rows, d)`` float32 of the Kth field, ``mean`` and ``scale`` of numbers."""
        arrays: dict[str, NDArray[Any]] = {f"table_{k}": t for k, t in enumerate(model.tables)}
        arrays |= {"mean": model.mean, "scale": model.scale}
        columns: list[Json] = [each.to_json() for each in model.fields]
        return State(arrays, {"fields": columns, "figures": model.figures})

    def _read(self, state: State) -> _Model:
        written = cast("list[Any]", state.meta.get("fields", []))
        fields = tuple(from_fields(each) for each in written)
        beside = (sum(each.beside for each in fields),)
        shapes: dict[str, tuple[int, ...]] = {f"table_{k}": f.shape for k, f in enumerate(fields)}
        expect(state, {**shapes, "mean": beside, "scale": beside})
        tables = tuple(state.arrays[f"table_{k}"] for k in range(len(fields)))
        figures = state.meta.get("figures")
        return _Model(fields, tables, state.arrays["mean"], state.arrays["scale"], figures)

    def _learn(
        self,
        sample: pl.DataFrame,
        labels: list[str] | None,
        rng: np.random.Generator,
        watch: Watch,
    ) -> None:
        import numpy as np
        import torch

        from encoders import _categories
        from encoders._descent import Descent
        from encoders._repeatable import one_core

        params = self.params
        fields = self._fields(sample)
        index = np.column_stack([each.index(sample) for each in fields])
        beside = np.column_stack([each.numbers(sample) for each in fields])
        mean, deviation = beside.mean(axis=0), beside.std(axis=0)
        standard = (beside - mean) / np.where(deviation > 0, deviation, 1.0)
        target, goal = _categories.goal(fields, labels, params.target, params.dropping)
        rows = _categories.Rows(
            torch.tensor(index), torch.tensor(standard, dtype=torch.float32), target
        )
        order = torch.from_numpy(rng.permutation(len(rows)))
        out = max(1, round(params.held_out * len(rows)))
        descent = Descent(params.epochs, params.rate, params.decay, params.patience)
        with one_core():
            split = rows[order[out:]], rows[order[:out]]
            tables, figures = _categories.learn(
                fields, split, goal, params.hidden, descent, rng, watch
            )
        arrays = [table.numpy() for table in tables]
        weighed, scale = _fields.weighed(fields, arrays, index, beside)
        figures |= {"records": len(rows) - out, "held_out_records": out}
        figures |= _fields.saved(fields, beside)
        self._take(_Model(tuple(fields), weighed, mean, scale, figures))

    def _fields(self, sample: pl.DataFrame) -> list[Field]:
        params = self.params
        if sample.height < _LEAST:
            labelled = "" if params.label is None else " with a label"
            raise EncoderError(
                f"entity needs {_LEAST} rows{labelled} or more to learn from, got {sample.height}"
            )
        require(sample, params.categories)
        fields = []
        for name in sorted(set(sample.columns) - {params.label}):
            column = learn(
                sample[name],
                as_category=name in params.categories,
                min_count=params.min_count,
                max_categories=params.max_categories,
            )
            if column is not None:
                fields.append(learn_field(column, sample, params.bins, params.dims.get(name)))
        self._check(fields)
        return fields

    def _check(self, fields: list[Field]) -> None:
        names = [each.column.name for each in fields]
        if not any(isinstance(each.column, Category) for each in fields):
            raise EncoderError(
                f"entity learns vectors of categories, and no column has any that vary; the "
                f"columns that say something are {', '.join(map(repr, names)) or 'none'}: name "
                "some in categories, or use kind 'tabular'"
            )
        if self.label is None and len(fields) == 1:
            raise EncoderError(
                f"without a label columns are told from each other, and {names[0]!r} is the only "
                "one that varies; set label, or give more columns"
            )
        strange = sorted(set(self.params.dims) - set(names))
        if strange:
            raise EncoderUsageError(
                f"dims names {strange[0]!r}, which is no column that varies; these are "
                f"{', '.join(map(repr, names))}"
            )


def build(params: Params) -> Entity:
    """Build the encoder; it must be fitted or restored before it encodes."""
    return Entity(params)
