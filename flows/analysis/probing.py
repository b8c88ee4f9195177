"""How well vectors tell a label: probes under cross-validation. Pure functions over NumPy matrices.

A linear probe reads off what a linear model can use, a nearest-neighbour probe what lies together.
All features are judged on the same folds, so that two can be compared fold by fold.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from flows.matrices import unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Matrix: TypeAlias = NDArray[np.float64]
    Fold: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64]]

Probe: TypeAlias = Literal["linear", "knn"]

NEIGHBOURS = 10
STRENGTHS = tuple(float(c) for c in np.logspace(-4, 0, 5))
"""Inverse strengths of regularisation that logistic regression chooses from (scikit-learn's C)."""

PENALTIES = tuple(float(a) for a in np.logspace(-1, 5, 7))
"""Penalties that ridge regression chooses from (scikit-learn's alpha)."""

_INNER = 3


@dataclass(frozen=True)
class Scores:
    """What a probe reaches, a fold.

    Attributes:
        folds: accuracy, or R² of a number, on each test part.
        sizes: records that each fold was learned on, and tested on.
    """

    folds: tuple[float, ...]
    sizes: tuple[tuple[int, int], ...]

    @property
    def mean(self) -> float:
        """Over folds."""
        return float(np.mean(self.folds))

    @property
    def deviation(self) -> float:
        """The standard deviation over folds."""
        return float(np.std(self.folds, ddof=1))


@dataclass(frozen=True)
class Difference:
    """How one set of scores differs from another over the same folds.

    Attributes:
        mean: of the differences, the second less the first.
        low, high: its 95 % confidence interval.
        p_value: of no difference.
    """

    mean: float
    low: float
    high: float
    p_value: float


def folds(
    labels: NDArray[Any],
    groups: NDArray[Any] | None,
    n: int,
    seed: int,
    *,
    numeric: bool,
) -> list[Fold]:
    """Rows to learn from and to test on, n times; each row is tested once.

    Each label has its share in every fold, and with groups no group stands on both sides.
    """
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    splitter: Any
    if numeric:
        splitter = KFold if groups is None else GroupKFold
    else:
        splitter = StratifiedKFold if groups is None else StratifiedGroupKFold
    with warnings.catch_warnings():
        # A label with fewer rows than folds stands in some of them only.
        warnings.simplefilter("ignore", UserWarning)
        made = splitter(n, shuffle=True, random_state=seed)
        found = list(made.split(np.zeros(len(labels)), labels, groups))
        if not all(len(test) for _, test in found):  # few groups, and very uneven ones
            made = GroupKFold(n, shuffle=True, random_state=seed)
            found = list(made.split(np.zeros(len(labels)), labels, groups))
    return found


def linear(
    vectors: Matrix,
    labels: NDArray[Any],
    groups: NDArray[Any] | None,
    parts: Sequence[Fold],
    *,
    numeric: bool,
) -> Scores:
    """A linear probe: logistic regression, or ridge regression for a number (R²).

    Dimensions are standardised, and the strength of regularisation is chosen, by cross-validation
    within the training part of each fold alone.

    Args:
        vectors: ``(n, dim)``.
        labels: ``(n,)``.
        groups: ``(n,)``, or None.
        parts: of `folds`.
        numeric: whether labels are numbers.
    """
    from sklearn.exceptions import ConvergenceWarning

    found = []
    for learn, test in parts:
        inside = None if groups is None else groups[learn]
        n = _INNER if inside is None else min(_INNER, len(np.unique(inside)))
        inner = folds(labels[learn], inside, n, len(learn), numeric=numeric) if n > 1 else None
        model = _ridge(inner) if numeric else _logistic(labels[learn], inner)
        with warnings.catch_warnings():
            # Where little is regularised it may not converge; such a strength is hardly chosen.
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = model.fit(vectors[learn], labels[learn])
        found.append(float(fitted.score(vectors[test], labels[test])))
    return _scores(found, parts)


def _ridge(inner: list[Fold] | None) -> Any:  # noqa: ANN401 - scikit-learn ships no types
    from sklearn.linear_model import Ridge, RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = RidgeCV(alphas=PENALTIES, cv=inner) if inner else Ridge(alpha=1.0)
    return make_pipeline(StandardScaler(), model)


def _logistic(labels: NDArray[Any], inner: list[Fold] | None) -> Any:  # noqa: ANN401 - as above
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000, tol=1e-3))
    whole = inner and all(len(np.unique(labels[learn])) > 1 for learn, _ in inner)
    if not whole:
        return model.set_params(logisticregression__C=0.01)
    return GridSearchCV(model, {"logisticregression__C": STRENGTHS}, cv=inner)


