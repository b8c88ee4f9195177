"""What the kinds of word vectors share: their common keys, and the encoders around a table.

A kind brings its own way of learning a table from texts (`Train`). All else is here: the vectors
of a text from those of its words, states, recipes, and tables that come from a file.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from unicodedata import normalize

from encoders import _pooling, _vectorfiles, _words
from encoders._hub import sha256
from encoders._libraries import majors
from encoders._pooling import METHODS, Method, Pool, Sif
from encoders._ranges import check_counts
from encoders._wordtable import Table
from encoders.base import EncoderError, State, digest
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from encoders.base import Json, Metric, Modality

REVISION = 1
"""To be raised with any change of this file or `encoders._vectorfiles` that changes vectors."""

_FREE = {"vectors", "batch_size"}
"""Keys that are not part of a recipe as they stand."""


@dataclass(frozen=True)
class Shared:
    """The keys that every kind of word vectors has.

    Attributes:
        vectors: a file of word vectors instead of learning them; see `encoders._vectorfiles`.
        limit: of a file, read the first so many words, the most frequent ones.
        pooling: ``mean`` of a text's words, or ``sif``, which learns from the records in any case.
        sif_a: words much more frequent than this weigh little in ``sif``.
        normalize: give vectors of L2 norm 1.
        lowercase: take texts in lower case; off for files whose words have capitals.
        batch_size: texts encoded at a time.

    Raises:
        ValueError: if a value is out of its range, or does not go with another.
    """

    vectors: str | None = None
    limit: int | None = None
    pooling: Method = "mean"
    sif_a: float = 1e-3
    normalize: bool = True
    lowercase: bool = True
    batch_size: int = 1024

    def __post_init__(self) -> None:
        check_counts(self, ("limit", "batch_size"))
        if self.pooling not in METHODS:
            raise ValueError(f"pooling must be one of {', '.join(METHODS)}, got {self.pooling!r}")
        if not 0 < self.sif_a < 1:
            raise ValueError(f"sif_a must be between 0 and 1, got {self.sif_a}")
        if self.vectors is None and self.limit is not None:
            raise ValueError(f"limit = {self.limit} goes with vectors = FILE; remove one of them")
        for field in fields(self) if self.vectors is not None else ():
            given = getattr(self, field.name)
            if field.name not in _SHARED and given != field.default:
                raise ValueError(
                    f"{field.name} = {given} is for vectors that are learned from your records, "
                    f"not for those of a file; remove it or vectors = {self.vectors!r}"
                )


_SHARED = frozenset(field.name for field in fields(Shared))


class Train(Protocol):
    """Learns a table from texts, each a list of words."""

    def __call__(
        self, texts: list[list[str]], rng: np.random.Generator, watch: Watch
    ) -> tuple[Table, dict[str, Json]]:
        """The table, and figures of what the fit measured."""
        ...


class WordVectors:
    """A table of words from a file; texts are the means of their words.

    A text without a known word is a vector of zeros.
    """

    modality: ClassVar[Modality] = "text"
    metric: Metric = "cosine"

    def __init__(self, recipe: dict[str, Json], params: Shared, table: Table | None) -> None:
        self.params = params
        self.batch_size = params.batch_size
        self._recipe = recipe
        self._pool: Pool | None = None
        self._table = table
        if table is not None and params.pooling == "mean":
            self._pool = self._pool_of(table, None)

    @property
    def dim(self) -> int:
        """The width of the table.

        Raises:
            EncoderError: if it is yet to be learned.
        """
        return self._known().dim

    def recipe(self) -> dict[str, Json]:
        """Kind, code, parameters, and the digest of the file, or of what was learned."""
        return dict(self._recipe)

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts: ``(n, dim)`` float32, zeros for a text without a known word."""
        if self._pool is None:
            raise _unfitted(self._recipe)
        return self._pool.encode(batch)

    def vocabulary(self) -> tuple[Sequence[str], NDArray[np.float32]]:
        """The words of the table and their vectors ``(v, dim)``, the most frequent first."""
        table = self._known()
        return table.words, table.vectors

    def word(self, word: str) -> NDArray[np.float32] | None:
        """The vector ``(dim,)`` of a word, in lower case where texts are; None if unknown."""
        spelt = normalize("NFC", word.lower() if self.params.lowercase else word)
        vector = self._known().word(spelt)
        return None if vector is None else vector.copy()

    def _known(self) -> Table:
        if self._table is None:
            raise _unfitted(self._recipe)
        return self._table

    def _pool_of(self, table: Table, sif: Sif | None) -> Pool:
        look = partial(table.look, lowercase=self.params.lowercase)
        return Pool.of(len(table.words), table.dim, look, sif, normalize=self.params.normalize)


