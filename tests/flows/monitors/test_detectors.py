from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.monitors import _detectors
from tests.flows.monitors.samples import lumpy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors._detectors import Detector

K = 7

every_detector = pytest.mark.parametrize("detector", _detectors.DETECTORS)


def score(
    detector: Detector, training: NDArray[np.float32], rows: NDArray[np.float32], seed: int = 0
) -> NDArray[np.float64]:
    return _detectors.scores(detector, training, rows, K, np.random.default_rng(seed))


def draws(n: int, dim: int, seed: int = 0) -> NDArray[np.float32]:
    return lumpy(n, np.random.default_rng(seed), dim).astype(np.float32)


@pytest.mark.parametrize("dim", [1, 6, 150])
def test_each_is_what_its_library_says(dim: int) -> None:
    from sklearn.covariance import LedoitWolf
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

    training, rows = draws(90, dim), draws(40, dim, 1)
    first, second = training.astype(np.float64), rows.astype(np.float64)
    index = NearestNeighbors(n_neighbors=K).fit(first)
    seed = int(np.random.default_rng(0).integers(2**31))
    # the same cuts need the same numbers, and ours are moved to the mean
    centre = first.mean(axis=0)
    forest = IsolationForest(random_state=seed).fit(first - centre)
    theirs = {
        "knn": index.kneighbors(second)[0].mean(axis=1),
        "lof": -LocalOutlierFactor(K, novelty=True).fit(first).score_samples(second),
        "mahalanobis": LedoitWolf().fit(first).mahalanobis(second),
        "isolation_forest": -forest.score_samples(second - centre),
    }
    for detector in _detectors.DETECTORS:
        if detector in theirs:
            np.testing.assert_allclose(score(detector, training, rows), theirs[detector], rtol=1e-6)


def test_ecod_is_that_of_pyod_for_rows_added_one_by_one() -> None:
    from pyod.models.ecod import ECOD

    training, rows = draws(90, 6), draws(12, 6, 1)
    ours = score("ecod", training, rows)
    for row, found in zip(rows, ours, strict=True):
        fitted = ECOD().fit(training.astype(np.float64))
        assert found == pytest.approx(fitted.decision_function(row[None].astype(np.float64))[0])


def test_knn_is_that_of_pyod() -> None:
    from pyod.models.knn import KNN

    training, rows = draws(90, 6), draws(40, 6, 1)
    fitted = KNN(n_neighbors=K, method="mean").fit(training.astype(np.float64))
    wanted = fitted.decision_function(rows.astype(np.float64))
    np.testing.assert_allclose(score("knn", training, rows), wanted, rtol=1e-6)


@every_detector
def test_a_row_far_away_is_stranger_than_all_others(detector: Detector) -> None:
    rng = np.random.default_rng(3)
    training, rows = rng.standard_normal((300, 5)), rng.standard_normal((100, 5))
    rows[17] += 12
    found = score(detector, training.astype(np.float32), rows.astype(np.float32))
    assert found.argmax() == 17


@every_detector
def test_a_score_does_not_depend_on_the_rows_beside_it(detector: Detector) -> None:
    training, rows = draws(80, 6), draws(2100, 6, 1)
    together = score(detector, training, rows)
    np.testing.assert_allclose(score(detector, training, rows[::-1])[::-1], together, rtol=1e-9)
    np.testing.assert_allclose(score(detector, training, rows[1030:1031]), together[1030:1031])


@every_detector
@pytest.mark.parametrize("value", [0.0, -7.0, 3e38])
def test_constant_rows_are_as_strange_as_each_other(detector: Detector, value: float) -> None:
    found = score(detector, np.full((30, 4), value, np.float32), np.full((9, 4), value, np.float32))
    assert np.isfinite(found).all()
    assert (found == found[0]).all()


@every_detector
def test_a_dimension_that_stands_still_changes_no_order(detector: Detector) -> None:
    training, rows = draws(90, 5), draws(40, 5, 1)
    wider = [np.hstack([side, np.full((len(side), 1), 2, np.float32)]) for side in (training, rows)]
    found = score(detector, wider[0], wider[1])
    assert np.isfinite(found).all()
    if detector != "isolation_forest":  # which draws other cuts where there is more to cut
        correlation = np.corrcoef(found, score(detector, training, rows))[0, 1]
        assert correlation > 0.99


@every_detector
def test_far_from_the_origin_all_looks_as_it_does_near(detector: Detector) -> None:
    training, rows = np.round(draws(90, 5), 2), np.round(draws(40, 5, 1), 2)
    near, far = (score(detector, training + np.float32(b), rows + np.float32(b)) for b in (0, 64))
    assert np.corrcoef(near, far)[0, 1] > 0.999


@every_detector
@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_handful_of_training_rows_is_enough_to_score(detector: Detector, count: int) -> None:
    found = score(detector, draws(count, 6), draws(10, 6, 1))
    assert np.isfinite(found).all()
