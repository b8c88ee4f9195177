"""What a sentence model takes, made of tokens that are there already.

Texts are tokenised once to be counted. The library tokenises them again to cut and pad them, with
some Python around each batch; measured with MiniLM in bfloat16 on news items, both together took 3
to 4 % of an encoder's time. Whether cutting and padding by hand gives what the library gives is
tried for each model, and where it does not the library does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders._device import moved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from numpy.typing import NDArray

_NEEDED, _PERHAPS = {"input_ids", "attention_mask"}, "token_type_ids"
_TAILS = range(4)
"""Special tokens that may stand behind a text, and stay when it is cut."""

_ROOM = 24


@dataclass(frozen=True)
class Features:
    """Cuts and pads tokens as one model's own preprocessing does.

    Attributes:
        nothing: the token of padding.
        left: whether padding comes first.
        tail: how many special tokens stand behind a text.
        typed: whether the model takes ``token_type_ids``, which are all 0.
        constant: what else it is given, the same for all texts.
    """

    nothing: int
    left: bool
    tail: int
    typed: bool
    constant: Mapping[str, Any]

    @classmethod
    def of(cls, model: Any, prompt: str) -> Features | None:  # noqa: ANN401 - the library ships no types
        """For texts with a prompt before them; None where a model's preprocessing does more.

        Args:
            model: a `SentenceTransformer` that pads.
            prompt: put before each text.
        """
        tokenizer = model.tokenizer
        probes = ["", "stone", _long(tokenizer)]
        tokens = tokenizer(
            [prompt + text for text in probes], truncation=False, padding=False, verbose=False
        )["input_ids"]
        room = min(_ROOM + len(tokens[0]), int(model.max_seq_length))
        expected = by_library(model, probes, prompt, room)
        constant = {key: each for key, each in expected.items() if not hasattr(each, "shape")}
        left, typed = tokenizer.padding_side == "left", _PERHAPS in expected
        for tail in _TAILS:
            found = cls(int(tokenizer.pad_token_id), left, tail, typed, constant)
            if _same(found.made(tokens, room), expected):
                return found
        return None

    def made(self, tokens: Sequence[Sequence[int]], length: int) -> dict[str, Any]:
        """What the model takes of texts: ``(n, length)`` int64 of each kind."""
        import torch

        ids = np.full((len(tokens), length), self.nothing, np.int64)
        mask = np.zeros_like(ids)
        for row, own in enumerate(tokens):
            kept = self._cut(own, length)
            places = slice(length - len(kept), length) if self.left else slice(len(kept))
            ids[row, places], mask[row, places] = kept, 1
        given: dict[str, Any] = {
            "input_ids": torch.from_numpy(ids),
            "attention_mask": torch.from_numpy(mask),
        }
        if self.typed:
            given[_PERHAPS] = torch.zeros_like(given["input_ids"])
        return {**given, **self.constant}

    def _cut(self, tokens: Sequence[int], length: int) -> Sequence[int]:
        if len(tokens) <= length:
            return tokens
        behind = len(tokens) - self.tail
        return [*tokens[: length - self.tail], *tokens[behind:]]


def _long(tokenizer: Any) -> str:  # noqa: ANN401 - as above
    """A text that is longer than there is room, and no two cuts of it alike."""
    places = np.linspace(0, len(tokenizer) - 1, 4 * _ROOM).astype(int)
    return " ".join(tokenizer.convert_ids_to_tokens(places.tolist()))


def by_library(model: Any, texts: Sequence[str], prompt: str, length: int) -> dict[str, Any]:  # noqa: ANN401 - as above
    """The same of texts, by the model's own preprocessing."""
    padding = {"padding": "max_length", "max_length": length, "truncation": True}
    made: dict[str, Any] = model.preprocess(
        list(texts), prompt=prompt, processing_kwargs={"text": padding}
    )
    return dict(made)


def vectors(model: Any, given: Mapping[str, Any]) -> NDArray[np.float32]:  # noqa: ANN401 - as above
    """What a model makes of its input: ``(n, width)`` float32, as its modules leave them."""
    import torch

    with torch.inference_mode():
        found = model(moved(given, str(model.device)))["sentence_embedding"]
        rows: NDArray[np.float32] = found.float().cpu().numpy()
    return rows


def _same(found: Mapping[str, Any], expected: Mapping[str, Any]) -> bool:
    """Whether two are equal; what is no tensor has been taken over from the expected ones."""
    import torch

    tensors: dict[str, torch.Tensor] = {
        key: each for key, each in expected.items() if isinstance(each, torch.Tensor)
    }
    if not tensors.keys() >= _NEEDED or tensors.keys() - _NEEDED - {_PERHAPS}:
        return False
    return all(torch.equal(found[key], each) for key, each in tensors.items())
