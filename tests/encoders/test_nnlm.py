"""The neural language model: what it learns, its probabilities, and a trigram to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders._lexicon import BOUNDARY, UNKNOWN, Lexicon, split
from encoders._nnlm import windows
from encoders._softmax import Draws, exact_loss, sampled_loss
from encoders._words import words
from encoders.abilities import Worded
from encoders.base import EncoderError, State, digest
from encoders.nnlm import Nnlm, Params, build
from tests.encoders.samples import WORDS
from tests.encoders.trigram import Trigram

if TYPE_CHECKING:
    from pathlib import Path

SMALL: dict[str, Any] = {
    "dim": 8,
    "hidden": 16,
    "min_count": 1,
    "noise": 32,
    "epochs": 2,
    "device": "cpu",
}
KNOWN = [word for word in WORDS if word != ":"]


def sentences(count: int, seed: int = 1) -> list[str]:
    """Texts with a rule to learn: a word is mostly followed by its successor in the list."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(count):
        steps = np.where(rng.random(rng.integers(5, 12)) < 0.9, 1, 5)
        at = int(rng.integers(len(KNOWN))) + np.cumsum(steps)
        texts.append(" ".join(KNOWN[i % len(KNOWN)] for i in at))
    return texts


def fitted(texts: list[str], **changes: Any) -> Nnlm:  # noqa: ANN401 - any parameter
    encoder = build(Params(**{**SMALL, **changes}))
    encoder.fit(texts, np.random.default_rng(0))
    return encoder


@pytest.fixture(scope="module")
def encoder() -> Nnlm:
    return fitted(sentences(60))


class TestALexicon:
    def test_frequent_words_come_first_and_rare_ones_are_unknown(self) -> None:
        texts = [["b", "a", "b"], ["c", "a", "b"], []]
        lexicon = Lexicon.of(texts, min_count=2, most=10)
        assert lexicon.words == ("b", "a")
        assert lexicon.counts == (3, 1, 3, 2)
        assert lexicon.encode(["a", "x", "b"]).tolist() == [3, UNKNOWN, 2]
        assert Lexicon.of(texts, min_count=1, most=1).words == ("b",)

    def test_it_survives_arrays(self) -> None:
        lexicon = Lexicon.of([["naïve", "a", "\ud800"]], min_count=1, most=10)
        assert Lexicon.restored(lexicon.arrays()) == lexicon

    def test_parts_do_not_overlap_and_leave_nothing_out(self) -> None:
        rows, held = split(50, 0.1, np.random.default_rng(0))
        assert len(held) == 5
        assert sorted(rows + held) == list(range(50))
        assert len(split(3, 0.01, np.random.default_rng(0))[1]) == 1


def test_every_word_and_the_end_is_predicted_from_what_stands_before() -> None:
    lexicon = Lexicon(("a", "b"), (1, 1, 1, 1))
    contexts, targets = windows([["a", "b"], []], lexicon, 2)
    assert contexts.tolist() == [[0, 0], [0, 2], [2, 3], [0, 0]]
    assert targets.tolist() == [2, 3, BOUNDARY, BOUNDARY]


class TestTheSoftmax:
    def test_the_estimate_from_drawn_words_nears_the_exact_loss(self) -> None:
        import torch

        rng = np.random.default_rng(0)
        features = torch.tensor(rng.normal(size=(40, 6)), dtype=torch.float32)
        table = torch.tensor(rng.normal(size=(50, 6)), dtype=torch.float32)
        bias = torch.tensor(rng.normal(size=50), dtype=torch.float32)
        targets = torch.tensor(rng.integers(0, 50, 40))
        frequencies = rng.dirichlet(np.full(50, 3.0))
        exact = float(exact_loss(features, table, bias, targets)) / 40

        def distance(count: int) -> float:
            drawn = Draws(frequencies, count)(rng, "cpu")
            return abs(float(sampled_loss(features, table, bias, targets, drawn)) / 40 - exact)

        assert distance(100_000) < 0.02
        assert distance(10) > distance(100_000)

    def test_draws_follow_the_frequencies(self) -> None:
        frequencies = np.array([0.5, 0.3, 0.2])
        noise, expected = Draws(frequencies, 30_000)(np.random.default_rng(0), "cpu")
        shares = np.bincount(noise.numpy(), minlength=3) / 30_000
        np.testing.assert_allclose(shares, frequencies, atol=0.02)
        logarithms = np.log(30_000 * frequencies[noise.numpy()])
        np.testing.assert_allclose(expected.numpy(), logarithms, rtol=1e-5)


