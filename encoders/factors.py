"""Users and items by matrix factorisation: vectors whose dot product tells who likes what.

``implicit`` learns from what users have met at all (`encoders._confidence`), ``explicit`` from how
much they liked it (`encoders._ratings`). What is learned are factors of the users and items in the
sample. A record is not looked up in them but *folded in*: its vector is the solution of the same
least squares with the other side's factors as they were learned, so it follows from what the record
has met alone. Whoever came after the fit has a vector like any other, and one that met more since
has the vector of one who always had.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import numpy as np

from encoders import _confidence, _ratings, interactions
from encoders._entities import Entities, matrix, met
from encoders._learned import Learned, expect
from encoders._libraries import majors
from encoders._ranges import check_counts, check_held_out
from encoders._ridge import solved
from encoders.base import EncoderError, State
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from encoders.base import Json, Metric, Modality
    from encoders.interactions import Side

MODALITY: Modality = "interactions"
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""

_OTHER: dict[Side, Side] = {"user": "item", "item": "user"}
_ONLY = {"alpha": "implicit", "counts": "implicit", "held_out": "explicit", "patience": "explicit"}
"""Parameters that count for one kind of feedback alone."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "factors"``.

    Attributes:
        feedback: ``implicit`` where a weight is how often a user met an item, and what was not met
            is taken as less liked; ``explicit`` where it is a rating, and what was not rated says
            nothing.
        factors: how many are learned. Vectors are as wide, and by two wider for ``explicit``.
        regularization: above 0; the fewer interactions a record has, the more this pulls its
            vector to what is usual. If left out, 5 for ``explicit``, and for ``implicit`` by what
            there is to learn from (`encoders._confidence.usual_regularization`).
        iterations: steps for users and items each; at most so many for ``explicit``.
        alpha: ``implicit``: how sure a weight of 1 makes, where never having met counts 1.
        counts: ``implicit``: ``log``, by which twice as often is a step and not twice as sure, or
            ``linear``.
        held_out: ``explicit``: share of the ratings that is not learned from, to know when to stop.
        patience: ``explicit``: how many iterations may bring nothing before it stops.
        batch_size: records encoded at a time.

    Raises:
        ValueError: if a value is out of its range.
    """

    feedback: Literal["implicit", "explicit"] = "implicit"
    factors: int = 64
    regularization: float | None = None
    iterations: int = 20
    alpha: float = 10.0
    counts: Literal["log", "linear"] = "log"
    held_out: float = 0.05
    patience: int = 3
    batch_size: int = 4096

    def __post_init__(self) -> None:
        check_counts(self, ("factors", "iterations", "patience", "batch_size"))
        for name in ("regularization", "alpha"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be above 0 and finite, got {value}")
        check_held_out(self.held_out)

    @property
    def confidence(self) -> _confidence.Confidence:
        """How sure a weight makes."""
        return _confidence.Confidence(self.alpha, self.counts == "log")


@dataclass(frozen=True)
class _Known:
    """The users, or the items, of a fit.

    Attributes:
        entities: who they are.
        factors: ``(n, k)`` float32; for explicit feedback the bias comes last.
        prior: ``(k, k)`` float64, for folding in those that have met them.
    """

    entities: Entities
    factors: NDArray[np.float32]
    prior: NDArray[np.float64]


@dataclass(frozen=True)
class _Model:
    user: _Known
    item: _Known
    scale: _ratings.Scale
    figures: dict[str, Json]

    def of(self, side: Side) -> _Known:
        return self.user if side == "user" else self.item


class Factors(Learned[_Model]):
    """Users and items to ``(n, dim)`` float32, whose dot products rank, or tell ratings.

    The dot product of a user and an item is for ``explicit`` the rating expected, in the unit of
    the ratings; for ``implicit`` from about 0, never met, to about 1, surely met again. Two users,
    or two items, have one too, which says less: those with long vectors are near to all.

    A record without anybody that the fit has met is told as the least squares have it: by zeros
    for ``implicit``, and for ``explicit`` as a user that rates, or an item that is rated, as usual.
    """

    modality: ClassVar[Modality] = "interactions"
    metric: Metric = "dot"
    fit_size = 1_000_000
    kind = "factors"
    nothing = "has learned no users and items yet"

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.params = params
        self.batch_size = params.batch_size

    @property
    def dim(self) -> int:
        """The width of the vectors: the factors, and for ``explicit`` two more for the biases."""
        return self.params.factors + (2 if self._explicit else 0)

    @property
    def _explicit(self) -> bool:
        return self.params.feedback == "explicit"

    def fit(self, sample: pl.DataFrame, rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Learn the factors of all users and items of a sample, as `encoders.interactions` has it.

        An interaction counts whether its user is in the sample, its item, or both. The order of
        the records is no matter.

        Raises:
            EncoderError: if there are no interactions, or for ``explicit`` too few or all alike.
        """
        import scipy.linalg  # noqa: F401 - a BLAS can be limited once it is there, and this has one
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        interactions.check(sample)
        watch.stage("put together", None)
        entities, weights = matrix(self._told(sample, watch))
        # With more threads BLAS may add up in another order; and `implicit` warns of them.
        with threadpool_limits(1, "blas"):
            self._take(self._learned(entities, weights, rng, watch))

    def _told(self, sample: pl.DataFrame, watch: Watch) -> pl.DataFrame:
        """The interactions of a sample that say something."""
        import polars as pl

        pairs = interactions.pairs(sample)
        told = pairs if self._explicit else pairs.filter(pl.col("weight") > 0)
        if less := len(pairs) - len(told):
            watch.note(
                f"{less:,} of {len(pairs):,} interactions have a weight of 0 or less, which "
                "implicit feedback takes as not having met"
            )
        if told.is_empty():
            raise EncoderError(
                "factors needs interactions to learn from, and the sample has none; see that the "
                "source names the columns of users and items"
            )
        return told

    def _learned(
        self,
        entities: dict[Side, Entities],
        weights: csr_matrix,
        rng: np.random.Generator,
        watch: Watch,
    ) -> _Model:
        params, scale = self.params, _ratings.Scale(0.0, 1.0)
        ridge = params.regularization or self._usual(weights)
        figures: dict[str, Json] = {
            "users": weights.shape[0],
            "items": weights.shape[1],
            "interactions": weights.nnz,
            "regularization": ridge,
        }
        factors: dict[Side, NDArray[np.float32]]
        if self._explicit:
            goal = _ratings.Goal(
                params.factors, ridge, params.iterations, params.held_out, params.patience
            )
            found = _ratings.learn(weights, goal, rng, watch)
            factors = {side: getattr(found, f"{side}s").astype(np.float32) for side in _OTHER}
            scale, figures = found.scale, figures | found.figures
        else:
            aim = _confidence.Goal(params.factors, params.confidence, ridge, params.iterations)
            users, items = _confidence.learn(weights, aim, rng, watch)
            factors = {"user": users, "item": items}
        known = {
            side: _Known(entities[side], factors[side], self._prior(factors[side], ridge))
            for side in _OTHER
        }
        return _Model(known["user"], known["item"], scale, figures)

    def _usual(self, weights: csr_matrix) -> float:
        if self._explicit:
            return _ratings.USUAL_REGULARIZATION
        return _confidence.usual_regularization(weights, self.params.confidence)

    def _prior(self, factors: NDArray[np.float32], ridge: float) -> NDArray[np.float64]:
        if self._explicit:
            return _ratings.prior(self.params.factors, ridge)
        return _confidence.prior(factors, ridge)

    def _written(self, model: _Model) -> State:
        """Hashes ``(n, 16)`` uint8, factors ``(n, k)`` float32 and priors ``(k, k)``, by side."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for side in _OTHER:
            known = model.of(side)
            arrays[f"{side}_hashes"] = known.entities.hashes
            arrays[f"{side}_factors"] = known.factors
            arrays[f"{side}_prior"] = known.prior
        scale = {"mean": model.scale.mean, "spread": model.scale.spread}
        meta = {"feedback": self.params.feedback, "scale": scale, "figures": model.figures}
        return State(arrays, cast("dict[str, Json]", meta))

    def _read(self, state: State) -> _Model:
        width = self.params.factors + self._explicit
        sizes = {side: len(state.arrays.get(f"{side}_factors", ())) for side in _OTHER}
        shapes: dict[str, tuple[int, ...]] = {}
        for side, size in sizes.items():
            shapes |= {f"{side}_hashes": (size, 16), f"{side}_factors": (size, width),
                       f"{side}_prior": (width, width)}  # fmt: skip
        expect(state, shapes)
        if state.meta["feedback"] != self.params.feedback:
            raise EncoderError(
                f"this state was learned from {state.meta['feedback']} feedback, and feedback is "
                f"{self.params.feedback!r}; fit again"
            )
        known = {
            side: _Known(
                Entities(state.arrays[f"{side}_hashes"]),
                state.arrays[f"{side}_factors"],
                state.arrays[f"{side}_prior"],
            )
            for side in _OTHER
        }
        scale = _ratings.Scale(**cast("dict[str, float]", state.meta["scale"]))
        figures = cast("dict[str, Json]", state.meta["figures"])
        return _Model(known["user"], known["item"], scale, figures)

    def recipe(self) -> dict[str, Json]:
        """Kind, revision, the parameters that count, and the digest of what was learned."""
        feedback = self.params.feedback
        params: dict[str, Json] = asdict(self.params)
        del params["batch_size"]  # does not change the vectors
        params = {k: v for k, v in params.items() if _ONLY.get(k, feedback) == feedback}
        return {
            "kind": "factors",
            "code": REVISION,
            "params": params,
            "state": self._digest,
            "libraries": {} if self._explicit else majors("implicit"),
        }

    def known(self, side: Side, ids: Sequence[str]) -> NDArray[np.bool_]:
        """Which users, or items, the fit has met: ``(n,)``.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        found: NDArray[np.bool_] = self._known().of(side).entities.find(side, ids) >= 0
        return found

    @property
    def liked(self) -> float:
        """1, and for ``explicit`` a rating above the mean by the spread of the ratings.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        scale = self._known().scale
        return scale.mean + scale.spread  # 0 and 1 where there are no ratings

    def encode(self, batch: pl.DataFrame) -> NDArray[np.float32]:
        """Fold records in, as `encoders.interactions` has them: ``(n, dim)`` float32.

        Others that the fit has not met are passed over.

        Raises:
            EncoderError: before `fit` or `restore`, or if it is no batch of interactions.
        """
        import polars as pl

        model = self._known()
        interactions.check(batch)
        rows = np.zeros((len(batch), self.dim), np.float32)
        for side in _OTHER:
            mine = batch.with_row_index("row").filter(pl.col("side") == side)
            rows[mine["row"].to_numpy()] = self._folded(model, side, mine)
        return rows

    def _folded(self, model: _Model, side: Side, batch: pl.DataFrame) -> NDArray[np.float32]:
        """The vectors of records of one side."""
        theirs = model.of(_OTHER[side])
        known = met(batch, _OTHER[side], theirs.entities)
        if not self._explicit:
            evidence = self.params.confidence.evidence(*known)
            return solved(theirs.factors, evidence, theirs.prior).astype(np.float32)
        evidence = model.scale.evidence(*known, theirs.factors[:, -1])
        found = solved(_ratings.design(theirs.factors), evidence, theirs.prior)
        return _placed(side, found, model.scale).astype(np.float32)


def _placed(side: Side, found: NDArray[np.float64], scale: _ratings.Scale) -> NDArray[np.float64]:
    """Factors and biases so that a dot product is a rating.

    A user is ``[p, spread * b, 1]`` and an item ``[spread * q, 1, spread * c + mean]``.
    """
    ones = np.ones((len(found), 1))
    bias = scale.spread * found[:, -1:]
    if side == "user":
        return np.hstack([found[:, :-1], bias, ones])
    return np.hstack([scale.spread * found[:, :-1], ones, bias + scale.mean])


def build(params: Params) -> Factors:
    """Build the encoder; it must be fitted or restored before it encodes."""
    return Factors(params)
