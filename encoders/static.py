"""Texts as the mean of their words, each word's vector distilled from a sentence model.

A teacher encodes every token of its tokenizer and the words of a sample of the records once, by
themselves; from then on a text is looked up and added up, hundreds of times faster than the
teacher. See `encoders._distil`. What was distilled is kept with its tokenizer, so that encoding
needs the teacher no more.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, ClassVar, cast

from encoders import _distil, _hub, _words
from encoders._code import check_code
from encoders._libraries import majors
from encoders._ranges import check_count
from encoders._terms import by_frequency
from encoders.base import EncoderError, State, digest
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from encoders.base import Json, Metric, Modality

MODALITY: Modality = "text"
NESTED = True
PATHS = ("teacher",)
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "static"``.

    Attributes:
        teacher: a sentence-transformers model, by folder or by name on the hub.
        revision: of the teacher: a commit, tag or branch on the hub.
        dim: how many principal components are kept at most; the teacher's width where it has less.
        words: how many words of the records get a vector of their own, the most frequent ones
            that the teacher reads whole; the others are put together from the tokenizer's pieces.
        sif: words much more frequent than this share of all weigh little.
        lowercase: read texts in lower case; off for teachers that tell capitals apart.
        device: where the teacher runs: ``auto`` (CUDA where there is one), or any of torch's.
        batch_size: texts encoded at a time.

    Raises:
        ValueError: if a value is out of its range.
    """

    teacher: str = _hub.MINILM
    revision: str | None = None
    dim: int = 256
    words: int = 20_000
    sif: float = 3e-4
    lowercase: bool = True
    device: str = "auto"
    batch_size: int = 4096

    def __post_init__(self) -> None:
        for name, least in (("dim", 1), ("words", 0), ("batch_size", 1)):
            check_count(name, getattr(self, name), least)
        if not 0 < self.sif < 1:
            raise ValueError(f"sif must be between 0 and 1, got {self.sif}")


class _Learned:
    """A table of words, then tokens: ``vectors (words + tokens, dim)``."""

    def __init__(self, state: State) -> None:
        import numpy as np

        self.state = state
        self.digest = digest(state)
        self.words = cast("list[str]", state.meta["words"])
        self.index = {word: row for row, word in enumerate(self.words)}
        self.vectors: NDArray[np.float32] = state.arrays["vectors"].astype(np.float32)
        self.tokenizer = _distil.plain(cast("str", state.meta["tokenizer"]))


