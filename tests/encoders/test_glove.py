"""GloVe: the paper's formulas computed plainly, and what a fit must find."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from encoders import glove
from encoders._glove import POWER, AdaGrad, Cells, Weights, batches, cooccurrences, cost
from encoders.base import EncoderError

X_MAX = 3.0
SIZE, DIM = 7, 3


def cells(seed: int = 0, number: int = 20) -> Cells:
    rng = np.random.default_rng(seed)
    places = rng.permutation(SIZE * SIZE)[:number]
    rows, columns = (part.astype(np.int32) for part in np.divmod(places, SIZE))
    return Cells(rows, columns, rng.uniform(0.2, 6, number))


def weights(seed: int = 1) -> Weights:
    rng = np.random.default_rng(seed)
    shapes = (SIZE, DIM), (SIZE, DIM), (SIZE,), (SIZE,)
    return Weights(*(rng.normal(0, 0.5, shape).astype(np.float32) for shape in shapes))


def plainly(w: Weights, given: Cells) -> float:
    """Equation 8 of the paper, a cell at a time."""
    total = 0.0
    for i, j, x in zip(given.rows, given.columns, given.counts, strict=True):
        f = (x / X_MAX) ** 0.75 if x < X_MAX else 1.0
        product = sum(float(a) * float(b) for a, b in zip(w.words[i], w.contexts[j], strict=True))
        total += f * (product + w.word_biases[i] + w.context_biases[j] - np.log(x)) ** 2
    return total


def test_the_cost_is_the_papers_formula() -> None:
    assert POWER == 0.75
    assert cost(weights(), cells(), X_MAX) == pytest.approx(plainly(weights(), cells()), rel=1e-6)
    assert cost(weights(), cells(), X_MAX, chunk=3) == pytest.approx(
        plainly(weights(), cells()), rel=1e-6
    )


def test_a_step_goes_down_the_gradient_of_the_cost() -> None:
    """With one step from 0 squared sums of 1, the gradient can be read back from what moved."""
    before, after = weights(), weights()
    AdaGrad(after, X_MAX, 1.0).step(cells())
    for which in range(4):
        moved = (before.all()[which] - after.all()[which]).astype(np.float64)
        gradient = moved / np.sqrt(1 - moved**2)  # moved = g / sqrt(1 + g^2)
        for place in np.ndindex(*moved.shape):
            costs = []
            for step in (-1e-2, 1e-2):
                shifted = weights()
                shifted.all()[which][place] += np.float32(step)
                costs.append(plainly(shifted, cells()))
            # the cost is a parabola along each coordinate, so the difference is exact
            numeric = (costs[1] - costs[0]) / 2e-2 / 2  # of half the cost
            assert gradient[place] == pytest.approx(numeric, rel=1e-2, abs=1e-3)


def test_batches_of_one_cell_are_the_papers_updates() -> None:
    ours, theirs = weights(), weights()
    learner = AdaGrad(ours, X_MAX, 0.05)
    given = cells()
    squares = [np.ones_like(array) for array in theirs.all()]
    for n in range(len(given)):
        learner.step(given.take(np.array([n])))
        i, j, x = given.rows[n], given.columns[n], given.counts[n]
        product = theirs.words[i] @ theirs.contexts[j]
        error = product + theirs.word_biases[i] + theirs.context_biases[j] - np.log(x)
        error *= min(1.0, (x / X_MAX) ** 0.75)
        gradients = (error * theirs.contexts[j], error * theirs.words[i], error, error)
        for array, total, at, gradient in zip(
            theirs.all(), squares, (i, j, i, j), gradients, strict=True
        ):
            total[at] += gradient**2
            array[at] -= 0.05 * gradient / np.sqrt(total[at])
    for a, b in zip(ours.all(), theirs.all(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_planted_matrix_is_factorised() -> None:
    rng = np.random.default_rng(3)
    size, dim = 40, 4
    words, contexts = rng.normal(0, 0.5, (2, size, dim))
    biases = rng.normal(0, 0.5, (2, size))
    logs = words @ contexts.T + biases[0][:, None] + biases[1]
    rows, columns = (part.ravel().astype(np.int32) for part in np.indices((size, size)))
    given = Cells(rows, columns, np.exp(logs).ravel())
    found = Weights.drawn(size, dim, rng)
    learner = AdaGrad(found, 0.01, 0.2)  # every cell weighs alike
    for _ in range(300):
        for batch in batches(given, 200, rng):
            learner.step(batch)
    again = found.words @ found.contexts.T + found.word_biases[:, None] + found.context_biases
    assert np.abs(again - logs).max() < 0.05
    assert np.abs(logs - logs.mean()).max() > 1


@pytest.mark.parametrize("window", [1, 3, 10])
def test_cooccurrences_are_counted_as_the_paper_has_it(window: int) -> None:
    rng = np.random.default_rng(4)
    texts = [rng.integers(0, SIZE, length).astype(np.int32) for length in (9, 0, 1, 5, 2)]
    expected = np.zeros((SIZE, SIZE))
    for text in texts:
        for a, b in combinations(range(len(text)), 2):
            if b - a <= window:
                expected[text[a], text[b]] += 1 / (b - a)
                expected[text[b], text[a]] += 1 / (b - a)
    found = np.zeros((SIZE, SIZE))
    given = cooccurrences(texts, SIZE, window)
    found[given.rows, given.columns] = given.counts
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert len(given) == np.count_nonzero(expected)
    assert len(cooccurrences([], SIZE, window)) == 0


def test_a_pair_and_its_mirror_image_are_held_out_together() -> None:
    rng = np.random.default_rng(5)
    given = cooccurrences([rng.integers(0, 200, 3000).astype(np.int32)], 200, 3)
    learned, held_out = given.parted(0.2, rng)
    assert len(learned) + len(held_out) == len(given)
    assert 0.15 < len(held_out) / len(given) < 0.25
    seen = set(zip(learned.rows.tolist(), learned.columns.tolist(), strict=True))
    others = zip(held_out.columns.tolist(), held_out.rows.tolist(), strict=True)
    assert not seen.intersection(others)
    assert len(given.parted(0.0, rng)[1]) == 0


def themes(seed: int, texts: int = 300) -> list[str]:
    """Texts of one of two themes each, the words of a theme drawn evenly."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(list("abcdef" if n % 2 else "uvwxyz"), 12)) for n in range(texts)]


