"""The random Fourier features: how near the kernel that they give is to the exact one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.monitors import _rff

if TYPE_CHECKING:
    from numpy.typing import NDArray


@pytest.mark.parametrize("dim", [3, 64, 384])
def test_the_kernel_comes_nearer_than_with_independent_frequencies(dim: int) -> None:
    rng = np.random.default_rng(dim)
    rows = rng.standard_normal((60, dim))
    bandwidth = _rff.median_distance(rows, rng)
    exact = np.exp(-_squares(rows) / (2 * bandwidth**2))

    def error(frequencies: NDArray[np.float64]) -> float:
        features = _rff.transform(rows, frequencies)
        return float(np.mean(((features @ features.conj().T).real - exact) ** 2))

    ours = [error(_rff.frequencies(dim, 256, bandwidth, rng)) for _ in range(30)]
    independent = [error(rng.standard_normal((dim, 128)) / bandwidth) for _ in range(30)]
    assert np.mean(ours) < 0.9 * np.mean(independent)


def test_frequencies_are_orthogonal_as_far_as_dimensions_reach() -> None:
    drawn = _rff.frequencies(8, 40, 2.0, np.random.default_rng(0))
    assert drawn.shape == (8, 20)
    for start in (0, 8, 16):
        block = drawn[:, start : start + 8]
        products = block.T @ block
        assert np.allclose(products, np.diag(np.diag(products)), atol=1e-12)


def test_each_frequency_is_normally_distributed() -> None:
    rng = np.random.default_rng(1)
    drawn = np.concatenate([_rff.frequencies(5, 20, 2.0, rng) for _ in range(2000)], axis=1)
    assert np.allclose(np.cov(drawn), np.eye(5) / 4, atol=0.01)
    assert np.mean((drawn * 2) ** 4) == pytest.approx(3, abs=0.1)


def _squares(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    squares: NDArray[np.float64] = ((rows[:, None] - rows[None]) ** 2).sum(axis=2)
    return squares