class TestTheModel:
    @pytest.mark.parametrize("direct", [False, True])
    def test_it_learns_what_follows(self, *, direct: bool) -> None:
        learned = fitted(sentences(400), epochs=8, rate=0.02, decay=0.0, dropout=0.0, direct=direct)
        assert learned.perplexity(sentences(50, seed=2)) < 0.4 * len(KNOWN)

    def test_equal_seeds_give_equal_weights_with_several_threads(self) -> None:
        import torch

        threads, texts = torch.get_num_threads(), sentences(300)
        torch.set_num_threads(2)
        try:
            # so wide that torch shares the gradient of a batch out to both
            found = [digest(fitted(texts, dim=64, epochs=1).state()) for _ in range(4)]
        finally:
            torch.set_num_threads(threads)
        assert len(set(found)) == 1
        assert not torch.are_deterministic_algorithms_enabled()

    def test_probabilities_sum_to_one(self, encoder: Nnlm) -> None:
        # One word after the start, then the end: the chances of all first words, known or not,
        # each word alone as a text and the end of it, sum to that of texts of at most one word.
        state = encoder.state().arrays
        context = np.tile(state["C"][BOUNDARY], Params().context)
        hidden = np.tanh(context @ state["H"] + state["d_bias"])
        logits = state["U"] @ hidden + state["b_bias"]
        chances = np.exp(logits) / np.exp(logits).sum()
        after = np.concatenate([np.tile(state["C"][BOUNDARY], 2), state["C"][2]])
        end = state["U"] @ np.tanh(after @ state["H"] + state["d_bias"]) + state["b_bias"]
        chance_of_end = np.exp(end[BOUNDARY]) / np.exp(end).sum()
        word = encoder.vocabulary()[0][0]
        expected = (chances[2] * chance_of_end) ** -0.5
        assert encoder.perplexity([word]) == pytest.approx(expected, rel=1e-4)

    def test_its_figures_tell_of_the_fit(self, encoder: Nnlm) -> None:
        figures: Any = encoder.state().meta["figures"]
        assert figures["texts"] + figures["held_out_texts"] == 60
        assert figures["vocabulary"] == len(encoder.vocabulary()[0])
        assert figures["held_out_perplexity"] == pytest.approx(np.exp(figures["held_out_loss"]))

    def test_words_have_the_vectors_that_texts_are_made_of(self, encoder: Nnlm) -> None:
        assert isinstance(encoder, Worded)
        known, vectors = encoder.vocabulary()
        mill = encoder.word("Mill")
        assert mill is not None
        np.testing.assert_array_equal(mill, vectors[list(known).index("mill")])
        assert encoder.word("zeppelin") is None
        unit = mill / np.linalg.norm(mill)
        np.testing.assert_allclose(encoder.encode(["mill, MILL zeppelin"])[0], unit, atol=1e-6)
        np.testing.assert_array_equal(encoder.encode(["zeppelin"]), np.zeros((1, 8)))

    def test_sif_is_kept_with_the_state(self) -> None:
        learned = fitted(sentences(40), pooling="sif")
        other = build(Params(**{**SMALL, "pooling": "sif"}))
        other.restore(learned.state())
        found = other.encode(sentences(9))
        np.testing.assert_array_equal(found, learned.encode(sentences(9)))
        assert np.abs(found - fitted(sentences(40)).encode(sentences(9))).max() > 0.1

    def test_a_state_of_another_make_is_refused(self, encoder: Nnlm) -> None:
        wider = build(Params(**{**SMALL, "hidden": 20}))
        with pytest.raises(EncoderError, match="not the state of an encoder of kind nnlm"):
            wider.restore(encoder.state())
        with pytest.raises(EncoderError, match="expected 'words' and 'counts'"):
            wider.restore(State({}, {"kind": "nnlm"}))

    def test_too_little_to_learn_from(self) -> None:
        with pytest.raises(EncoderError, match=r"needs 10 texts with words or more .* got 2"):
            fitted(["a", "b", "", "?"])
        with pytest.raises(EncoderError, match="stands 99 times or more"):
            fitted(sentences(20), min_count=99)

    def test_what_is_asked_of_it_before_it_has_learned(self) -> None:
        unfitted = build(Params())
        for ask in (unfitted.vocabulary, lambda: unfitted.word("a"), unfitted.state):
            with pytest.raises(EncoderError, match="call fit or restore first"):
                ask()
        with pytest.raises(EncoderError, match="call fit or restore first"):
            unfitted.perplexity(["a"])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"context": 0}, "context must be 1 or more, got 0"),
        ({"held_out": 0.6}, "held_out must be above 0 and at most 0.5, got 0.6"),
        ({"dropout": -0.1}, "dropout must be from 0 to 0.9, got -0.1"),
        ({"rate": float("nan")}, "rate must be positive"),
        ({"decay": float("nan")}, "and decay not negative"),
        ({"decay": -1.0}, "rate must be positive and decay not negative"),
        ({"pooling": "max"}, "pooling must be one of mean, sif, got 'max'"),
        ({"sif_a": 0.0}, "sif_a must be between 0 and 1, got 0.0"),
    ],
)
def test_parameters_are_checked(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Params(**given)


class TestTheTrigram:
    def test_its_probabilities_sum_to_one(self) -> None:
        model = Trigram(6)
        model.count([[2, 3, 2, 4], [2, 3]])
        model.fit_weights([[2, 3, 4], [5]])
        for context in [(0, 0), (2, 3), (4, 4), (5, 2), (3, 5)]:
            total = sum(model.probability((*context, word)) for word in range(6))
            assert total == pytest.approx(1)

    def test_its_weights_are_fitted(self) -> None:
        texts = [[int(w) for w in np.random.default_rng(s).integers(2, 5, 30)] for s in range(20)]
        ordered = [[2, 3, 4] * 10 for _ in range(20)]
        chance, rule = Trigram(6), Trigram(6)
        chance.count(texts[:15])
        chance.fit_weights(texts[15:])
        rule.count(ordered[:15])
        rule.fit_weights(ordered[15:])
        assert rule.perplexity(ordered) < 1.2
        assert 2.9 < chance.perplexity(texts[15:]) < 3.5


@pytest.mark.realdata
@pytest.mark.slow
def test_it_predicts_news_better_than_a_trigram(data: Path) -> None:
    import polars as pl

    news = pl.read_csv(data / "text" / "ag_news.csv")
    texts = (news["title"] + " " + news["body"]).to_list()
    known, unseen = texts[:5400], texts[5400:]
    params = Params(device="cpu")
    encoder = build(params)
    encoder.fit(known, np.random.default_rng(0))
    rows, held = split(len(known), params.held_out, np.random.default_rng(0))
    lexicon = Lexicon.restored(encoder.state().arrays)

    def numbered(some: list[str]) -> list[list[int]]:
        return [lexicon.encode(words(text)).tolist() for text in some]

    trigram = Trigram(lexicon.size)
    trigram.count(numbered([known[row] for row in rows]))
    trigram.fit_weights(numbered([known[row] for row in held]))
    plain, neural = trigram.perplexity(numbered(unseen)), encoder.perplexity(unseen)
    assert neural < 0.98 * plain, f"trigram {plain:.1f}, nnlm {neural:.1f}"
