"""Where texts are cut: windows within their limit, that leave out nothing and cut no word."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

from encoders._chunks import Chunk, Cutter, Unit, units, windows
from encoders.base import EncoderUsageError
from tests.encoders.samples import WORDS

if TYPE_CHECKING:
    from collections.abc import Sequence


UNKNOWN = "[UNK]"


def of_words() -> Tokenizer:
    """A token a word or mark, with two special ones around."""
    vocabulary = {word: at for at, word in enumerate([UNKNOWN, "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=special
    )
    return tokenizer


def of_pieces() -> Tokenizer:
    """Word pieces of up to two letters: half a word may have more of them than its share."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    pairs = [a + b for a in letters for b in letters[::2]]
    pieces = [UNKNOWN, *letters, *(f"##{x}" for x in letters), *(f"##{p}" for p in pairs), "日"]
    vocabulary = {piece: at for at, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def of_bytes() -> Tokenizer:
    """A token a byte, white space and all: several share a character."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({char: at for at, char in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\s?\S+"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return tokenizer


MAKERS: dict[str, Any] = {"words": of_words, "pieces": of_pieces, "bytes": of_bytes}
TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            [*WORDS, " ", "  ", "\n\n", "\t", "日本語", "🙂👩‍👧", "\x00", "e\u0301", "don't"]
        ),
        st.text("abcdxyz", min_size=1, max_size=30),
        st.text(max_size=4),
    ),
    max_size=60,
).flatmap(lambda parts: st.sampled_from(["", " "]).map(lambda joint: joint.join(parts)))


def counts(tokenizer: Tokenizer, texts: Sequence[str], prompt: str = "") -> list[int]:
    return [len(found.ids) for found in tokenizer.encode_batch([prompt + t for t in texts])]


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("prompt", ["", "the cat: "])
@settings(max_examples=30, deadline=None)
@given(text=TEXTS, room=st.integers(4, 20), overlap=st.integers(0, 12))
@example(text=" " * 30, room=4, overlap=0)
def test_every_text_is_covered_within_the_limit(
    name: str, prompt: str, text: str, room: int, overlap: int
) -> None:
    tokenizer = MAKERS[name]()
    tokens = room + counts(tokenizer, [""], prompt)[0]
    overlap = min(overlap, room - 1)
    spans = Cutter(tokenizer, Chunk(tokens, overlap), prompt)([text])[0]
    covered = {at for start, end in spans for at in range(start, end)}
    assert all(text[at].isspace() for at in set(range(len(text))) - covered)
    assert spans == sorted(spans)
    assert all(before < after for (_, before), (_, after) in pairwise(spans)), "one too many"
    lengths = counts(tokenizer, [text[start:end] for start, end in spans], prompt)
    for span, length in zip(spans, lengths, strict=True):
        assert length <= tokens or not text.strip() or _is_unit(tokenizer, text, span)


def _is_unit(tokenizer: Tokenizer, text: str, span: tuple[int, int]) -> bool:
    offsets = tokenizer.encode(text, add_special_tokens=False).offsets
    return span in {(unit.start, unit.end) for unit in units(text, offsets)}


@settings(max_examples=100, deadline=None)
@given(
    words=st.lists(st.sampled_from(WORDS), max_size=80),
    size=st.integers(2, 20),
    overlap=st.integers(0, 19),
)
def test_neighbours_share_what_was_asked_for(words: list[str], size: int, overlap: int) -> None:
    text, overlap = " ".join(words), min(overlap, size - 1)
    places = [found.span() for found in re.finditer(r"\S+", text)]
    spans = windows(text, units(text, places), size, overlap)
    lengths = [len(text[a:b].split()) for a, b in spans]
    assert all(n == size for n in lengths[:-1])
    for (_, end), (start, _) in pairwise(spans):
        assert len(text[start:end].split()) == overlap


@given(text=st.text("ab ", max_size=120), size=st.integers(1, 9), overlap=st.integers(0, 8))
def test_words_that_fit_are_never_cut(text: str, size: int, overlap: int) -> None:
    """Every letter is a token here."""
    overlap = min(overlap, size - 1)
    letters = [(at, at + 1) for at in range(len(text)) if not text[at].isspace()]
    spans = windows(text, units(text, letters), size, overlap)
    for start, end in spans:
        assert sum(not char.isspace() for char in text[start:end]) <= size
    for word in re.finditer(r"\S+", text):
        if len(word[0]) <= size:
            assert any(a <= word.start() and word.end() <= b for a, b in spans)
            starts, ends = {a for a, _ in spans}, {b for _, b in spans}
            inside = set(range(word.start() + 1, word.end()))
            assert not inside & starts
            assert not inside & ends


def test_scripts_without_spaces_are_cut_between_characters() -> None:
    text = "日本語" * 4
    spans = windows(text, units(text, [(at, at + 1) for at in range(12)]), 5, 2)
    assert spans == [(0, 5), (3, 8), (6, 11), (9, 12)]


def test_an_empty_text_has_one_empty_chunk() -> None:
    cutter = Cutter(of_words(), Chunk(8))
    assert cutter(["", "  ", "a cat"]) == [[(0, 0)], [(0, 2)], [(0, 5)]]
    assert cutter([]) == []


def test_what_a_tokenizer_drops_goes_with_its_neighbour() -> None:
    assert units(" a\u0301\x00 b\x00 ", [(1, 2), (5, 6)]) == [Unit(1, 4, 1), Unit(5, 7, 1)]


def test_tokens_of_one_character_stay_together() -> None:
    assert units("🙂a", [(0, 1), (0, 1), (0, 1), (1, 2)]) == [Unit(0, 1, 3), Unit(1, 2, 1)]


@pytest.mark.parametrize(
    ("tokens", "overlap", "message"),
    [
        (0, 0, "chunk tokens must be at least 1, got 0"),
        (8, 8, "chunk overlap must be 0 or more and less than tokens = 8, got 8"),
        (8, -1, "chunk overlap must be 0 or more .* got -1"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(tokens: int, overlap: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Chunk(tokens, overlap)


def test_windows_without_room_are_refused() -> None:
    with pytest.raises(EncoderUsageError, match=r"take 4 of the tokens; set tokens to more than 6"):
        Cutter(of_words(), Chunk(6, 2), "the cat ")