class LearnedWordVectors(WordVectors):
    """A table that is learned, or one from a file whose SIF pooling is."""

    def __init__(
        self,
        recipe: dict[str, Json],
        params: Shared,
        *,
        train: Train | None = None,
        table: Table | None = None,
    ) -> None:
        super().__init__(recipe, params, table)
        self._train = train
        self._digest: str | None = None
        self._sif: Sif | None = None
        self._figures: dict[str, Json] = {}
        self.fit_size = 20_000 if train is None else 200_000

    @property
    def fitted(self) -> bool:
        """Whether `fit` or `restore` has been called."""
        return self._pool is not None

    def recipe(self) -> dict[str, Json]:
        """As in `WordVectors`; the digest of what was learned is None before."""
        return {**self._recipe, "state": self._digest}

    def fit(self, sample: Sequence[str], rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Learn word vectors, unless they came from a file; and SIF pooling, if it is asked for.

        Raises:
            EncoderError: if the sample has too few words.
        """
        if self._train is None:
            table, self._figures = self._known(), {}
        else:
            texts = [_words.words(text, lowercase=self.params.lowercase) for text in sample]
            table, self._figures = self._train(texts, rng, watch)
        look = partial(table.look, lowercase=self.params.lowercase)
        sif = Sif.learn(sample, look, self.params.sif_a) if self.params.pooling == "sif" else None
        wordless = sum(look(text)[0].size == 0 for text in sample)
        self._figures |= {"texts": len(sample), "texts_without_a_known_word": wordless}
        self._take(table, sif)

    def state(self) -> State:
        """The table, unless it came from a file, and what SIF learned; see `Table.arrays`.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        if not self.fitted:
            raise _unfitted(self._recipe)
        table = None if self._train is None else self._known()
        arrays: dict[str, NDArray[Any]] = {} if table is None else table.arrays()
        if self._sif is not None:
            arrays |= self._sif.arrays()
        meta: dict[str, Json] = {"kind": self._recipe["kind"], "figures": self._figures}
        return State(arrays, meta if table is None else meta | table.meta())

    def restore(self, state: State) -> None:
        """Take over a state.

        Raises:
            EncoderError: if it is that of another kind, or not whole.
        """
        if state.meta.get("kind") != self._recipe["kind"]:
            raise EncoderError(
                f"this is not the state of a {self._recipe['kind']} encoder: got "
                f"{state.meta.get('kind')} with arrays {sorted(state.arrays)}: fit again"
            )
        learned = self._train is not None
        table = Table.restored(state.arrays, state.meta) if learned else self._known()
        sif = None
        if self.params.pooling == "sif":
            sif = Sif.restored(state.arrays, self.params.sif_a, table.dim)
        figures = state.meta.get("figures")
        self._figures = dict(figures) if isinstance(figures, dict) else {}
        self._take(table, sif)

    def _take(self, table: Table, sif: Sif | None) -> None:
        self._table, self._sif = table, sif
        self._pool = self._pool_of(table, sif)
        self._digest = digest(self.state())


def _unfitted(recipe: dict[str, Json]) -> EncoderError:
    return EncoderError(
        f"the {recipe['kind']} encoder has learned nothing yet: call fit with a sample of texts, "
        "or restore with a saved state"
    )


def build(kind: str, params: Shared, train: Train, *libraries: str) -> WordVectors:
    """The encoder that the parameters ask for: learned, from a file, or a bit of both.

    Raises:
        EncoderError: if a file cannot be read.
    """
    recipe = recipe_of(kind, params, *libraries)
    if params.vectors is None:
        return LearnedWordVectors(recipe, params, train=train)
    table = _vectorfiles.read(_vectorfiles.located(params.vectors), params.limit)
    if params.pooling == "mean":
        return WordVectors(recipe, params, table)
    return LearnedWordVectors(recipe, params, table=table)


def quick_recipe(kind: str, params: Shared, *libraries: str) -> dict[str, Json] | None:
    """The recipe where nothing has to be learned, by the file's content; else None."""
    learns = params.vectors is None or params.pooling != "mean"
    return None if learns else recipe_of(kind, params, *libraries)


def recipe_of(kind: str, params: Shared, *libraries: str) -> dict[str, Json]:
    """All that decides the vectors but what is learned."""
    keys: dict[str, Json] = {k: v for k, v in asdict(params).items() if k not in _FREE}
    file = None if params.vectors is None else _vectorfiles.located(params.vectors)
    if file is not None:
        keys = {key: keys[key] for key in _SHARED - _FREE}
    if params.pooling == "mean":
        del keys["sif_a"]
    return {
        "kind": kind,
        "code": [REVISION, _pooling.REVISION, _words.REVISION],
        "params": keys,
        "vectors": None if file is None else sha256(file),
        "libraries": majors(*libraries),
    }
