"""What a sentence model makes of single words and tokens, and the table that comes of it.

The idea is that of Model2Vec (Tulkens and van Dongen 2024, MinishLab): run everything that the
tokenizer knows through the model once, reduce it by principal components, and weigh it by how
frequent it is. Here words of the user's own records are run through it as well, and frequencies
are theirs where they have enough. (model2vec's own distillation cannot be installed beside
transformers from 5.4 on.)
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from encoders.base import EncoderError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from encoders.learning import Watch

_PRIOR = 1e6
"""How many words of the records weigh as much as what the tokenizer's order tells of frequency."""

_LEAST_VARIANCE = 1e-10
"""Of the largest component's: what is below is rounding."""

_AT_ONCE = 512
_UNUSED = re.compile(r"\[unused\d+\]|<unused\d+>|<extra_id_\d+>")


@dataclass(frozen=True)
class Pieces:
    """A tokenizer (of the library ``tokenizers``) that neither pads, cuts, nor adds anything.

    Attributes:
        tokens: its tokens by id; None for those that stand for no text.
        before, after: the ids that the model wants around a text.
    """

    tokenizer: Any
    tokens: list[str | None]
    before: list[int]
    after: list[int]

    @classmethod
    def of(cls, model: Any, name: str) -> Pieces:  # noqa: ANN401 - the library ships no types
        """The tokenizer of a sentence-transformers model.

        Raises:
            EncoderError: if it is none that can be kept as JSON.
        """
        backend = getattr(model.tokenizer, "backend_tokenizer", None)
        if backend is None:
            raise EncoderError(
                f"the tokenizer of {name!r} is {type(model.tokenizer).__name__}, which cannot be "
                "kept beside a table of vectors; expected a model with a tokenizer.json"
            )
        special = set(model.tokenizer.all_special_ids)
        tokenizer = plain(backend.to_str())
        tokens = [
            None if at in special or token is None or _UNUSED.fullmatch(token) else token
            for at, token in enumerate(map(tokenizer.id_to_token, range(len(model.tokenizer))))
        ]
        around = tokenizer.encode("a", add_special_tokens=True)
        inside = [at for at, added in enumerate(around.special_tokens_mask) if not added]
        return cls(tokenizer, tokens, around.ids[: inside[0]], around.ids[inside[-1] + 1 :])

    def of_words(self, words: Sequence[str]) -> list[list[int]]:
        """The ids of the pieces of each word."""
        return [found.ids for found in self.tokenizer.encode_batch(list(words), **_BARE)]


_BARE = {"add_special_tokens": False}


