"""ELMo: a published model's files against plain equations, and small ones that learn."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from encoders import registry
from encoders._characters import SYMBOLS, needed, spelled, tokens
from encoders.base import EncoderError, EncoderUsageError, State
from encoders.elmo import Elmo, LearnedElmo, Params, build
from tests.encoders import elmo_files
from tests.encoders.samples import WORDS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

TEXT = "The mill isn't grinding 3.5 tonnes of fine flour, so the U.S. waits."
SMALL: dict[str, Any] = {
    "character_dim": 4,
    "filters": ((1, 4), (2, 4), (3, 8)),
    "projection": 8,
    "cell": 12,
    "min_count": 1,
    "noise": 32,
    "epochs": 2,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("elmo") / "tiny"
    elmo_files.save(folder)
    return folder


def published(folder: Path, **more: Any) -> Elmo:  # noqa: ANN401 - any parameter
    files: dict[str, Any] = {
        "options": str(folder / "options.json"),
        "weights": str(folder / "weights.hdf5"),
    }
    encoder = build(Params(**files, device="cpu", **more))
    assert isinstance(encoder, Elmo)
    return encoder


def sentences(count: int, seed: int = 1) -> list[str]:
    """Texts with a rule to learn: each word is followed by its successor in the list, mostly."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(count):
        at = int(rng.integers(len(WORDS)))
        steps = np.where(rng.random(rng.integers(4, 9)) < 0.9, 1, 5)
        texts.append(" ".join(WORDS[i % len(WORDS)] for i in at + np.cumsum(steps)))
    return texts


class Reference:
    """The forward pass of Peters et al. 2018 in plain NumPy, a text and a step at a time.

    From the equations, over the datasets as they lie in the file.
    """

    def __init__(self, options: dict[str, Any], stored: dict[str, NDArray[np.float32]]) -> None:
        self.lstm, self.cnn = options["lstm"], options["char_cnn"]
        self.stored = {name: array.astype(np.float64) for name, array in stored.items()}

    def layers(self, words: list[str]) -> NDArray[np.float64]:
        """``(1 + LSTM layers, words, 2 * projection)``."""
        rows = [
            self.word([256]),
            *(self.word(list(word.encode())) for word in words),
            self.word([257]),
        ]
        ways = [self.stack(rows, 0), [one[::-1] for one in self.stack(rows[::-1], 1)]]
        pairs = zip(*ways, strict=True)
        both = [np.hstack([rows, rows]), *(np.hstack([forth, back]) for forth, back in pairs)]
        return np.stack(both)[:, 1:-1]

    def word(self, characters: list[int]) -> NDArray[np.float64]:
        width = self.cnn["max_characters_per_token"]
        ids = [258, *characters[: width - 2], 259]
        letters = self.stored["char_embed"][ids + [260] * (width - len(ids))]
        found = []
        for at, (wide, _) in enumerate(self.cnn["filters"]):
            kernel, bias = self.stored[f"CNN/W_cnn_{at}"][0], self.stored[f"CNN/b_cnn_{at}"]
            places = range(width - wide + 1)
            seen = [np.einsum("wd,wdn->n", letters[p : p + wide], kernel) + bias for p in places]
            found.append(np.maximum(np.max(seen, axis=0), 0))
        x = np.concatenate(found)
        for at in range(self.cnn["n_highway"]):
            part = {key: self.stored[f"CNN_high_{at}/{key}"] for key in HIGHWAY}
            carry = sigmoid(x @ part["W_carry"] + part["b_carry"])
            new = np.maximum(x @ part["W_transform"] + part["b_transform"], 0)
            x = carry * new + (1 - carry) * x
        projected: NDArray[np.float64] = (
            x @ self.stored["CNN_proj/W_proj"] + self.stored["CNN_proj/b_proj"]
        )
        return projected

    def stack(self, rows: list[NDArray[np.float64]], way: int) -> list[NDArray[np.float64]]:
        layers, given = [], rows
        for layer in range(self.lstm["n_layers"]):
            out = self.run(given, f"RNN_{way}/RNN/MultiRNNCell/Cell{layer}/LSTMCell")
            if layer and self.lstm["use_skip_connections"]:
                out = [a + b for a, b in zip(out, given, strict=True)]
            layers.append(np.stack(out))
            given = out
        return layers

    def run(self, rows: list[NDArray[np.float64]], cell: str) -> list[NDArray[np.float64]]:
        weight, bias = self.stored[f"{cell}/W_0"], self.stored[f"{cell}/B"]
        state, memory = np.zeros(self.lstm["projection_dim"]), np.zeros(self.lstm["dim"])
        found = []
        for row in rows:
            i, j, f, o = np.split(np.concatenate([row, state]) @ weight + bias, 4)
            memory = sigmoid(f + 1) * memory + sigmoid(i) * np.tanh(j)
            memory = np.clip(memory, -self.lstm["cell_clip"], self.lstm["cell_clip"])
            state = (sigmoid(o) * np.tanh(memory)) @ self.stored[f"{cell}/W_P_0"]
            state = np.clip(state, -self.lstm["proj_clip"], self.lstm["proj_clip"])
            found.append(state)
        return found


