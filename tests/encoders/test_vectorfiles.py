"""Files of word vectors: what gensim reads is what we read, and broken ones are told."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest

from encoders import fasttext, word2vec
from encoders._vectorfiles import read
from encoders.base import EncoderError, EncoderUsageError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from encoders._wordtable import Table

SPELT = ("the", "naïve", "e-mail", ". . .", "2026", "北京", "mill", "STONE")
ROWS = np.random.default_rng(2).standard_normal((len(SPELT), 5)).astype(np.float32)
MISSPELT = ("stonemason", "millstones", "naive")


def text_lines() -> list[str]:
    return [f"{word} {' '.join(map(repr, row.tolist()))}" for word, row in
            zip(SPELT, ROWS, strict=True)]  # fmt: skip


def save(file: Path, form: str) -> Path:
    header = f"{len(SPELT)} {ROWS.shape[1]}\n"
    if form in {"binary", "binary without newlines"}:
        end = b"\n" if form == "binary" else b""
        words = [word.replace(" ", "_").encode() + b" " for word in SPELT]
        rows = [word + row.tobytes() + end for word, row in zip(words, ROWS, strict=True)]
        file.write_bytes(header.encode() + b"".join(rows))
        return file
    tail = " \n" if form == ".vec" else "\n"
    lines = "".join(line + tail for line in text_lines())
    file.write_text(("" if form == "glove" else header) + lines, encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small fastText model, as Facebook's program saves them."""
    from gensim.models import FastText
    from gensim.models.fasttext import save_facebook_model

    texts = [["mill", "stone", "grain"], ["stone", "wheel", "naïve"]] * 20
    made = FastText(texts, vector_size=6, min_count=1, bucket=50, min_n=3, max_n=5, workers=1)
    file = tmp_path_factory.mktemp("fasttext") / "model.bin"
    save_facebook_model(made, str(file))
    return file


@pytest.mark.parametrize(
    "form", ["binary", "binary without newlines", "text with header", "glove", ".vec"]
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_is_found_by_looking(tmp_path: Path, form: str, *, packed: bool) -> None:
    file = save(tmp_path / "vectors", form)
    if packed:
        file.write_bytes(gzip.compress(file.read_bytes()))
    table = read(file)
    spelt = SPELT if "binary" not in form else tuple(word.replace(" ", "_") for word in SPELT)
    assert tuple(table.words) == spelt
    np.testing.assert_array_equal(table.vectors, ROWS)
    few = read(file, limit=3)
    assert tuple(few.words) == spelt[:3]
    np.testing.assert_array_equal(few.vectors, ROWS[:3])


# gensim leaves a file open where it looks twice
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")
@pytest.mark.parametrize("form", ["binary", "text with header", "glove"])
def test_what_is_read_is_what_gensim_reads(tmp_path: Path, form: str) -> None:
    from gensim.models import KeyedVectors

    file = save(tmp_path / "vectors", form)
    text = file.read_bytes().replace(b". . .", b"...") if form != "binary" else file.read_bytes()
    file.write_bytes(text)
    theirs = KeyedVectors.load_word2vec_format(
        str(file), binary=form == "binary", no_header=form == "glove"
    )
    ours = read(file)
    assert list(ours.words) == theirs.index_to_key
    np.testing.assert_array_equal(ours.vectors, theirs.vectors)


def test_a_binary_file_may_begin_with_any_byte(tmp_path: Path) -> None:
    file = tmp_path / "vectors"
    for first in range(256):
        number = struct.pack("<I", 0x3F000000 | first)
        file.write_bytes(b"2 2\na " + number * 2 + b"\nb " + number * 2 + b"\n")
        assert tuple(read(file).words) == ("a", "b"), first
        assert float(read(file).vectors[1, 1]) == struct.unpack("<f", number)[0]


def test_a_binary_file_takes_little_more_memory_than_its_size(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((20_000, 100)).astype(np.float32)
    file = tmp_path / "vectors"
    words = (b"w%d " % at + row.tobytes() + b"\n" for at, row in enumerate(rows))
    file.write_bytes(b"20000 100\n" + b"".join(words))
    tracemalloc.start()
    try:
        table = read(file)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(table.vectors, rows)
    assert table.words[-1] == "w19999"
    assert peak < 5 * file.stat().st_size


@pytest.mark.parametrize("packed", [False, True])
def test_a_fasttext_model_brings_its_subwords(tmp_path: Path, model: Path, *, packed: bool) -> None:
    from gensim.models.fasttext import load_facebook_vectors

    file = tmp_path / "renamed"
    file.write_bytes(gzip.compress(model.read_bytes()) if packed else model.read_bytes())
    ours, theirs = read(file), load_facebook_vectors(str(model))
    assert list(ours.words) == theirs.index_to_key
    np.testing.assert_array_equal(ours.vectors, theirs.vectors)
    for word in (*MISSPELT, "a"):
        np.testing.assert_allclose(composed(ours, word), theirs[word], rtol=1e-5)
    few = read(file, limit=2)
    assert len(few.words) == 2
    assert few.word(theirs.index_to_key[3]) is not None


def composed(table: Table, word: str) -> NDArray[np.float32]:
    assert word not in table.words
    found = table.word(word)
    assert found is not None
    return found


def test_a_word_that_comes_twice_counts_once(tmp_path: Path) -> None:
    file = tmp_path / "vectors"
    file.write_text("a 1 2\nb 3 4\na 5 6\n")
    assert tuple(read(file).words) == ("a", "b")
    np.testing.assert_array_equal(read(file).vectors, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "has 0 words, expected some"),
        ("5 3\n", "has 0 words, expected 5"),
        ("3 2\na 1 2\nb 3 4\n", "has 2 words, expected 3; it is cut off"),
        ("a 1 2\nb 3\n", r"line 2 of .* is 'b 3': expected a word and 2 numbers"),
        (
            "2 2\na 1 2\nb 3 x\n",
            r"line 3 of .* is 'b 3 x': could not convert string to float: b'x'",
        ),
        ("a 1 2\nb 1 nan\n", "line 2 of .* holds NaN, infinity or a number too large"),
        ("a 1 2\nb 1 1e99\n", "line 2 of .* holds NaN, infinity or a number too large"),
        ("just a page of words\n", "line 1 of .* is 'just a page of words': could not convert"),
        ("word\n", "line 1 of .* is 'word': expected a word and its numbers"),
        ("a 1 2\n" + "b" * 100 + "\n", "line 2 of .* is 'b{60}…'"),
    ],
)
def test_a_broken_text_is_told_by_its_line(tmp_path: Path, content: str, told: str) -> None:
    file = tmp_path / "vectors"
    file.write_text(content)
    with pytest.raises(EncoderError, match=told):
        read(file)


