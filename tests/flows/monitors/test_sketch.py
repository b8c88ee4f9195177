"""Sketches add up, whatever they are split into, and take the same room whatever they are of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.monitors._basis import BINS, CELLS, COMPONENTS, Basis
from flows.monitors._sketch import Sketch
from tests.flows.monitors.samples import lumpy

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIM = 6


def rows_of(n: int, seed: int, dim: int = DIM) -> NDArray[np.float32]:
    return lumpy(n, np.random.default_rng(seed), dim).astype(np.float32)


def basis_of(seed: int = 0, n: int = 400, dim: int = DIM) -> Basis:
    return Basis.learn(rows_of(n, 1000 + seed, dim), np.random.default_rng(seed))


BASIS = basis_of()


def assert_same(one: Sketch, other: Sketch, out_of: Sketch | None = None) -> None:
    """Equal but for rounding; where a part was taken out of a whole, for that of the whole."""
    whole = (out_of or one).arrays()
    for name, array in one.arrays().items():
        scale = np.abs(whole[name]).max(initial=1.0)
        np.testing.assert_allclose(
            array, other.arrays()[name], rtol=1e-6, atol=1e-6 * scale, err_msg=name
        )


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 300),
    st.lists(st.integers(0, 300), max_size=6),
    st.integers(0, 2**16),
    st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_sketches_of_any_parts_add_up_to_that_of_the_whole(
    n: int, borders: list[int], seed: int, scale: float
) -> None:
    rows = np.float32(scale) * rows_of(n, seed)
    rows[n // 2 : n // 2 + 2, 0] = np.nan
    parts = np.split(rows, sorted(min(border, n) for border in borders))
    merged = Sketch.of(BASIS, [])
    for part in parts:
        merged = merged + Sketch.of(BASIS, [part])
    whole = Sketch.of(BASIS, [rows])
    assert_same(merged, whole)
    assert_same(Sketch.of(BASIS, parts), whole)
    assert_same(whole - Sketch.of(BASIS, parts[1:]), Sketch.of(BASIS, parts[:1]), whole)
    assert whole.count + whole.left_out == n


def test_what_is_kept_is_what_was_there() -> None:
    basis = Basis.of_arrays(BASIS.arrays())
    assert basis.digest == BASIS.digest
    sketch = Sketch.of(BASIS, [rows_of(50, 1)])
    again = Sketch.of_arrays(basis, sketch.arrays())
    assert_same(sketch, again)
    np.testing.assert_array_equal(again.products, again.products.T)
    assert (again + sketch).count == 100


def test_sketches_over_different_bases_are_not_put_together() -> None:
    one, other = (Sketch.of(basis_of(seed), [rows_of(30, 2)]) for seed in (1, 2))
    with pytest.raises(ValueError, match=r"over the basis \w{8} cannot be .* sketch both anew"):
        one + other
    with pytest.raises(ValueError, match="sketch both anew over one basis"):
        one - other


def test_rows_must_be_as_wide_as_the_basis() -> None:
    with pytest.raises(ValueError, match=r"the basis is 6 wide, got rows of shape \(3, 5\)"):
        Sketch.of(BASIS, [np.zeros((3, 5), np.float32)])
    with pytest.raises(ValueError, match=r"learned from rows, got none of shape \(0, 6\)"):
        Basis.learn(np.zeros((0, 6), np.float32), np.random.default_rng(0))


def test_a_basis_depends_on_its_rows_and_seed_alone() -> None:
    assert basis_of(3).digest == basis_of(3).digest
    assert len({basis_of(seed).digest for seed in range(4)}) == 4


@pytest.mark.parametrize("n", [1, 2, 5, 30, 400])
@pytest.mark.parametrize("value", [None, 0.0, 7.0])
def test_a_basis_of_any_rows_makes_sketches(n: int, value: float | None) -> None:
    rows = rows_of(n, 4, 40) if value is None else np.full((n, 40), value, np.float32)
    basis = Basis.learn(rows, np.random.default_rng(0))
    sketch = Sketch.of(basis, [rows_of(100, 5, 40)])
    assert sketch.bins.shape == (basis.components.shape[1], BINS)
    assert basis.components.shape[1] <= min(COMPONENTS, n)
    assert 1 <= len(basis.cells) <= CELLS
    for counts in (sketch.cells, sketch.norms, *sketch.bins):
        assert counts.sum() == 100
    assert all(np.isfinite(array).all() for array in basis.arrays().values())


def test_the_sums_are_those_of_the_rows() -> None:
    rows = rows_of(500, 6)
    sketch = Sketch.of(BASIS, [rows])
    away = rows - BASIS.centre
    np.testing.assert_allclose(sketch.total, away.sum(axis=0), rtol=1e-9)
    np.testing.assert_allclose(sketch.squares, (away**2).sum(axis=0), rtol=1e-9)
    places = away @ BASIS.components
    np.testing.assert_allclose(sketch.cross, places.T @ places, rtol=1e-9, atol=1e-6)
    features = np.exp(1j * away @ BASIS.frequencies).sum(axis=0)
    size = np.sqrt(BASIS.frequencies.shape[1])
    np.testing.assert_allclose(sketch.features.view(np.complex128) * size, features, rtol=1e-9)
    assert float(np.trace(sketch.products)) == pytest.approx(500)


def test_a_sketch_is_as_large_whatever_it_is_of() -> None:
    sizes = {
        sum(a.nbytes for a in Sketch.of(BASIS, [rows_of(n, 7)]).arrays().values())
        for n in (0, 10, 5000)
    }
    assert len(sizes) == 1
    assert sizes.pop() < 300_000


def test_the_rest_of_a_spectrum_is_as_even_as_that_of_what_it_is_drawn_from() -> None:
    def breadth(variances: NDArray[np.float64]) -> float:
        return float(variances.sum() ** 2 / (variances**2).sum())

    deviations = 1 / np.sqrt(1 + np.arange(100))
    seen = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        rows = rng.standard_normal((300, 100)) * deviations
        seen.append(breadth(Basis.learn(rows.astype(np.float32), rng).rest))
    assert np.mean(seen) == pytest.approx(breadth(deviations[COMPONENTS:] ** 2), rel=0.05)
