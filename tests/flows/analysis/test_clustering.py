"""Clusters of plain matrices, and what is said of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.analysis import clustering, describing
from flows.analysis.clustering import NOISE, Model, nearest
from flows.matrices import comparable, unit, usable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Labelled = tuple[NDArray[np.float32], NDArray[np.int64]]


def blobs(n: int, k: int, dim: int, seed: int, spread: float = 0.05) -> Labelled:
    """Rows around k centres, sorted by centre."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(k, dim))
    labels = np.sort(rng.integers(0, k, n))
    rows = centres[labels] + rng.normal(size=(n, dim)) * spread
    return rows.astype(np.float32), labels


def agreement(truth: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """The adjusted Rand index of two groupings."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(truth, found))


@pytest.mark.parametrize("spherical", [True, False])
@pytest.mark.parametrize("seed", [0, 1])
def test_kmeans_finds_blobs_though_rows_come_sorted(seed: int, *, spherical: bool) -> None:
    rows, labels = blobs(6_000, 7, 5, seed)
    rows = comparable(rows, "cosine" if spherical else "l2")
    rng = np.random.default_rng(seed)
    sample = rows[rng.permutation(len(rows))[:500]]
    blocks = (rows[start : start + 512] for start in range(0, len(rows), 512))
    model = clustering.kmeans(sample, blocks, 7, rng, spherical=spherical)
    found = model.assign(rows)
    assert agreement(labels, found) == pytest.approx(1.0)
    means = np.stack([rows[found == c].mean(axis=0) for c in range(7)])
    if spherical:
        means = unit(means)
    np.testing.assert_allclose(model.centres, means, atol=0.02)


def test_the_same_seed_gives_the_same_clusters() -> None:
    rows, _ = blobs(800, 4, 6, 0)
    models = [
        clustering.kmeans(rows, [rows], 4, np.random.default_rng(7), spherical=False)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(models[0].centres, models[1].centres)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_k_is_that_of_the_highest_silhouette(k: int) -> None:
    rows, _ = blobs(400, k, 8, k)
    chosen, tried = clustering.choose_k(rows, np.random.default_rng(0))
    assert chosen == k
    assert chosen == max(tried, key=lambda one: tried[one])
    assert set(tried) == set(clustering.TRIED)


def test_rows_that_are_all_equal_are_one_cluster() -> None:
    chosen, tried = clustering.choose_k(np.ones((50, 3), np.float32), np.random.default_rng(0))
    assert (chosen, tried) == (1, {})


def test_distances_are_those_of_a_search() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(20, 4)).astype(np.float32)
    centres = rng.normal(size=(3, 4)).astype(np.float32)
    flat = Model(spherical=False, centres=centres)
    labels = flat.assign(rows)
    squares = ((rows[:, None] - centres[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(labels, squares.argmin(axis=1))
    np.testing.assert_allclose(flat.distances(rows, labels), squares.min(axis=1), rtol=1e-5)
    round_ = Model(spherical=True, centres=unit(centres))
    cosines = unit(rows) @ unit(centres).T
    labels = round_.assign(unit(rows))
    np.testing.assert_array_equal(labels, cosines.argmax(axis=1))
    np.testing.assert_allclose(
        round_.distances(unit(rows), labels), 1 - cosines.max(axis=1), atol=1e-6
    )


def test_a_centre_that_is_gone_gets_nothing() -> None:
    centres = np.array([[0, 0], [np.nan, np.nan], [4, 0]], np.float32)
    places, far = nearest(np.array([[1, 0], [3.5, 0]], np.float32), centres)
    assert places.tolist() == [0, 2]
    assert far.tolist() == [1.0, 0.25]


@pytest.mark.parametrize("seed", [0, 1])
def test_hdbscan_is_that_of_scikit_learn_and_numbers_by_size(seed: int) -> None:
    from sklearn.cluster import HDBSCAN

    rows, _ = blobs(300, 4, 3, seed)
    stray = np.random.default_rng(seed).uniform(-6, 6, (30, 3)).astype(np.float32)
    rows = np.concatenate([rows, stray])
    labels, model = clustering.hdbscan(rows, 15, spherical=False)
    oracle = HDBSCAN(min_cluster_size=15, copy=True).fit_predict(
        (rows - rows.mean(axis=0)).astype(np.float64)
    )
    assert agreement(oracle, labels) == pytest.approx(1.0)
    np.testing.assert_array_equal(labels == NOISE, oracle < 0)
    sizes = np.bincount(labels[labels >= 0])
    assert (np.diff(sizes) <= 0).all()
    # what is labelled lies at no distance from itself
    np.testing.assert_array_equal(model.assign(rows[labels >= 0]), labels[labels >= 0])
    assert model.assign(np.full((1, 3), 100, np.float32)).tolist() == [NOISE]


def test_new_rows_go_with_the_nearest_labelled_one_within_its_reach() -> None:
    line = np.arange(20, dtype=np.float32)[:, None] * [[0.1, 0.0]]
    model = Model(
        spherical=False,
        centres=np.array([[0.95, 0]], np.float32),
        middle=np.zeros(2, np.float32),
        directions=np.eye(2, dtype=np.float32),
        reach=np.array([0.1]),
    ).with_cores(line.astype(np.float32), np.zeros(20, np.int64))
    asked = np.array([[0.5, 0.09], [0.5, 0.11], [2.0, 0.0], [2.05, 0.0]], np.float32)
    assert model.assign(asked).tolist() == [0, NOISE, 0, NOISE]
    far = model.distances(asked, model.assign(asked))
    assert np.isnan(far).tolist() == [False, True, False, True]


def test_wide_rows_are_turned_onto_their_principal_directions() -> None:
    rows, truth = blobs(240, 3, 60, 4)
    labels, model = clustering.hdbscan(comparable(rows, "cosine"), 20, spherical=True)
    assert agreement(truth, labels) > 0.95
    assert model.directions is not None
    assert model.directions.shape == (20, 60)
    again = clustering.of_arrays(model.arrays(), spherical=True)
    again = again.with_cores(comparable(rows, "cosine"), labels)
    np.testing.assert_array_equal(
        again.assign(comparable(rows, "cosine")), model.assign(comparable(rows, "cosine"))
    )


def test_what_has_no_direction_cannot_be_compared() -> None:
    rows = np.array([[1, 0], [0, 0], [np.nan, 1], [np.inf, 0]], np.float32)
    assert usable(rows, "cosine").tolist() == [True, False, False, False]
    assert usable(rows, "l2").tolist() == [True, True, False, False]


def test_words_are_ranked_by_class_based_tf_idf() -> None:
    said = ["goal match", "goal match goal", "stock market", "stock market", "goal stock", "sun"]
    found = describing.words([*said, *["the sun"] * 4], np.array([0, 0, 1, 1, 0, 1, 1, 1, 1, 1]))
    # by hand: words of two texts or more, and of no more than half of them
    counts = {"goal": (4, 0), "match": (2, 0), "stock": (1, 2), "market": (0, 2), "sun": (0, 5)}
    totals = np.sum(list(counts.values()), axis=0)
    for cluster in (0, 1):
        scores = {
            word: c[cluster] / totals[cluster] * np.log1p(totals.mean() / sum(c))
            for word, c in counts.items()
            if c[cluster]
        }
        assert found[cluster] == tuple(sorted(scores, key=lambda word: -scores[word]))


def test_texts_of_no_words_have_none() -> None:
    assert describing.words(["the", "", None], np.array([0, 0, 1])) == {0: (), 1: ()}


@pytest.mark.parametrize("seed", range(3))
def test_values_are_told_where_a_cluster_has_more_of_them(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], 200)
    columns = {
        "told": np.where(labels == 1, rng.choice(["a", "b"], 400, p=[0.9, 0.1]), "b").tolist(),
        "chance": rng.choice(["x", "y"], 400).tolist(),
        "ids": [f"id {n}" for n in range(400)],
        "same": ["one"] * 400,
    }
    found = describing.values(columns, labels)
    share = columns["told"].count("a") / 400
    assert found[1] == (f"told = a ({2 * share:.0%}, overall {share:.0%})",)
    assert [text.split(" (")[0] for text in found[0]] == ["told = b"]


def test_the_first_column_of_several_words_is_that_of_texts() -> None:
    columns: dict[str, list[Any]] = {
        "label": ["news", "pets"],
        "n": [1, 2],
        "title": ["a b c d", None],
        "body": ["x y z"],
    }
    assert describing.text_column(columns) == "title"
    assert describing.text_column({"label": ["news"]}) is None
