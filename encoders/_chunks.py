"""Where long texts are cut: into windows of so many tokens that overlap, between words.

`windows` is pure: it sees the places of tokens alone. `Cutter` asks a tokenizer for them, and
counts again what it has cut: a word cut in two may come to more tokens than it had as a whole.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from encoders.base import EncoderUsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

REVISION = 1
"""Raised whenever a text would be cut elsewhere than before; part of recipes."""

Span = tuple[int, int]

# Kana and Han are written without spaces: there a word may end after any character.
_UNSPACED = (("\u3040", "\u30ff"), ("\u3400", "\u9fff"), ("\uf900", "\ufaff"))


@dataclass(frozen=True)
class Chunk:
    """The keys of ``chunk = {...}``.

    Attributes:
        tokens: of a window at most, as its encoder counts them: special ones and the prompt, too.
        overlap: so many tokens of a window at most are in the next one as well.
        pool: how the vectors of the windows become one vector a record; without it each window
            becomes a row of its own.
    """

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    tokens: int
    overlap: int = 0
    pool: Literal["mean", "max"] | None = None

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise ValueError(f"chunk tokens must be at least 1, got {self.tokens}")
        if not 0 <= self.overlap < self.tokens:
            raise ValueError(
                f"chunk overlap must be 0 or more and less than tokens = {self.tokens}, got "
                f"{self.overlap}"
            )


class Unit(NamedTuple):
    """A stretch of characters that is never cut, and its number of tokens."""

    start: int
    end: int
    tokens: int


def units(text: str, offsets: Sequence[Span]) -> list[Unit]:
    """What a text may be cut into at most: its tokens, those that share a character together.

    Args:
        text: the text.
        offsets: of its tokens in order, in characters.

    Returns:
        Units that leave out nothing but white space: what a tokenizer drops belongs to the unit
        before it. Tokens of white space alone count to their neighbour.
    """
    found: list[Unit] = []
    spare = 0
    for start, end in offsets:
        inside = text[start:end]
        start += len(inside) - len(inside.lstrip())  # noqa: PLW2901 - its place without white space
        if start >= end:
            spare += 1
            continue
        if found and start < found[-1].end:
            before = found.pop()
            found.append(Unit(before.start, max(before.end, end), before.tokens + 1 + spare))
        else:
            found.append(Unit(start, end, 1 + spare))
        spare = 0
    if not found:
        return []
    starts = [len(text) - len(text.lstrip()), *(unit.start for unit in found[1:]), len(text)]
    counts = [unit.tokens for unit in found]
    counts[-1] += spare
    return [
        Unit(start, start + len(text[start:after].rstrip()), n)
        for start, after, n in zip(starts, starts[1:], counts, strict=False)
    ]


def windows(
    text: str,
    parts: Sequence[Unit],
    size: int,
    overlap: int,
    fits: Callable[[str], bool] = lambda _: True,
) -> list[Span]:
    """Cover a text with spans of at most `size` tokens, cut between words where that can be.

    Args:
        text: the text.
        parts: its `units`.
        size: tokens a span at most; a single unit that has more stands alone, and so does a text
            of white space, of which an encoder may leave out the end.
        overlap: tokens at most that neighbours share; fewer where a word would be cut.
        fits: whether a span, counted anew, really has no more than `size` tokens.

    Returns:
        At least one span, that of an empty text empty; each ends beyond the one before it.
    """
    if not parts:
        return [(0, len(text))]
    total = [0]
    for part in parts:
        total.append(total[-1] + part.tokens)
    free = [_between_words(text, part.start) for part in parts] + [True]
    spans: list[Span] = []
    start = done = 0
    while done < len(parts):
        end = done + 1
        while end < len(parts) and total[end + 1] - total[start] <= size:
            end += 1
        end = next((at for at in range(end, done, -1) if free[at]), end)
        while not fits(text[parts[start].start : parts[end - 1].end]):
            if end - 1 > done:
                end -= 1
            elif start < end - 1:
                start += 1
            else:
                break
        spans.append((parts[start].start, parts[end - 1].end))
        start, done = _next_start(total, free, (start, end), size, overlap), end
    return spans


def _next_start(
    total: Sequence[int], free: Sequence[bool], last: Span, size: int, overlap: int
) -> int:
    """Where the window after `last` begins: before its end, but so that the next word fits in."""
    start, end = last
    if end == len(total) - 1:
        return end
    word = next(at for at in range(end + 1, len(free)) if free[at])
    # A word that no window holds is cut anyhow.
    needed = total[word] if total[word] - total[end] <= size else total[end + 1]
    least = max(total[end] - overlap, needed - size)
    may = [at for at in range(start + 1, end) if total[at] >= least]
    return next((at for at in may if free[at]), end if free[end] or not may else may[0])


def _between_words(text: str, at: int) -> bool:
    before, after = text[max(at - 1, 0) : at], text[at : at + 1]
    return not before or before.isspace() or _unspaced(before) or _unspaced(after)


def _unspaced(char: str) -> bool:
    return any(low <= char <= high for low, high in _UNSPACED)


class Cutter:
    """Cuts texts by the tokens of a ``tokenizers.Tokenizer``; an `encoders.base.Splitter`.

    Raises:
        EncoderUsageError: if the windows leave no room beside the prompt and special tokens.
    """

    def __init__(self, tokenizer: Any, chunk: Chunk, prompt: str = "") -> None:  # noqa: ANN401 - imported when needed
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer, self._chunk, self._prompt = tokenizer, chunk, prompt
        self._lock = threading.Lock()
        self._taken = taken = self._counts([""])[0]
        self._room = chunk.tokens - taken
        if self._room <= chunk.overlap:
            raise EncoderUsageError(
                f"chunk = {{tokens = {chunk.tokens}, overlap = {chunk.overlap}}} leaves no room: "
                f"the prompt and special tokens take {taken} of the tokens; set tokens to more "
                f"than {taken + chunk.overlap}, or a smaller overlap"
            )

    def __call__(self, texts: Sequence[str]) -> list[list[Span]]:
        """The chunks of each text, as spans of characters."""
        return [spans for spans, _ in self.weighed(texts)]

    def weighed(self, texts: Sequence[str]) -> list[tuple[list[Span], list[int]]]:
        """The chunks of each text, and how many tokens of its own each has."""
        with self._lock:
            encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
            return [
                self._cut(text, units(text, found.offsets), len(found.ids))
                for text, found in zip(texts, encoded, strict=True)
            ]

    def _cut(self, text: str, parts: list[Unit], tokens: int) -> tuple[list[Span], list[int]]:
        if tokens <= self._room and not self._prompt:
            return [(0, len(text))], [tokens]
        spans = windows(text, parts, self._room, self._chunk.overlap)
        counts = self._counts([text[a:b] for a, b in spans])
        if max(counts) > self._chunk.tokens:
            spans = windows(text, parts, self._room, self._chunk.overlap, self._fits)
            counts = self._counts([text[a:b] for a, b in spans])
        return spans, [n - self._taken for n in counts]

    def _fits(self, text: str) -> bool:
        return self._counts([text])[0] <= self._chunk.tokens

    def _counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens as the encoder counts them."""
        found = self._tokenizer.encode_batch_fast([self._prompt + text for text in texts])
        return [len(one.ids) for one in found]
