"""What a sentence model takes, made of tokens: it is what the library makes of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from encoders import _shapes
from encoders._features import Features, by_library
from encoders.sentence import Params, build
from tests.encoders import samples

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["", "stone", "the cat is a dog", "mill " * 40]


@pytest.fixture(scope="module")
def model(weights: Path) -> Any:  # noqa: ANN401 - the library ships no types
    from encoders._sentence_model import load

    return load(weights / "sentence-tiny", "tiny", "float32", "cpu", trusted=False)


def tokens(model: Any, prompt: str = "") -> list[list[int]]:  # noqa: ANN401 - as above
    found: list[list[int]] = model.tokenizer(
        [prompt + text for text in TEXTS], truncation=False, padding=False, verbose=False
    )["input_ids"]
    return found


@pytest.mark.parametrize("length", [8, 48])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("prompt", ["", "the mill: "])
def test_tokens_are_cut_and_padded_as_by_the_library(
    model: Any,  # noqa: ANN401 - as above
    monkeypatch: pytest.MonkeyPatch,
    length: int,
    side: str,
    prompt: str,
) -> None:
    monkeypatch.setattr(model.tokenizer, "padding_side", side)
    made = Features.of(model, prompt)
    assert made is not None
    assert made.tail == 1
    found = made.made(tokens(model, prompt), length)
    expected = by_library(model, TEXTS, prompt, length)
    assert found.keys() == expected.keys()
    for name, each in expected.items():
        np.testing.assert_array_equal(found[name], each)


def test_a_preprocessing_that_cuts_otherwise_is_left_to_the_library(
    model: Any,  # noqa: ANN401 - as above
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model.tokenizer, "truncation_side", "left")
    assert Features.of(model, "") is None


def test_vectors_are_the_same_whoever_makes_the_input(weights: Path) -> None:
    params = Params(model=str(weights / "sentence-tiny"), dtype="bfloat16", max_tokens=12)
    encoder = build(params)
    texts = samples.usual("text")
    own = encoder.encode(texts)
    reader = encoder._reader  # noqa: SLF001 - its model, and the tokens as they are kept
    read = [[*map(int, row)] for row in reader.tokens(texts)]
    library = _shapes.embed(reader.model, texts, "", read, None)
    norms = np.linalg.norm(library, axis=1, keepdims=True)
    np.testing.assert_array_equal(own, library / norms)