HIGHWAY = ("W_carry", "b_carry", "W_transform", "b_transform")


def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-x))


class TestAPublishedModel:
    @pytest.mark.parametrize("layer", [0, 1, 2])
    def test_every_layer_is_as_the_equations_have_it(self, folder: Path, layer: int) -> None:
        reference = Reference(elmo_files.OPTIONS, elmo_files.datasets())
        texts = [TEXT, "flour", "x" * 80 + " und Mühlsteine 🙂 mahlen", "a b c d e f g h i j k l"]
        expected = [reference.layers(tokens(text))[layer] for text in texts]
        mean = published(folder, layers=layer).encode(texts)
        np.testing.assert_allclose(mean, [e.mean(0) for e in expected], atol=2e-5)
        most = published(folder, layers=layer, pooling="max").encode(texts)
        np.testing.assert_allclose(most, [e.max(0) for e in expected], atol=2e-5)

    def test_the_clips_of_the_reference_bite(self) -> None:
        loose = {**elmo_files.OPTIONS, "lstm": {**elmo_files.OPTIONS["lstm"], "cell_clip": 50.0}}
        words, stored = tokens(TEXT), elmo_files.datasets()
        tight = Reference(elmo_files.OPTIONS, stored).layers(words)
        assert np.abs(tight - Reference(loose, stored).layers(words)).max() > 0.01

    def test_without_skip_connections_the_second_layer_is_plain(
        self, folder: Path, tmp_path: Path
    ) -> None:
        plain = json.loads(json.dumps(elmo_files.OPTIONS))
        plain["lstm"]["use_skip_connections"] = False
        (tmp_path / "plain.json").write_text(json.dumps(plain))
        weights = str(folder / "weights.hdf5")
        params = Params(str(tmp_path / "plain.json"), weights, layers=2, device="cpu")
        expected = Reference(plain, elmo_files.datasets()).layers(tokens(TEXT))[2].mean(0)
        np.testing.assert_allclose(build(params).encode([TEXT])[0], expected, atol=2e-5)

    def test_mean_is_that_of_the_layers(self, folder: Path) -> None:
        each = [published(folder, layers=at).encode([TEXT]) for at in range(3)]
        mean = published(folder).encode([TEXT])
        np.testing.assert_allclose(mean, np.mean(each, axis=0), atol=1e-6)
        some = published(folder, layers=(0, 2)).encode([TEXT])
        np.testing.assert_allclose(some, (each[0] + each[2]) / 2, atol=1e-6)

    def test_the_layers_of_a_model_are_known(self, folder: Path) -> None:
        with pytest.raises(EncoderUsageError, match="numbers from 0 to 2, got 3"):
            published(folder, layers=3)

    def test_a_text_is_read_up_to_max_tokens(self, folder: Path) -> None:
        encoder = published(folder, max_tokens=3)
        texts = ["the mill grinds", "the mill grinds flour", ""]
        assert encoder.truncated(texts).texts == 1
        found = encoder.encode(texts)
        np.testing.assert_array_equal(found[0], found[1])
        np.testing.assert_array_equal(found[2], np.zeros(12))

    def test_a_second_call_is_as_the_first(self, folder: Path) -> None:
        encoder = published(folder)
        first = encoder.encode([TEXT, "flour"])
        encoder.encode(["something else"] * 3)
        np.testing.assert_array_equal(encoder.encode([TEXT, "flour"]), first)

    def test_its_recipe_follows_the_content_of_the_files(
        self, folder: Path, tmp_path: Path
    ) -> None:
        elmo_files.save(tmp_path / "copy")
        assert published(tmp_path / "copy").recipe() == published(folder).recipe()
        with h5py.File(tmp_path / "copy" / "weights.hdf5", "r+") as file:
            file["CNN/b_cnn_0"][0] += 1
        assert published(tmp_path / "copy").recipe() != published(folder).recipe()

    def test_files_that_are_not_there(self, folder: Path) -> None:
        with pytest.raises(EncoderUsageError, match=r"options = '/nowhere.json' is no file here"):
            build(Params("/nowhere.json", str(folder / "weights.hdf5")))
        with pytest.raises(EncoderUsageError, match=r"weights = 'weights.hdf5' is no file here"):
            build(Params(str(folder / "options.json"), "weights.hdf5"))

    @pytest.mark.parametrize("written", ["{", "[]", '{"lstm": {}}'])
    def test_options_that_are_none(self, folder: Path, tmp_path: Path, written: str) -> None:
        (tmp_path / "options.json").write_text(written)
        with pytest.raises(EncoderError, match="does not hold the options of an ELMo model"):
            build(Params(str(tmp_path / "options.json"), str(folder / "weights.hdf5")))

    def test_options_of_another_make(self, folder: Path, tmp_path: Path) -> None:
        other = json.loads(json.dumps(elmo_files.OPTIONS))
        other["char_cnn"]["activation"] = "gelu"
        (tmp_path / "options.json").write_text(json.dumps(other))
        with pytest.raises(EncoderError, match="has activation 'gelu'"):
            build(Params(str(tmp_path / "options.json"), str(folder / "weights.hdf5")))

    def test_weights_that_are_none(self, folder: Path, tmp_path: Path) -> None:
        options, damaged = str(folder / "options.json"), tmp_path / "weights.hdf5"
        damaged.write_bytes((folder / "weights.hdf5").read_bytes()[:900])
        with pytest.raises(EncoderError, match="cannot be read as the weights of this model"):
            build(Params(options, str(damaged)))

    @pytest.mark.parametrize(
        ("name", "array", "message"),
        [
            ("CNN_proj/W_proj", None, "cannot be read as the weights of this model"),
            ("CNN_proj/W_proj", np.zeros((3, 3)), "token.kernel has shape"),
            ("char_embed", np.full((SYMBOLS, 4), np.nan), "must be finite"),
        ],
    )
    def test_weights_that_do_not_fit(
        self, tmp_path: Path, name: str, array: NDArray[np.float64] | None, message: str
    ) -> None:
        elmo_files.save(tmp_path / "bad")
        with h5py.File(tmp_path / "bad" / "weights.hdf5", "r+") as file:
            del file[name]
            if array is not None:
                file[name] = array
        with pytest.raises(EncoderError, match=message):
            published(tmp_path / "bad")

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"shape": (10**9, 10**6), "dtype": "f4"}, r"float32 of shape \(1000000000, 1000000\)"),
            ({"shape": (13, 6), "dtype": "S4"}, r"has \|S4 of shape \(13, 6\), expected floats"),
            ({"shape": (13, 6), "dtype": "f4", "external": "raw"}, "lies in another file"),
        ],
    )
    def test_weights_are_looked_at_before_they_are_read(
        self, tmp_path: Path, given: dict[str, Any], message: str
    ) -> None:
        elmo_files.save(tmp_path / "bad")
        if "external" in given:
            given = {**given, "external": [(str(tmp_path / "raw"), 0, 4 * 13 * 6)]}
        with h5py.File(tmp_path / "bad" / "weights.hdf5", "r+") as file:
            del file["CNN_proj/W_proj"]
            file.create_dataset("CNN_proj/W_proj", **given)
        with pytest.raises(EncoderError, match=message):
            published(tmp_path / "bad")

    @pytest.mark.parametrize("name", ["CNN_proj", "CNN_proj/W_proj"])
    def test_weights_are_not_followed_into_other_files(self, tmp_path: Path, name: str) -> None:
        elmo_files.save(tmp_path / "other")
        elmo_files.save(tmp_path / "bad")
        with h5py.File(tmp_path / "bad" / "weights.hdf5", "r+") as file:
            del file[name]
            file[name] = h5py.ExternalLink(str(tmp_path / "other" / "weights.hdf5"), name)
        with pytest.raises(EncoderError, match="CNN_proj/W_proj lies in another file"):
            published(tmp_path / "bad")


