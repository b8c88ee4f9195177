"""Latent semantic analysis: its rank, its signs, its bounds, and what it tells on real news."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders import _terms
from encoders.base import EncoderError, State, digest
from encoders.lsa import Lsa, Params, build
from tests.encoders.samples import WORDS

if TYPE_CHECKING:
    from pathlib import Path

MILL = ["the mill grinds grain", "a mill makes flour", "flour is ground grain", "grain and flour"]
PETS = ["the cat sleeps", "a dog barks", "the dog chases a cat", "cat and dog"]


def fit(texts: list[str], seed: int = 0, **params: Any) -> Lsa:  # noqa: ANN401 - any of Params
    encoder = build(Params(**{"min_texts": 1, "max_share": 1.0, **params}))
    encoder.fit(texts, np.random.default_rng(seed))
    return encoder


def random_texts(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    words = np.array([f"word{i}" for i in range(300)])
    weights = 1 / np.arange(1, 301)
    return [" ".join(rng.choice(words, 30, p=weights / weights.sum())) for _ in range(n)]


def test_texts_about_the_same_are_near_though_they_share_no_word() -> None:
    encoder = fit(MILL + PETS, dim=2)
    mill, flour, cat = encoder.encode(["mill", "flour", "cat"])
    assert mill @ flour > 0.9
    assert abs(mill @ cat) < 0.5


def test_vectors_have_norm_1_and_texts_without_a_known_word_none() -> None:
    vectors = fit(MILL).encode(["grain grain flour", "unheard of", "", "?!"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 0, 0, 0], atol=1e-6)


def test_all_directions_keep_every_angle() -> None:
    texts = random_texts(60, seed=1)
    encoder = fit(texts, dim=60)
    assert encoder.state().meta["figures"] == {
        "texts": 60,
        "terms_seen": encoder.state().arrays["projection"].shape[0],
        "vocabulary": encoder.state().arrays["projection"].shape[0],
        "dim": 60,
        "kept_share": 1.0,
    }
    from sklearn.feature_extraction.text import TfidfVectorizer

    library = TfidfVectorizer(analyzer=str.split, sublinear_tf=True)
    expected = library.fit_transform(texts)
    ours = encoder.encode(texts)
    np.testing.assert_allclose(ours @ ours.T, (expected @ expected.T).toarray(), atol=1e-5)


def test_more_dimensions_than_the_sample_has_are_not_made_up() -> None:
    assert fit(["cat dog", "dog cat", "mill"], dim=64).dim == 2
    assert fit(["cat"], dim=64).dim == 1


def test_fewer_dimensions_are_the_first_of_more() -> None:
    texts = random_texts(300, seed=2)
    many, few = fit(texts, dim=64).encode(texts)[:, :8], fit(texts, dim=8).encode(texts)
    cut = many / np.linalg.norm(many, axis=1, keepdims=True)
    assert float(np.median((cut * few).sum(axis=1))) > 0.98


def test_the_order_of_the_sample_does_not_matter_and_chance_hardly_does() -> None:
    texts = random_texts(200, seed=3)
    first, turned, other = fit(texts, dim=4), fit(texts[::-1], dim=4), fit(texts, seed=1, dim=4)
    assert digest(first.state()) == digest(turned.state())
    # the signs too: no direction turns around with another seed
    assert float(np.median((first.encode(texts) * other.encode(texts)).sum(axis=1))) > 0.98


def test_terms_are_chosen_by_how_many_texts_they_stand_in() -> None:
    texts = ["cat cat cat mill", "cat dog", "cat dog stone"]
    assert fit(texts).vocabulary()[0] == ["cat", "dog", "mill", "stone"]
    assert fit(texts, min_texts=2).vocabulary()[0] == ["cat", "dog"]
    assert fit(texts, max_share=0.7).vocabulary()[0] == ["dog", "mill", "stone"]
    assert fit(texts, max_terms=2).vocabulary()[0] == ["cat", "dog"]
    assert fit(texts, ngrams=2, min_texts=2).vocabulary()[0] == ["cat", "cat dog", "dog"]


def test_pairs_of_words_tell_an_order() -> None:
    texts = ["dog bites man", "man bites dog"]
    alike = fit([*texts, *PETS]).encode(texts)
    apart = fit([*texts, *PETS], ngrams=2).encode(texts)
    assert alike[0] @ alike[1] == pytest.approx(1, abs=1e-5)
    assert apart[0] @ apart[1] < 0.99


def test_rare_terms_are_forgotten_where_there_are_too_many() -> None:
    texts = [f"often only{i}" for i in range(100)]
    found = _terms.in_texts(texts, 1, held=20)
    assert len(found) <= 21
    assert found["often"] == 100


def test_words_have_vectors() -> None:
    encoder = fit(MILL + PETS)
    words, vectors = encoder.vocabulary()
    assert vectors.shape == (len(words), encoder.dim)
    for word in ("mill", "dog"):
        found = encoder.word(word)
        assert found is not None
        np.testing.assert_allclose(found, encoder.encode([word])[0], atol=1e-6)
        np.testing.assert_array_equal(found, vectors[words.index(word)])
    for spelt in ("Mill", "MILL!"):
        np.testing.assert_array_equal(encoder.word(spelt), encoder.word("mill"))
    assert encoder.word("unheard") is None
    pairs = fit(MILL + PETS, ngrams=2)
    assert pairs.word("The  Mill") is not None


def test_a_sample_without_common_words_is_refused() -> None:
    with pytest.raises(EncoderError, match="none of the 2 terms of the sample stands in 2 of its"):
        fit(["cat", "dog"], min_texts=2)
    with pytest.raises(EncoderError, match="none of the 0 terms"):
        fit(["", "?"])


def test_wrong_states_are_refused() -> None:
    state = fit(MILL).state()
    with pytest.raises(EncoderError, match="not the state of an encoder of kind lsa: got tabular"):
        build(Params()).restore(State(state.arrays, {"kind": "tabular"}))
    cut = {"projection": state.arrays["projection"][1:]}
    with pytest.raises(EncoderError, match=r"projection: got \(9, \d+\), expected \(10, "):
        build(Params()).restore(State(cut, state.meta))


def test_writing_into_a_state_does_not_change_the_encoder() -> None:
    encoder = fit(MILL)
    before = encoder.encode(MILL)
    encoder.state().arrays["projection"].fill(0)
    np.testing.assert_array_equal(encoder.encode(MILL), before)


def test_the_recipe_holds_what_decides() -> None:
    unfitted = build(Params()).recipe()
    assert unfitted["state"] is None
    assert build(Params(batch_size=1)).recipe() == unfitted
    recipes = [unfitted, fit(MILL).recipe(), fit(PETS).recipe(), build(Params(ngrams=2)).recipe()]
    assert len({json.dumps(recipe, sort_keys=True) for recipe in recipes}) == 4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"dim": 0}, "dim must be 1 or more, got 0"),
        ({"ngrams": 0}, "ngrams must be 1 or more, got 0"),
        ({"min_texts": 0}, "min_texts must be 1 or more, got 0"),
        ({"max_terms": -1}, "max_terms must be 1 or more, got -1"),
        ({"batch_size": 0}, "batch_size must be 1 or more, got 0"),
        ({"max_share": 0.0}, "max_share must be above 0 and at most 1, got 0"),
        ({"max_share": 1.1}, r"max_share must be above 0 and at most 1, got 1\.1"),
    ],
)
def test_parameters_are_checked(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Params(**given)


def test_every_sample_word_can_be_told() -> None:
    letters = [word for word in WORDS if word.isalpha()]
    vectors = fit(letters, dim=len(letters)).encode(letters)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(len(letters)), atol=1e-5)


@pytest.mark.realdata
def test_the_topics_of_news_are_told_apart(data: Path) -> None:
    import polars as pl
    from sklearn.linear_model import LogisticRegression

    news = pl.read_csv(data / "text" / "ag_news.csv")
    texts = (news["title"] + "\n\n" + news["body"]).to_list()
    labels = news["label"].to_numpy()
    order = np.random.default_rng(0).permutation(len(texts))
    test, train = order[:1200], order[1200:]
    encoder = build(Params())
    encoder.fit([texts[row] for row in train], np.random.default_rng(0))
    vectors = encoder.encode(texts)
    probe = LogisticRegression(max_iter=1000).fit(vectors[train], labels[train])
    assert encoder.dim == 256
    assert probe.score(vectors[test], labels[test]) >= 0.85
