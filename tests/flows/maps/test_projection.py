"""Pictures of vectors: groups stay groups, what is new lands among its like, nothing else moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.manifold import trustworthiness as of_sklearn

from flows.maps import projection
from flows.maps.projection import lay_out, place, prepared, trustworthiness

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.maps.projection import Matrix, Method

GROUPS, N, NEW, DIM = 4, 160, 24, 24


def grouped(n: int, seed: int) -> tuple[Matrix, NDArray[np.int64]]:
    """Rows around centres of their own, and which."""
    centres = np.random.default_rng(99).normal(size=(GROUPS, DIM)) * 4
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, GROUPS, n)
    return prepared(centres[groups] + rng.normal(size=(n, DIM)), "cosine"), groups


@dataclass
class Picture:
    method: Method
    rows: Matrix
    groups: NDArray[np.int64]
    places: Matrix


EVERY = ["pca", "tsne", pytest.param("umap", marks=pytest.mark.slow)]


@pytest.fixture(scope="module", params=EVERY)
def laid(request: pytest.FixtureRequest) -> Picture:
    rows, groups = grouped(N, seed=1)
    return Picture(request.param, rows, groups, lay_out(rows, request.param, 0))


def purity(
    places: Matrix, groups: NDArray[np.int64], of: Matrix, theirs: NDArray[np.int64]
) -> float:
    """The share of the ten nearest of some points that are of their group."""
    distances = np.linalg.norm(of[:, None] - places[None], axis=2)
    nearest = np.argsort(distances, axis=1)[:, 1:11]
    return float((groups[nearest] == theirs[:, None]).mean())


def test_groups_stay_apart(laid: Picture) -> None:
    assert laid.places.shape == (N, 2)
    assert laid.places.dtype == np.float32
    assert np.isfinite(laid.places).all()
    assert purity(laid.places, laid.groups, laid.places, laid.groups) > 0.9
    trust = trustworthiness(laid.rows, laid.places, np.random.default_rng(0))
    assert trust is not None
    assert trust > 0.85


def test_what_is_new_lands_among_its_like(laid: Picture) -> None:
    new, groups = grouped(NEW, seed=2)
    before = laid.places.copy()
    found = place(new, laid.rows, laid.places, laid.method, 0)
    np.testing.assert_array_equal(laid.places, before)
    assert found.shape == (NEW, 2)
    assert purity(laid.places, laid.groups, found, groups) > 0.9
    again = place(new, laid.rows, laid.places, laid.method, 0)
    np.testing.assert_array_equal(found, again)
    assert place(new[:0], laid.rows, laid.places, laid.method, 0).shape == (0, 2)


def test_the_same_rows_lie_the_same(laid: Picture) -> None:
    np.testing.assert_array_equal(lay_out(laid.rows, laid.method, 0), laid.places)


@pytest.mark.parametrize("laid", ["pca", "tsne"], indirect=True)
def test_a_place_does_not_hang_on_what_else_is_new(laid: Picture) -> None:
    new, _ = grouped(NEW, seed=3)
    together = place(new, laid.rows, laid.places, laid.method, 0)
    alone = np.concatenate(
        [place(part, laid.rows, laid.places, laid.method, 0) for part in (new[:7], new[7:])]
    )
    np.testing.assert_allclose(together, alone, atol=1e-3)


@pytest.mark.parametrize("n", [12, 400])
def test_principal_directions_are_found_again_from_the_places(n: int) -> None:
    rows = np.random.default_rng(n).normal(size=(n, DIM)).astype(np.float32)
    model = PCA(2, random_state=0).fit(rows)
    places = lay_out(rows, "pca", 0)
    np.testing.assert_allclose(places, model.transform(rows), atol=1e-4)
    np.testing.assert_allclose(place(rows[:5], rows, places, "pca", 0), places[:5], atol=1e-3)
    new = np.random.default_rng(0).normal(size=(9, DIM)).astype(np.float32)
    if n > DIM:  # fewer rows than dimensions say nothing of the others
        expected = model.transform(new)
        np.testing.assert_allclose(place(new, rows, places, "pca", 0), expected, atol=1e-3)


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("n", [projection.LEAST, projection.LEAST + 1])
def test_few_rows_do(method: Method, n: int) -> None:
    rows, _ = grouped(n, seed=n)
    places = lay_out(rows, method, 0)
    assert np.isfinite(places).all()
    assert np.isfinite(place(rows[:2], rows, places, method, 0)).all()


@pytest.mark.parametrize("method", EVERY)
def test_rows_that_are_all_the_same_and_of_one_dimension_do(method: Method) -> None:
    same = np.ones((30, 5), np.float32)
    assert np.isfinite(lay_out(same, method, 0)).all()
    line = np.arange(30, dtype=np.float32)[:, None]
    assert lay_out(line, method, 0).shape == (30, 2)


def test_too_few_rows_are_refused() -> None:
    rows, _ = grouped(9, seed=0)
    with pytest.raises(ValueError, match="10 rows or more are needed, got 9"):
        lay_out(rows, "pca", 0)
    with pytest.raises(ValueError, match="10 rows or more are needed to place others by, got 9"):
        place(rows, rows, rows[:, :2], "pca", 0)


@pytest.mark.parametrize("seed", range(4))
def test_trustworthiness_is_that_of_venna_and_kaski(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, places = rng.normal(size=(80, 6)), rng.normal(size=(80, 2))
    places[:, seed % 2] += rows[:, 0]
    ours = trustworthiness(rows.astype(np.float32), places.astype(np.float32), rng, k=7)
    assert ours == pytest.approx(of_sklearn(rows, places, n_neighbors=7), abs=1e-6)


def test_trustworthiness_of_some_rows_is_near_that_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(1200, 3)).astype(np.float32)
    exact = trustworthiness(rows, rows[:, :2], rng, queries=1200)
    assert exact is not None
    assert trustworthiness(rows, rows[:, :2], rng, queries=300) == pytest.approx(exact, abs=0.02)
    monkeypatch.setattr(projection, "_BLOCK", 5_000)  # in blocks of a few rows
    assert trustworthiness(rows, rows[:, :2], rng, queries=1200) == pytest.approx(exact)


def test_trustworthiness_at_its_ends() -> None:
    rng = np.random.default_rng(4)
    plane = rng.normal(size=(300, 2)).astype(np.float32)
    assert trustworthiness(plane, plane, rng) == 1
    by_lot = trustworthiness(plane, rng.permutation(plane), rng)
    assert by_lot == pytest.approx(0.5, abs=0.05)
    assert trustworthiness(plane[:2], plane[:2], rng) is None


def test_directions_count_but_for_plain_distances() -> None:
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 2.0]], np.float32)
    unit = np.array([[0.6, 0.8], [0, 0], [0, 1]])
    np.testing.assert_allclose(prepared(rows, "cosine"), unit, rtol=1e-6)
    np.testing.assert_allclose(prepared(rows, "dot"), unit, rtol=1e-6)
    np.testing.assert_array_equal(prepared(rows, "l2"), rows)
    assert rows[0, 0] == 3  # given rows are left as they are