class Static:
    """Texts to ``(n, dim)`` float32 of L2 norm 1; zeros for a text without any word."""

    modality: ClassVar[Modality] = "text"
    metric: Metric = "cosine"
    fit_size = 20_000

    def __init__(self, params: Params) -> None:
        self.params = params
        self.batch_size = params.batch_size
        self._learned: _Learned | None = None

    @property
    def dim(self) -> int:
        """The width of the vectors.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        return int(self._known().vectors.shape[1])

    @property
    def fitted(self) -> bool:
        """Whether `fit` or `restore` has been called."""
        return self._learned is not None

    def fit(self, sample: Sequence[str], rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Let the teacher encode the sample's words, and the tokens, each by itself.

        Raises:
            EncoderError: if the teacher is not to be had, or has no tokenizer that can be kept.
        """
        from encoders._sentence_model import load

        del rng  # nothing here is left to chance
        counts: Counter[str] = Counter()
        for text in sample:
            counts.update(self._split(text))
        teacher = self._teacher()
        model = load(teacher, self.params.teacher, "float32", self.params.device, False)  # noqa: FBT003 - as it is declared
        pieces = _distil.Pieces.of(model, self.params.teacher)
        chosen = _distil.readable(model, pieces, dict(by_frequency(counts)[: self.params.words]))
        vectors, kept = _distil.distil(
            model, pieces, chosen, sif=self.params.sif, dim=self.params.dim, watch=watch
        )
        total = counts.total()
        figures: dict[str, Json] = {
            "texts": len(sample),
            "words_seen": len(counts),
            "vocabulary": len(chosen),
            "covered": round(sum(chosen.values()) / total, 6) if total else 0.0,
            "tokens": sum(token is not None for token in pieces.tokens),
            "dim": vectors.shape[1],
            "kept_variance": kept,
        }
        meta: dict[str, Json] = {
            "kind": "static",
            "teacher": dict(_hub.digest_files(teacher)),
            "tokenizer": pieces.tokenizer.to_str(),
            "words": cast("list[Json]", list(chosen)),
            "figures": figures,
        }
        self._learned = _Learned(State({"vectors": vectors}, meta))

    def state(self) -> State:
        """What was distilled: ``vectors (words + tokens, dim)`` float16, and the tokenizer.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        return _copy(self._known().state)

    def restore(self, state: State) -> None:
        """Take over a state; the teacher need not be here.

        Raises:
            EncoderError: if it is not that of a static encoder.
        """
        if state.meta.get("kind") != "static" or set(state.arrays) != {"vectors"}:
            raise EncoderError(
                f"this is not the state of a static encoder: got {state.meta.get('kind')} with "
                f"arrays {sorted(state.arrays)}, expected static with vectors"
            )
        learned = _Learned(_copy(state))
        rows = len(learned.words) + learned.tokenizer.get_vocab_size()
        if len(learned.vectors) != rows:
            raise EncoderError(
                f"the state does not fit together: {rows} words and tokens, and vectors of shape "
                f"{learned.vectors.shape}: fit again"
            )
        self._learned = learned

    def recipe(self) -> dict[str, Json]:
        """Kind, revisions, parameters, the teacher's files, and the digest of what was distilled.

        Raises:
            EncoderError: before `fit` or `restore`, if the teacher is nowhere to be had.
        """
        known = self._learned
        return {
            "kind": "static",
            "code": REVISION,
            "words": _words.REVISION,
            "params": {
                "dim": self.params.dim,
                "words": self.params.words,
                "sif": self.params.sif,
                "lowercase": self.params.lowercase,
            },
            "teacher": known.state.meta["teacher"]
            if known
            else dict(_hub.digest_files(self._teacher())),
            "state": known.digest if known else None,
            "libraries": majors("sentence-transformers", "tokenizers", "transformers"),
        }

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts: ``(n, dim)`` float32, L2 norm 1, or 0 for a text without any word.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        import numpy as np
        from scipy.sparse import csr_matrix
        from sklearn.preprocessing import normalize

        known = self._known()
        if len(batch) == 0:
            return np.empty((0, self.dim), np.float32)
        texts = [self._split(text) for text in batch]
        rows = _rows(known, texts)
        columns = [list(chain.from_iterable(rows[word] for word in words)) for words in texts]
        ends = np.cumsum([0, *map(len, columns)])
        flat = np.fromiter(chain.from_iterable(columns), np.int64, ends[-1])
        counts = csr_matrix(
            (np.ones(len(flat), np.float32), flat, ends), (len(batch), len(known.vectors))
        )
        unit: NDArray[np.float32] = normalize(np.asarray(counts @ known.vectors), copy=False)
        return unit

    def vocabulary(self) -> tuple[Sequence[str], NDArray[np.float32]]:
        """The words of the records, most frequent first, and their vectors ``(v, dim)``."""
        words = self._known().words
        return words, self.encode(words)

    def word(self, word: str) -> NDArray[np.float32] | None:
        """The vector ``(dim,)`` of a word, put together from pieces where it is not in the table.

        None where it is no word, or of pieces that the teacher does not know.
        """
        found: NDArray[np.float32] = self.encode([word])[0]
        return found if found.any() else None

    def _split(self, text: str) -> list[str]:
        return _words.words(text, lowercase=self.params.lowercase)

    def _known(self) -> _Learned:
        if self._learned is None:
            raise EncoderError("static has distilled no words yet: call fit or restore first")
        return self._learned

    def _teacher(self) -> Path:
        folder = _hub.locate(self.params.teacher, self.params.revision)
        check_code(folder, trusted=False)
        return folder


def _rows(known: _Learned, texts: Sequence[Sequence[str]]) -> dict[str, list[int]]:
    """The rows of the table that each word of the texts is made of."""
    words = set(chain.from_iterable(texts))
    others = [word for word in words if word not in known.index]
    pieces = known.tokenizer.encode_batch(others, add_special_tokens=False)
    first = len(known.words)
    rows = {word: [known.index[word]] for word in words if word in known.index}
    return rows | {
        word: [first + piece for piece in found.ids]
        for word, found in zip(others, pieces, strict=True)
    }


def _copy(state: State) -> State:
    """So that a caller who writes into the arrays of a state does not change the encoder."""
    return State({name: array.copy() for name, array in state.arrays.items()}, dict(state.meta))


def build(params: Params) -> Static:
    """Build the encoder; it must be fitted or restored before it encodes."""
    return Static(params)
