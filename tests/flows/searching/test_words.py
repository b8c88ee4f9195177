"""``vecmill words``: near words and analogies of the live encoder, by the real command line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders import registry, word2vec
from flows.cli import run_command
from flows.searching.queries import SearchError
from flows.searching.words import nearest, parse, worded_kinds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from encoders._wordvectors import WordVectors
    from tests.flows.project import Project

SPELT = {
    "king": (1, 1, 0), "queen": (1, -1, 0), "man": (0, 1, 0.1), "woman": (0, -1, 0.1),
    "e-mail": (0, 0.1, 1), "post": (0, 0.1, 0.9), "don't": (-1, 0, 0), "nothing": (0, 0, 0),
}  # fmt: skip


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> WordVectors:
    """An encoder of these words."""
    file = save(tmp_path_factory.mktemp("words"))
    return word2vec.build(word2vec.Params(vectors=str(file)))


@pytest.mark.parametrize(
    ("expression", "terms"),
    [
        ("king", [(1, "king")]),
        ("  king - man +  woman ", [(1, "king"), (-1, "man"), (1, "woman")]),
        ("e-mail - post", [(1, "e-mail"), (-1, "post")]),
        ("king-man+woman", [(1, "king-man+woman")]),
        ('"new york" - "-" + don\'t', [(1, "new york"), (-1, "-"), (1, "don't")]),
        ('"+"', [(1, "+")]),
    ],
)
def test_expressions_are_read(expression: str, terms: list[tuple[int, str]]) -> None:
    assert parse(expression) == terms


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("", "the expression '' ends without a word"),
        ("king -", "the expression 'king -' ends without a word"),
        ("- man + king", "cannot read '- man .king' at '-'|cannot read '- man . king' at '-'"),
        ("king + - man", "at '-': expected words with . or - between them"),
        ("new york", "cannot read 'new york' at 'york'.*into double quotes"),
    ],
)
def test_what_cannot_be_read_is_told(expression: str, told: str) -> None:
    with pytest.raises(SearchError, match=told):
        parse(expression)


def test_an_analogy_is_the_sum_of_unit_vectors_without_the_words_asked_for(
    few: WordVectors,
) -> None:
    found = nearest(few, parse("king - man + woman"), 2)
    assert [near.word for near in found] == ["queen", "e-mail"]
    unit = {w: np.array(v) / max(np.linalg.norm(v), 1e-9) for w, v in SPELT.items()}
    wanted = unit["king"] - unit["man"] + unit["woman"]
    expected = float(unit["queen"] @ wanted / np.linalg.norm(wanted))
    assert found[0].similarity == pytest.approx(expected, abs=1e-6)


def test_a_word_is_not_near_itself_however_it_is_spelt(few: WordVectors) -> None:
    for word in ("king", "King"):
        found = nearest(few, parse(word), 99)
        assert len(found) == len(SPELT) - 2, "neither itself, nor what has no direction"
        assert [near.word for near in found[-1:]] == ["don't"]
        similarities = [near.similarity for near in found]
        assert similarities == sorted(similarities, reverse=True)
    [post] = nearest(few, parse("e-mail"), 1)
    assert post.word == "post"
    assert post.similarity == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("quen", "the encoder knows no word 'quen'; there are queen"),
        ("zzzz", "the encoder knows no word 'zzzz'; nor one spelt like it"),
        ("king-man", "knows no word 'king-man'; write spaces around . and -"),
        ("king - king", "the words asked for cancel each other out"),
        ("nothing", "the words asked for cancel each other out"),
    ],
)
def test_a_question_without_an_answer_is_told(few: WordVectors, expression: str, told: str) -> None:
    with pytest.raises(SearchError, match=told):
        nearest(few, parse(expression), 3)


@dataclass(frozen=True)
class Answer:
    """What a command gave."""

    code: int
    out: str
    err: str


@pytest.fixture
def vecmill(project: Project, capfd: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run a command on a project over a file of word vectors."""
    project.encoder = {"kind": "word2vec", "vectors": str(save(project.root))}
    project.write([("a", "the king", "x"), ("b", "a woman", "y")])

    def call(*arguments: str) -> Answer:
        capfd.readouterr()
        code = run_command([*arguments, "--conf", str(project.settings().conf)])
        return Answer(code, *capfd.readouterr())

    return call


def save(folder: Path) -> Path:
    file = folder / "vectors.txt"
    rows = [f"{word} {' '.join(map(str, row))}\n" for word, row in SPELT.items()]
    file.write_text("".join(rows), encoding="utf-8")
    return file


def test_the_command_answers_for_the_live_version(vecmill: Callable[..., Answer]) -> None:
    early = vecmill("words", "notes", "king")
    assert early.code == 2
    assert "notes has no live version yet; run `vecmill run notes` first" in early.err
    assert vecmill("run", "--direct").code == 0
    answer = vecmill("words", "notes", "King - man + woman", "-k", "2", "--json")
    rows: list[dict[str, Any]] = [json.loads(line) for line in answer.out.splitlines()]
    assert [row["word"] for row in rows] == ["queen", "e-mail"]
    assert set(rows[0]) == {"word", "similarity"}
    table = vecmill("words", "notes", "e-mail").out.splitlines()
    assert table[0].split() == ["word", "similarity"]
    assert table[1].split()[0] == "post"


def test_the_command_answers_for_a_version_by_its_number(
    vecmill: Callable[..., Answer], project: Project
) -> None:
    vecmill("run", "--direct")
    project.encoder = {"kind": "word2vec", "min_count": 1, "dim": 4, "epochs": 1}
    vecmill("run", "--direct")
    assert vecmill("words", "notes", "queen", "--version", "v1").code == 0
    learned = vecmill("words", "notes", "king", "--version", "2", "--json")
    assert {json.loads(line)["word"] for line in learned.out.splitlines()} == {"the", "a", "woman"}
    unknown = vecmill("words", "notes", "queen", "--version", "candidate")
    assert (unknown.code, unknown.out) == (2, "")
    assert "knows no word 'queen'" in unknown.err
    none = vecmill("words", "notes", "queen", "--version", "7")
    assert "notes has no version v7; there are: v1, v2" in none.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("kimg",), "the encoder knows no word 'kimg'; there are king"),
        (("king man",), "cannot read 'king man' at 'man'"),
        (("king", "-k", "0"), "-k must be at least 1, got 0"),
        (("king", "--version", "best"), "--version takes configured, live, candidate or the"),
    ],
)
def test_the_command_says_what_was_wrong(
    vecmill: Callable[..., Answer], arguments: tuple[str, ...], told: str
) -> None:
    vecmill("run", "--direct")
    answer = vecmill("words", "notes", *arguments)
    assert (answer.code, answer.out) == (2, "")
    assert told in " ".join(answer.err.split())


def test_an_encoder_without_words_is_told_with_those_that_have_some(
    vecmill: Callable[..., Answer], project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.encoder = {}
    vecmill("run", "--direct")
    monkeypatch.delattr(registry, "build")  # it is told without its weights
    answer = vecmill("words", "notes", "king")
    assert answer.code == 2
    told = " ".join(answer.err.split())
    assert "notes_v1 was made by an encoder of kind 'letters', which has no table of words" in told
    assert {"word2vec", "fasttext", "glove"} <= set(worded_kinds())
    assert "sentence" not in worded_kinds()
    assert all(kind in told for kind in worded_kinds())
