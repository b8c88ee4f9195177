"""Measures between two encodings, against hand-computed values and other libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.lifecycle import similarity
from flows.lifecycle.similarity import cka, neighbours, overlap, procrustes, rank_biased_overlap

if TYPE_CHECKING:
    from numpy.typing import NDArray

METRICS = ("cosine", "l2", "dot")
ARRANGED = np.array([[0.0], [1.0], [3.0], [7.0]])


def drawn(n: int, d: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((n, d)) * np.linspace(1, 3, d) + 0.5


def turned(vectors: NDArray[np.float64], seed: int = 1) -> NDArray[np.float64]:
    from scipy.stats import ortho_group

    rotation: Any = ortho_group.rvs(vectors.shape[1], random_state=np.random.default_rng(seed))
    product: NDArray[np.float64] = vectors @ rotation
    return product


def test_neighbours_of_points_on_a_line() -> None:
    assert neighbours(ARRANGED, "l2", 3).tolist() == [[1, 2, 3], [0, 2, 3], [1, 0, 3], [2, 1, 0]]
    assert neighbours(ARRANGED, "dot", 2).tolist() == [[1, 2], [3, 2], [3, 1], [2, 1]]


@pytest.mark.parametrize(("metric", "name"), [("cosine", "cosine"), ("l2", "euclidean")])
def test_neighbours_are_those_of_scipy(metric: str, name: Any) -> None:  # noqa: ANN401 - scipy types the names
    from scipy.spatial.distance import cdist

    vectors = drawn(60, 5)
    far = cdist(vectors, vectors, name)
    np.fill_diagonal(far, np.inf)
    np.testing.assert_array_equal(neighbours(vectors, metric, 9), far.argsort(axis=1)[:, :9])


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = neighbours(drawn(50, 4), "l2", 20), neighbours(drawn(50, 4, 1), "l2", 20)
    shared = overlap(first, second, 10)
    monkeypatch.setattr(similarity, "_CELLS", 130)
    np.testing.assert_array_equal(neighbours(drawn(50, 4), "l2", 20), first)
    np.testing.assert_array_equal(overlap(first, second, 10), shared)


@pytest.mark.parametrize("depth", [0, 4])
def test_a_depth_that_there_is_not(depth: int) -> None:
    with pytest.raises(ValueError, match=f"depth must be 1 to 3 for 4 rows, got {depth}"):
        neighbours(ARRANGED, "l2", depth)


def test_a_metric_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="metric must be cosine, l2 or dot, got 'l1'"):
        neighbours(ARRANGED, "l1", 1)


def test_a_zero_vector_is_near_to_nothing_by_cosine() -> None:
    ranks = neighbours(np.array([[1.0, 0], [2, 0.1], [0, 0], [1, 1]]), "cosine", 2)
    assert 2 not in ranks[0]


def test_overlap_and_rank_biased_overlap_by_hand() -> None:
    first = np.array([[1, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]])
    second = np.array([[1, 2, 3, 4], [2, 1, 9, 3], [6, 7, 8, 9]])
    np.testing.assert_allclose(overlap(first, second, 2), [1, 1, 0])
    np.testing.assert_allclose(overlap(first, second, 4), [1, 3 / 4, 0])
    # Agreement at depths 1 to 4 of the second row: 0/1, 2/2, 2/3, 3/4; persistence 0.5.
    by_hand = 0 * 0.5 + 1 * 0.25 + 2 / 3 * 0.125 + 0.75 * 0.0625 + 0.75 * 0.0625
    np.testing.assert_allclose(rank_biased_overlap(first, second, 0.5), [1, by_hand, 0])


@pytest.mark.parametrize("metric", METRICS)
def test_a_rotation_and_a_scale_leave_neighbours_alone(metric: str) -> None:
    vectors = drawn(200, 6)
    first, second = (neighbours(v, metric, 30) for v in (vectors, 4 * turned(vectors)))
    assert overlap(first, second, 10).min() == 1
    np.testing.assert_allclose(rank_biased_overlap(first, second, 0.9), 1)


def test_a_rotation_and_a_scale_leave_geometry_alone() -> None:
    vectors = drawn(200, 6)
    # A shift and columns of zeros are no change of the geometry either.
    other = np.hstack([0.01 * turned(vectors) + 3, np.zeros((200, 4))])
    rng = np.random.default_rng(0)
    for one, two in ((vectors, other), (other, vectors)):
        alike, left = cka(one, two), procrustes(one, two, rng)
        assert alike is not None
        assert left is not None
        assert (alike.value, left.value) == pytest.approx((1, 0), abs=1e-6)
        assert max(alike.standard_error, left.standard_error) < 1e-6


def test_rows_in_another_order_have_only_chance_in_common() -> None:
    n, k = 1500, 10
    vectors = drawn(n, 12)
    other = np.random.default_rng(7).permutation(vectors)
    first, second = (neighbours(v, "cosine", 30) for v in (vectors, other))
    assert overlap(first, second, k).mean() == pytest.approx(k / (n - 1), abs=0.003)
    rbo = rank_biased_overlap(first, second, 0.9).mean()
    assert rbo == pytest.approx(similarity.rbo_by_chance(n, 30, 0.9), abs=0.003)
    alike, left = cka(vectors, other), procrustes(vectors, other, np.random.default_rng(1))
    assert alike is not None
    assert left is not None
    assert alike.value == pytest.approx(alike.by_chance, abs=0.01)
    assert left.value == pytest.approx(left.by_chance, abs=0.02)


def test_cka_by_chance_is_the_mean_over_all_pairings() -> None:
    from itertools import permutations

    first, second = drawn(5, 2), drawn(5, 3, 1)
    found = [cka(first, second[list(order)]) for order in permutations(range(5))]
    values = [estimate.value for estimate in found if estimate]
    assert found[0] is not None
    assert len(values) == 120
    assert np.mean(values) == pytest.approx(found[0].by_chance)


def test_cka_is_that_of_the_kernels() -> None:
    """Kornblith et al. 2019, equation 4, written out over the (n, n) kernels."""
    first, second = drawn(40, 5), drawn(40, 3, 1) + drawn(40, 5)[:, :3]
    centre = np.eye(40) - 1 / 40
    k, m = (centre @ v @ v.T @ centre for v in (first, second))
    expected = np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))
    found = cka(first, second)
    assert found is not None
    assert found.value == pytest.approx(expected)


def test_the_residual_is_the_disparity_of_scipy() -> None:
    from scipy.spatial import procrustes as of_scipy

    first, second = drawn(40, 5), drawn(40, 3, 1) + drawn(40, 5)[:, :3]
    padded = np.hstack([second, np.zeros((40, 2))])
    _, _, expected = of_scipy(first, padded)
    found = procrustes(first, second, np.random.default_rng(0))
    assert found is not None
    assert found.value == pytest.approx(expected)
    assert 0 < found.value < found.by_chance


@pytest.mark.parametrize("measure", ["cka", "procrustes"])
def test_the_standard_error_is_the_spread_over_samples(measure: str) -> None:
    """Of many samples of one population, against what each says of itself."""
    rng = np.random.default_rng(11)
    population = rng.standard_normal((4000, 4)) * [1, 2, 3, 4]
    other = population @ rng.standard_normal((4, 3)) + 2 * rng.standard_normal((4000, 3))
    found = []
    for _ in range(150):
        chosen = rng.choice(4000, 200, replace=False)
        pair = population[chosen], other[chosen]
        found.append(cka(*pair) if measure == "cka" else procrustes(*pair, rng))
    spread = float(np.std([e.value for e in found if e]))
    told = float(np.mean([e.standard_error for e in found if e]))
    assert told == pytest.approx(spread, rel=0.25)


def test_vectors_that_do_not_vary_have_no_geometry() -> None:
    flat = np.full((30, 4), 0.1, np.float32)
    assert cka(flat, drawn(30, 3)) is None
    assert procrustes(drawn(30, 3), flat, np.random.default_rng(0)) is None


def test_input_is_left_as_it_was() -> None:
    vectors = drawn(30, 4)
    before = vectors.copy()
    neighbours(vectors, "cosine", 3)
    cka(vectors, vectors)
    procrustes(vectors, vectors, np.random.default_rng(0))
    np.testing.assert_array_equal(vectors, before)
