"""Texts through a loaded sentence model: their tokens, and batches of like length.

What comes out is as the model gives it; `encoders.sentence` cuts and norms it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders import _cached, _shapes, _streams
from encoders._features import Features, vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


class Reader:
    """Reads texts by a model; several threads may call it at once.

    Args:
        model: a `SentenceTransformer`.
        batch_size: texts that run through it at a time, at most.
        batch_tokens: tokens that do; None for what the device has room for.
        fixed: whether texts run in a few shapes, see `encoders._shapes`.
        streams: whether several threads may call the model at once.
    """

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - the library ships no types
        batch_size: int,
        batch_tokens: int | None,
        *,
        fixed: bool,
        streams: bool,
    ) -> None:
        self.model = model
        self.batch_size = batch_size
        self.streams = streams
        self._fixed = fixed
        self._budget = batch_tokens or self._room()
        # The tokenizer keeps its padding and truncation as its own state: a call at a time.
        self._lock = threading.Lock()
        self._read: tuple[list[str], list[list[int]]] = ([], [])
        self._features: dict[str, Features | None] = {}

    @property
    def limit(self) -> int | None:
        """Tokens that the model reads of a text at most; None for one that looks tokens up."""
        limit = self.model.max_seq_length
        return None if limit is None or not np.isfinite(limit) else int(limit)

    def lengths(self, texts: Sequence[str], prompt: str) -> list[int]:
        """How many tokens each text has, special ones and the prompt too, none cut off."""
        with self._lock:
            return [len(own) for own in self.tokens([prompt + text for text in texts])]

    def together(self, texts: Sequence[str], prompt: str) -> list[list[int]]:
        """The texts that run through the model together, by their places."""
        limit = self.limit
        if limit is None or self._fixed:
            return [[*range(len(texts))]]
        read = [min(length, limit) for length in self.lengths(texts, prompt)]
        return [*_cached.parts(read, self.batch_size, self._budget)]

    def embed(self, texts: Sequence[str], prompt: str, *, query: bool) -> NDArray[np.float32]:
        """The vectors of texts: ``(n, d)`` float32, as the model leaves them.

        Args:
            texts: as they are.
            prompt: put before each.
            query: whether they are what is searched for, which models may read otherwise.
        """
        limit = self.limit
        encode = self.model.encode_query if query else self.model.encode_document
        with self._lock:
            # One that knows no limit looks tokens up, and pads nothing.
            if limit is None or (self._budget is None and not self._fixed):
                return self._encoded(encode, texts, prompt, self.batch_size)
            tokens = self.tokens([prompt + text for text in texts])
            if self._fixed:
                made = self._made(prompt)
                streams = self.streams
                return _shapes.embed(self.model, texts, prompt, tokens, made, streams=streams)
            read = [min(len(own), limit) for own in tokens]
            parts = [*_cached.parts(read, self.batch_size, self._budget)]
            made = self._made(prompt) if self.streams else None

            def found(part: list[int]) -> NDArray[np.float32]:
                if made is None:
                    return self._encoded(encode, [texts[at] for at in part], prompt, len(part))
                longest = max(read[at] for at in part)
                return vectors(self.model, made.made([tokens[at] for at in part], longest))

            device = None if made is None else self.model.device.type
            rows = np.concatenate(_streams.mapped(found, parts, device))
        ordered = np.empty_like(rows)
        ordered[[at for part in parts for at in part]] = rows
        return ordered

    def tokens(self, texts: list[str]) -> list[list[int]]:
        """The tokens of each text, special ones too, none cut off; only while holding the lock.

        A run asks what was cut of the texts that it has just encoded: they are read once.
        """
        known, tokens = self._read
        if known != texts:
            found = self.model.tokenizer(
                texts, truncation=False, padding=False, return_attention_mask=False, verbose=False
            )
            tokens = found["input_ids"]
            self._read = (texts, tokens)
        return tokens

    def _encoded(
        self, encode: Callable[..., Any], texts: Sequence[str], prompt: str, rows: int
    ) -> NDArray[np.float32]:
        """What the library makes of texts, so many at a time."""
        found = encode(
            list(texts),
            prompt=prompt,
            batch_size=rows,
            show_progress_bar=False,
            convert_to_tensor=True,
        )
        vectors: NDArray[np.float32] = found.float().cpu().numpy()
        return vectors

    def _room(self) -> int | None:
        width = self.model.get_embedding_dimension() or _cached.WIDE
        return _cached.budget(str(self.model.device), int(width))

    def _made(self, prompt: str) -> Features | None:
        if prompt not in self._features:
            self._features[prompt] = Features.of(self.model, prompt)
        return self._features[prompt]