class TestALearnedModel:
    def test_it_learns_what_comes_next_and_what_came_before(self) -> None:
        encoder = LearnedElmo(Params(**{**SMALL, "epochs": 8, "rate": 0.02}))
        encoder.fit(sentences(400), np.random.default_rng(0))
        figures: Any = encoder.state().meta["figures"]
        forward, backward = encoder.perplexity(sentences(100, seed=2))
        assert max(forward, backward) < 0.6 * figures["unigram_perplexity"]
        assert figures["forward_perplexity"] == pytest.approx(forward, rel=0.2)

    def test_what_it_learned_can_be_carried_over(self) -> None:
        encoder = LearnedElmo(Params(**SMALL))
        encoder.fit(sentences(40), np.random.default_rng(0))
        other = LearnedElmo(Params(**SMALL))
        other.restore(encoder.state())
        assert other.perplexity(sentences(9)) == encoder.perplexity(sentences(9))
        assert encoder.perplexity([""])[0] > 1

    def test_a_state_of_another_make_is_refused(self) -> None:
        encoder = LearnedElmo(Params(**SMALL))
        encoder.fit(sentences(40), np.random.default_rng(0))
        wider = LearnedElmo(Params(**{**SMALL, "cell": 20}))
        with pytest.raises(EncoderError, match="not the state of an encoder of kind elmo"):
            wider.restore(encoder.state())
        with pytest.raises(EncoderError, match="expected 'words' and 'counts'"):
            wider.restore(State({}, {"kind": "elmo"}))

    def test_too_little_to_learn_from(self) -> None:
        few = LearnedElmo(Params(**SMALL))
        with pytest.raises(EncoderError, match=r"needs 10 texts with words or more .* got 3"):
            few.fit(["a", "b", "c", "", " "], np.random.default_rng(0))
        rare = LearnedElmo(Params(**{**SMALL, "min_count": 99}))
        with pytest.raises(EncoderError, match="stands 99 times or more"):
            rare.fit(sentences(20), np.random.default_rng(0))

    def test_a_fit_that_diverges_says_so(self) -> None:
        wild = LearnedElmo(Params(**{**SMALL, "rate": 1e30}))
        with pytest.raises(EncoderError, match="diverged; lower the learning rate"):
            wild.fit(sentences(400), np.random.default_rng(0))

    @pytest.mark.realdata
    @pytest.mark.slow
    def test_news_are_predicted_from_both_sides(self, data: Path) -> None:
        import polars as pl

        news = pl.read_csv(data / "text" / "ag_news.csv").head(3000)
        texts = (news["title"] + " " + news["body"]).to_list()
        unseen = texts[2000:]
        encoder = LearnedElmo(Params(device="cpu", epochs=3))
        encoder.fit(texts[:2000], np.random.default_rng(0))
        figures: Any = encoder.state().meta["figures"]
        found = encoder.perplexity(unseen)
        assert max(found) < 0.5 * figures["unigram_perplexity"]
        rng = np.random.default_rng(1)
        shuffled = [" ".join(rng.permutation(tokens(text))) for text in unseen]
        assert min(encoder.perplexity(shuffled)) > 2 * max(found), "word order says nothing"
        # Weak, as after any short fit: a network of random weights comes to 0.32.
        assert agreement(encoder.encode(unseen), news["label"].to_numpy()[2000:]) > 0.28