def knn(
    vectors: Matrix,
    labels: NDArray[Any],
    parts: Sequence[Fold],
    metric: str,
    *,
    numeric: bool,
    k: int = NEIGHBOURS,
) -> Scores:
    """A nearest-neighbour probe: the majority, or the mean, of the k nearest training rows.

    Args:
        vectors: ``(n, dim)``.
        labels: ``(n,)``.
        parts: of `folds`.
        metric: ``cosine``, ``l2`` or ``dot`` (the largest product is the nearest).
        numeric: whether labels are numbers.
        k: neighbours.
    """
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    found = []
    for learn, test in parts:
        known, asked = _placed(vectors[learn], vectors[test], metric)
        model = (KNeighborsRegressor if numeric else KNeighborsClassifier)(
            min(k, len(learn)), algorithm="brute"
        )
        found.append(float(model.fit(known, labels[learn]).score(asked, labels[test])))
    return _scores(found, parts)


def _placed(known: Matrix, asked: Matrix, metric: str) -> tuple[Matrix, Matrix]:
    """Rows whose Euclidean distances rank as the metric does.

    Of products by one dimension more, which fills up all known rows to one norm: Bachrach et al.
    2014, "Speeding Up the Xbox Recommender System Using a Euclidean Transformation".
    """
    if metric == "l2":
        return known, asked
    if metric == "cosine":
        return unit(known), unit(asked)
    squares = np.einsum("ij,ij->i", known, known)
    rest = np.sqrt(squares.max(initial=0.0) - squares)
    return np.column_stack([known, rest]), np.column_stack([asked, np.zeros(len(asked))])


def baseline(labels: NDArray[Any], parts: Sequence[Fold], *, numeric: bool) -> Scores:
    """What one gets without vectors: the most frequent training label, or the training mean."""
    from sklearn.dummy import DummyClassifier, DummyRegressor

    found = []
    for learn, test in parts:
        model = DummyRegressor() if numeric else DummyClassifier(strategy="most_frequent")
        model.fit(np.zeros((len(learn), 1)), labels[learn])
        found.append(float(model.score(np.zeros((len(test), 1)), labels[test])))
    return _scores(found, parts)


def compare(first: Scores, second: Scores) -> Difference:
    """The corrected resampled t-test: folds share their training rows, so they are not independent.

    Nadeau & Bengio 2003: the variance of the mean difference is ``(1/J + n_test/n_train) s²``.
    """
    from scipy import stats

    gaps = np.subtract(second.folds, first.folds)
    n = len(gaps)
    learned, tested = np.mean(first.sizes, axis=0)
    spread = float(np.sqrt((1 / n + tested / learned) * gaps.var(ddof=1)))
    mean = float(gaps.mean())
    if spread == 0:
        return Difference(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    reach = float(stats.t.ppf(0.975, n - 1)) * spread
    p_value = float(2 * stats.t.sf(abs(mean) / spread, n - 1))
    return Difference(mean, mean - reach, mean + reach, p_value)


def _scores(found: Sequence[float], parts: Sequence[Fold]) -> Scores:
    return Scores(tuple(found), tuple((len(learn), len(test)) for learn, test in parts))
