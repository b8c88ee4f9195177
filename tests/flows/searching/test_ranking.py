"""The best of many candidates: exact, and the same whatever blocks they come in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.searching.ranking import Best, softmax, top

if TYPE_CHECKING:
    from numpy.typing import NDArray


def brute(scores: NDArray[np.float32], ids: list[str], k: int) -> list[list[str]]:
    """By sorting all, equal scores by id."""
    return [
        [ids[n] for n in sorted(range(len(ids)), key=lambda n: (-row[n], ids[n]))][:k]
        for row in scores
    ]


@pytest.mark.parametrize("k", [1, 3, 8, 9, 60])
@pytest.mark.parametrize("block", [1, 7, 50])
def test_the_best_are_those_of_a_full_sort(k: int, block: int) -> None:
    rng = np.random.default_rng(k * block)
    scores = rng.integers(0, 6, (20, 50)).astype(np.float32)  # many are equal
    ids = [f"r{n}" for n in rng.permutation(50)]
    best = Best(20, k)
    for start in range(0, 50, block):
        best.add(scores[:, start : start + block], ids[start : start + block])
    assert best.ids.tolist() == brute(scores, ids, k)
    assert (np.diff(best.scores, axis=1) <= 0).all()


def test_of_no_candidates_none_is_best() -> None:
    best = Best(3, 2)
    assert best.ids.shape == best.scores.shape == (3, 0)


@pytest.mark.parametrize("k", [2, 20])
def test_the_top_of_equal_scores_are_the_first(k: int) -> None:
    assert top(np.zeros((1, 30), np.float32), k).tolist() == [list(range(k))]


def test_shares_bear_large_logits() -> None:
    shares = softmax(np.array([[1e4, 1e4, -1e4]], np.float32))
    np.testing.assert_allclose(shares, [[0.5, 0.5, 0]])