def agreement(vectors: NDArray[np.float32], labels: NDArray[Any]) -> float:
    """How often the five nearest neighbours of a text have its label; chance is a quarter."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    near = unit @ unit.T
    np.fill_diagonal(near, -np.inf)
    nearest = np.argsort(-near, axis=1)[:, :5]
    return float((labels[nearest] == labels[:, None]).mean())


def test_texts_fall_into_tokens_with_their_marks() -> None:
    expected = "The mill is n't grinding 3.5 tonnes of fine flour , so the U.S. waits ."
    assert tokens(TEXT) == expected.split()
    assert tokens("Its owner's half-full, they'll (can't) snake_case AT&T") == [
        *("Its", "owner", "'s", "half-full", ",", "they", "'ll", "(", "ca", "n't", ")"),
        *("snake", "_", "case", "AT&T"),
    ]
    assert tokens(" \n") == []


def test_words_are_spelled_as_the_published_models_read_them() -> None:
    rows = spelled(["é", 256, "abcdefgh"], 8)
    assert rows.tolist() == [
        [258, 0xC3, 0xA9, 259, 260, 260, 260, 260],
        [258, 256, 259, 260, 260, 260, 260, 260],
        [258, *b"abcdef", 259],
    ]
    assert needed(rows[:2], 3) == 7
    assert needed(rows, 3) == 8


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"options": "a.json"}, "options and weights belong together, got 'a.json' and None"),
        ({"options": "a", "weights": "b", "cell": 9}, "cell is for a model that learns"),
        ({"projection": 64, "cell": 64}, "projection must be less than cell, got 64 of 64"),
        ({"filters": ()}, "filters must be pairs"),
        ({"filters": ((51, 4),)}, "filters must be pairs of a width from 1 to 50"),
        ({"held_out": 0.0}, "held_out must be above 0 and at most 0.5, got 0.0"),
        ({"dropout": 1.0}, "dropout must be from 0 to 0.9, got 1.0"),
        ({"rate": float("nan")}, "rate must be positive"),
        ({"rate": 0.0}, "rate must be positive"),
        ({"pooling": "sum"}, "pooling must be 'mean' or 'max', got 'sum'"),
        ({"max_tokens": 0}, "max_tokens must be 1 or more, got 0"),
        ({"highways": -1}, "highways must be 0 or more, got -1"),
    ],
)
def test_parameters_are_checked(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Params(**given)


def test_a_published_models_recipe_is_told_without_loading_it(folder: Path) -> None:
    weights, options = str(folder / "weights.hdf5"), str(folder / "options.json")
    assert registry.quick_recipe("elmo", Params(options, weights)) == published(folder).recipe()
    assert registry.quick_recipe("elmo", Params()) is None
