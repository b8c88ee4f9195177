"""Pooling: the plain mean, and SIF as its authors define it."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders._pooling import Pool, Sif
from encoders._wordtable import Table
from encoders.base import EncoderError
from tests.encoders.samples import WORDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

KNOWN = [word for word in WORDS if word.isalpha()]
A = 0.01


@pytest.fixture
def table() -> Table:
    return Table(KNOWN, np.random.default_rng(1).normal(0.5, 1, (len(KNOWN), 6)).astype(np.float32))


def drawn(seed: int, texts: int = 60) -> list[str]:
    rng = np.random.default_rng(seed)
    shares = 1 / np.arange(1, len(KNOWN) + 1)
    shares /= shares.sum()
    return [" ".join(rng.choice(KNOWN, int(rng.integers(1, 9)), p=shares)) for _ in range(texts)]


def look(table: Table) -> Any:  # noqa: ANN401 - a Lookup
    return lambda text: table.look(text, lowercase=True)


def pool(table: Table, sif: Sif | None, *, normalize: bool = False) -> Pool:
    return Pool.of(len(table.words), table.dim, look(table), sif, normalize=normalize)


def plainly(table: Table, sample: list[str], texts: list[str]) -> NDArray[np.float64]:
    """SIF as the paper's algorithm 1 has it, word by word, with a full decomposition."""
    tokens = [word for text in sample for word in text.split()]
    share = {word: tokens.count(word) / len(tokens) for word in table.words}

    def weighed(text: str) -> NDArray[np.float64]:
        rows = [A / (A + share[w]) * table.vectors[table.words.index(w)].astype(float)
                for w in text.split() if w in table.words]  # fmt: skip
        mean: NDArray[np.float64] = np.sum(rows, axis=0) / len(rows)
        return mean

    _, _, right = np.linalg.svd(np.stack([weighed(text) for text in sample]))
    u = right[0]
    return np.stack([weighed(text) - u * (u @ weighed(text)) for text in texts])


def test_sif_is_the_algorithm_of_the_paper(table: Table) -> None:
    sample, texts = drawn(1), drawn(2)
    found = pool(table, Sif.learn(sample, look(table), A)).encode(texts)
    np.testing.assert_allclose(found, plainly(table, sample, texts), atol=1e-5)


def test_a_long_sample_is_learned_from_in_blocks(table: Table) -> None:
    sample, texts = drawn(1, texts=2500), drawn(2)
    found = pool(table, Sif.learn(sample, look(table), A)).encode(texts)
    np.testing.assert_allclose(found, plainly(table, sample, texts), atol=1e-5)


def test_the_words_of_a_sample_are_not_all_held_at_once(table: Table) -> None:
    sample = [" ".join(KNOWN * 20)] * 400
    held = sum(table.look(text, lowercase=True)[1].nbytes for text in sample)
    tracemalloc.start()
    try:
        Sif.learn(sample, look(table), A)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < held / 4


def test_the_mean_is_that_of_all_words_with_repeats(table: Table) -> None:
    [found] = pool(table, None).encode(["Mill mill, STONE unheard-of"])
    mill, stone = (table.vectors[table.words.index(word)] for word in ("mill", "stone"))
    np.testing.assert_allclose(found, (2 * mill + stone) / 3, rtol=1e-5)


@pytest.mark.parametrize("method", ["mean", "sif"])
def test_vectors_have_norm_one_or_are_zeros(table: Table, method: str) -> None:
    sif = Sif.learn(drawn(1), look(table), A) if method == "sif" else None
    found = pool(table, sif, normalize=True).encode([*drawn(3), "nothing known", ""])
    np.testing.assert_allclose(np.linalg.norm(found[:-2], axis=1), 1, rtol=1e-5)
    assert not found[-2:].any()


def test_what_is_left_of_the_common_direction_alone_is_nothing(table: Table) -> None:
    sif = Sif.learn(["mill", "mill mill"], look(table), A)
    assert not pool(table, sif, normalize=True).encode(["mill", "mill mill mill"]).any()


def test_a_word_that_the_sample_lacks_weighs_most(table: Table) -> None:
    sif = Sif.learn([text for text in drawn(1) if "fine" not in text], look(table), A)
    weights = sif.weights(len(table.words))
    assert weights[table.words.index("fine")] == weights[-1] == 1
    assert weights[0] == min(weights) < 0.1


def test_what_sif_learned_survives_a_state(table: Table) -> None:
    sif = Sif.learn(drawn(1), look(table), A)
    again = Sif.restored(sif.arrays(), A, table.dim)
    texts = drawn(4)
    assert np.array_equal(pool(table, again).encode(texts), pool(table, sif).encode(texts))
    with pytest.raises(EncoderError, match=r"the last of shape \(7,\): fit again"):
        Sif.restored(sif.arrays(), A, 7)
    with pytest.raises(EncoderError, match="the state has nothing of SIF pooling"):
        Sif.restored({}, A, table.dim)


def test_sif_needs_a_known_word(table: Table) -> None:
    with pytest.raises(EncoderError, match="none of the 2 texts of the sample has a word"):
        Sif.learn(["unheard of", ""], look(table), A)
    with pytest.raises(EncoderError, match="none of the 0 texts"):
        Sif.learn([], look(table), A)