def test_a_fit_tells_its_losses_and_stops_where_it_overfits() -> None:
    class Notes:
        told: tuple[str, ...] = ()
        steps = 0

        def stage(self, name: str, total: int | None) -> None: ...

        def advance(self, steps: int) -> None:
            self.steps += steps

        def note(self, message: str) -> None:
            self.told += (message,)

    notes = Notes()
    rng = np.random.default_rng(6)
    noise = [" ".join(map(str, rng.integers(0, 60, 8))) for _ in range(60)]
    encoder: Any = glove.build(
        glove.Params(min_count=1, dim=60, epochs=200, held_out=0.3, rate=0.2)
    )
    encoder.fit(noise, np.random.default_rng(0), notes)
    figures = encoder.state().meta["figures"]
    assert figures["overfitted"] is True
    assert figures["epochs"] == figures["best_epoch"] + 3 == notes.steps < 200
    assert len(figures["losses"]) == figures["epochs"]
    assert figures["losses"] == sorted(figures["losses"], reverse=True)
    assert figures["held_out_loss"] > figures["train_loss"]
    assert notes.told[0].startswith("glove overfits after epoch ")


def test_words_of_one_theme_come_together() -> None:
    encoder: Any = glove.build(glove.Params(min_count=1, dim=8, x_max=50, epochs=30))
    encoder.fit(themes(1), np.random.default_rng(0))
    words, vectors = encoder.vocabulary()
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = units @ units.T
    first = np.array([word in "abcdef" for word in words])
    same = first[:, None] == first
    assert near[same].mean() > near[~same].mean() + 0.5


@pytest.mark.parametrize(
    ("texts", "changes", "told"),
    [
        (["a b"], {}, "no word stands 5 times or more in the 1 texts of the sample, which have 2"),
        (["a", "b"] * 9, {"min_count": 1}, "no two of the 2 words that stand 1 times or more are"),
        (themes(1), {"min_count": 1, "rate": 1e30}, "cannot learn with .* lower the learning rate"),
    ],
)
@pytest.mark.filterwarnings("ignore:(overflow|invalid) :RuntimeWarning")  # of a fit that diverges
def test_what_cannot_be_learned_is_told(
    texts: list[str], changes: dict[str, Any], told: str
) -> None:
    encoder: Any = glove.build(glove.Params(**changes))
    with pytest.raises(EncoderError, match=told):
        encoder.fit(texts, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"x_max": 0}, "x_max must be above 0, got 0"),
        ({"rate": float("nan")}, "rate must be above 0, got nan"),
        ({"rate": -1.0}, "rate must be above 0"),
        ({"held_out": 0.6}, "held_out must be from 0 to 0.5, got 0.6"),
        ({"patience": 0}, "patience must be 1 or more"),
    ],
)
def test_parameters_are_checked(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        glove.Params(**given)