def test_a_broken_binary_is_told_by_its_word(tmp_path: Path) -> None:
    file = save(tmp_path / "vectors", "binary")
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    with pytest.raises(EncoderError, match="breaks off in word 8 of the 8 of 5 numbers that"):
        read(file)
    file.write_bytes(whole.replace(ROWS[2].tobytes(), b"\xff" * 20))
    with pytest.raises(EncoderError, match=r"word 3 \('e-mail'\) of .* holds NaN"):
        read(file)
    file.write_bytes(b"999999999999 300\n" + whole[4:])
    with pytest.raises(EncoderError, match="breaks off in word 1 of the 999999999999 of 300"):
        read(file)
    file.write_bytes(b"0 1\na \xff\xff\xff\x3f")
    with pytest.raises(EncoderError, match="promises 0 words of 1 numbers"):
        read(file)


def test_a_broken_gzip_is_told(tmp_path: Path) -> None:
    file = tmp_path / "vectors.gz"
    packed = gzip.compress(save(tmp_path / "plain", "glove").read_bytes())
    for broken in (packed[:-20], packed[:40] + b"\0" * 20 + packed[60:]):
        file.write_bytes(broken)
        with pytest.raises(EncoderError, match="is a gzip file that breaks off or is damaged"):
            read(file)


def test_a_broken_fasttext_model_is_told(tmp_path: Path, model: Path) -> None:
    whole = model.read_bytes()
    file = tmp_path / "model.bin"
    cases = {
        whole[:40]: "begins as a fastText model but breaks off after 40 bytes",
        whole[:110]: "breaks off among its 5 words",
        whole[:400]: r"has 400 bytes, expected at least \d+ for 5 words and 50 buckets of 6",
    }
    for content, told in cases.items():
        file.write_bytes(content)
        with pytest.raises(EncoderError, match=told):
            read(file)
    labels = struct.calcsize("<2i12id2i")
    file.write_bytes(whole[:labels] + struct.pack("<i", 4) + whole[labels + 4 :])
    with pytest.raises(EncoderError, match="is a fastText classifier of 4 labels"):
        read(file)


@pytest.mark.parametrize(
    ("part", "told"),
    [("vectors_vocab", "the table of words of .* holds NaN"),
     ("vectors_ngrams", "the table of subwords of .* holds NaN")],
)  # fmt: skip
def test_a_fasttext_model_of_broken_numbers_is_told(tmp_path: Path, part: str, told: str) -> None:
    from gensim.models import FastText
    from gensim.models.fasttext import save_facebook_model

    made = FastText([["mill"]] * 9, vector_size=4, min_count=1, bucket=50, workers=1, epochs=1)
    unused = set(range(50)) - set(made.wv.buckets_word[0].tolist())
    row = 0 if part == "vectors_vocab" else min(unused)
    getattr(made.wv, part)[row, 1] = np.inf
    save_facebook_model(made, str(tmp_path / "model.bin"))
    with pytest.raises(EncoderError, match=told):
        read(tmp_path / "model.bin")


def test_a_file_that_is_not_there_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    for place in (str(tmp_path / "none.bin"), "glove.6B.300d", str(tmp_path)):
        with pytest.raises(EncoderUsageError, match="is no file here; expected the path of word"):
            word2vec.build(word2vec.Params(vectors=place))


def test_any_kind_reads_any_format(tmp_path: Path, model: Path) -> None:
    glove = save(tmp_path / "glove.txt", "glove")
    encoder = fasttext.build(fasttext.Params(vectors=str(glove)))
    assert encoder.word("millstones") is None
    encoder = word2vec.build(word2vec.Params(vectors=str(model)))
    assert encoder.word("millstones") is not None