def plain(text: str) -> Any:  # noqa: ANN401 - tokenizers ships its types as Any
    """A tokenizer from its JSON, without padding and truncation."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def readable(
    model: Any,  # noqa: ANN401 - as in Pieces.of
    pieces: Pieces,
    counts: Mapping[str, int],
) -> dict[str, int]:
    """The words that the model reads whole, and their counts.

    A list of numbers without spaces is one word, of more pieces than the model has places for.
    """
    most = math.inf if model.max_seq_length is None else model.max_seq_length
    most -= len(pieces.before) + len(pieces.after)
    many = zip(counts.items(), pieces.of_words(list(counts)), strict=True)
    return {word: count for (word, count), ids in many if len(ids) <= most}


def distil(
    model: Any,  # noqa: ANN401 - as in Pieces.of
    pieces: Pieces,
    counts: Mapping[str, int],
    *,
    sif: float,
    dim: int,
    watch: Watch,
) -> tuple[NDArray[np.float16], float]:
    """The table of vectors of words, then tokens.

    Args:
        model: the teacher, a sentence-transformers model.
        pieces: its tokenizer.
        counts: the words, and how often each stands in the records.
        sif: words much more frequent than this weigh little.
        dim: dimensions at most.
        watch: told of each word and token that is done.

    Returns:
        ``(words + tokens, at most dim)``, zeros for tokens that stand for no text; and the share
        of the variance that is kept.
    """
    import numpy as np

    known = np.array([token is not None for token in pieces.tokens])
    tokens = np.flatnonzero(known)
    of_words = pieces.of_words(list(counts))
    bodies = [*of_words, *([token] for token in tokens.tolist())]
    watch.stage("distil", len(bodies))
    found = outputs(model, [[*pieces.before, *body, *pieces.after] for body in bodies], watch)
    ranked = by_rank(known)
    # A word is no more frequent than the rarest of its pieces.
    prior = [min((ranked[piece] for piece in ids), default=0.0) for ids in of_words]
    seen = np.array([*counts.values(), *np.zeros(len(tokens))], np.float64)
    frequency = frequencies(seen, np.array([*prior, *ranked[tokens]]))
    table, kept = reduced(found, frequency, sif, dim)
    vectors = np.zeros((len(counts) + len(known), table.shape[1]), np.float16)
    vectors[: len(counts)] = table[: len(counts)]
    vectors[len(counts) + tokens] = table[len(counts) :]
    return vectors, kept


def outputs(
    model: Any,  # noqa: ANN401 - as in Pieces.of
    sequences: Sequence[Sequence[int]],
    watch: Watch,
) -> NDArray[np.float64]:
    """What the model gives for sequences of token ids: ``(n, width)``, not normalised.

    Only sequences of one length go together, so that none is padded.
    """
    import numpy as np
    import torch

    lengths = np.array([len(sequence) for sequence in sequences])
    order = np.argsort(lengths, kind="stable")
    cuts = np.flatnonzero(np.diff(lengths[order])) + 1
    found: dict[int, NDArray[np.float32]] = {}
    for same in np.split(order, cuts):
        for start in range(0, len(same), _AT_ONCE):
            rows = same[start : start + _AT_ONCE]
            ids = torch.tensor([list(sequences[row]) for row in rows], device=model.device)
            with torch.inference_mode():
                vectors = _pooled(model, ids).float().cpu().numpy()
            found.update(zip(rows.tolist(), vectors, strict=True))
            watch.advance(len(rows))
    return np.stack([found[row] for row in range(len(sequences))]).astype(np.float64)


def _pooled(model: Any, ids: Any) -> Any:  # noqa: ANN401 - as in Pieces.of
    """The output of the model's modules; lengths tell how sure it is, so none is normalised."""
    import torch

    features = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    for module in model:
        if type(module).__name__ != "Normalize":
            features = module(features)
    return features["sentence_embedding"]


def by_rank(known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How frequent tokens are, ``(n,)``, by Zipf's law over their order; 0 for those not known.

    Tokenizers list what they met most often first.
    """
    import numpy as np

    ranks = np.cumsum(known) + 1.0
    shares = np.where(known, 1 / ranks, 0.0)
    found: NDArray[np.float64] = shares / shares.sum()
    return found


def frequencies(counts: NDArray[np.float64], prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Frequencies of words in the records, drawn towards what was known of them before."""
    found: NDArray[np.float64] = (counts + _PRIOR * prior) / (counts.sum() + _PRIOR)
    return found


def reduced(
    vectors: NDArray[np.float64], frequency: NDArray[np.float64], sif: float, dim: int
) -> tuple[NDArray[np.float64], float]:
    """The table: principal components of the vectors, weighed by a / (a + frequency).

    The weights are those of smooth inverse frequency (Arora et al. 2017). They weigh the
    components too, so that these are the directions in which texts differ, not lists of words.

    Returns:
        ``(n, at most dim)`` and the share of the weighed variance that is kept.
    """
    import numpy as np

    weights = sif / (sif + frequency)
    shares = weights * frequency / (weights * frequency).sum()
    centred = vectors - shares @ vectors
    values, directions = np.linalg.eigh(centred.T @ (centred * shares[:, None]))
    dim = min(dim, int(np.count_nonzero(values > _LEAST_VARIANCE * values[-1])))
    kept = directions[:, ::-1][:, :dim]
    signs = np.sign(kept[np.abs(kept).argmax(axis=0), np.arange(kept.shape[1])])
    share = float(values[::-1][:dim].sum() / max(values.sum(), np.finfo(float).tiny))
    return centred @ (kept * signs) * weights[:, None], round(share, 6)
