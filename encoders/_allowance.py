"""Tokens: estimated before a request, counted after it, and limited by run."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from encoders.base import EncoderUsageError
from encoders.metering import EncodingStoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BYTES_PER_TOKEN = 4
"""Of UTF-8. English news come to 4.5 with the word pieces of BERT, so that this errs to the safe
side; texts in other scripts may have more tokens than it says."""


def count_tokens(texts: Sequence[str], tokenizer: str | None) -> list[int]:
    """The tokens of each text: by a tokenizer, or estimated as a quarter of its bytes, and one."""
    if tokenizer is None:
        lengths = [len(text.encode("utf-8", "replace")) for text in texts]
        return [length // BYTES_PER_TOKEN + 1 for length in lengths]
    found = _tokenizer(tokenizer).encode_batch(list(texts))
    return [max(1, len(one.ids)) for one in found]


@lru_cache(maxsize=4)
def _tokenizer(place: str) -> Any:  # noqa: ANN401 - a tokenizers.Tokenizer, imported when needed
    from tokenizers import Tokenizer

    file = Path(place).expanduser()
    file = file / "tokenizer.json" if file.is_dir() else file
    if not file.is_file():
        raise EncoderUsageError(
            f"tokenizer = {place!r} is not there; expected a tokenizer.json, or a model's folder "
            "that holds one. Without the key, tokens are estimated"
        )
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


@dataclass
class Spending:
    """One request under way.

    Attributes:
        tokens: that it came to; as estimated, until something better is known. One that had no
            answer may be paid for all the same.
        sent: whether any of it left this machine; else it is neither counted nor paid for.
    """

    tokens: int
    sent: bool = False


class Tally:
    """Requests and tokens, counted by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests = 0
        self.tokens = 0

    def add(self, tokens: int) -> None:
        """Count a request."""
        with self._lock:
            self.requests += 1
            self.tokens += tokens


class Allowance:
    """The tokens that one run may use.

    Estimates are scaled by what the endpoint has reported for earlier ones, where that was more.

    Attributes:
        limit: of tokens; None for any number.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._change = threading.Condition()
        self._spent = 0
        self._reserved = 0
        self._estimated = 0
        self._reported = 0

    @contextmanager
    def spend(self, estimate: int, tally: Tally) -> Iterator[Spending]:
        """Take tokens for a request, and put down in the end what it came to, in a tally too.

        Raises:
            EncodingStoppedError: if the request would go beyond the limit.
        """
        reserved = self._reserve(estimate)
        spending = Spending(reserved)
        try:
            yield spending
        finally:
            spent = spending.tokens if spending.sent else 0
            if spending.sent:
                tally.add(spent)
            with self._change:
                self._reserved -= reserved
                self._spent += spent
                self._change.notify_all()

    def learn(self, estimate: int, reported: int) -> None:
        """Hear what a request came to that had been estimated."""
        with self._change:
            self._estimated += estimate
            self._reported += reported

    def _reserve(self, estimate: int) -> int:
        with self._change:
            while True:
                tokens = -(-estimate * max(self._reported, self._estimated, 1)
                           // max(self._estimated, 1))  # fmt: skip
                if self.limit is None or self._spent + self._reserved + tokens <= self.limit:
                    self._reserved += tokens
                    return tokens
                # Requests under way may come to less than was set aside for them.
                if not self._reserved or self._spent + tokens > self.limit:
                    raise EncodingStoppedError(
                        f"this run has used {self._spent:,} tokens, and the next request of about "
                        f"{tokens:,} would exceed max_tokens_per_run = {self.limit:,}; what was "
                        "encoded is kept. Run again to go on, or raise the limit"
                    )
                self._change.wait()
