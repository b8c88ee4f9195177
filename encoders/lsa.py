"""Texts by latent semantic analysis: weighted word counts, projected on their main directions.

Deerwester et al. 1990, "Indexing by latent semantic analysis". Counts are damped and weighted by
how rare a word is (TF-IDF, Salton and Buckley 1988), and the singular vectors of the matrix are
found by random projection (Halko et al. 2011). It needs no weights and no network: all that it
knows it has learned from a sample of the records.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from encoders import _terms, _words
from encoders._learned import Learned, expect
from encoders._libraries import majors
from encoders._ranges import check_counts
from encoders.base import EncoderError, State
from encoders.learning import QUIET, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from encoders.base import Json, Metric, Modality

MODALITY: Modality = "text"
NESTED = True
REVISION = 1
"""Raised whenever equal parameters and state would give other vectors than before."""

_LEAST_STRENGTH = 1e-6
"""Of the largest singular value: what is below is rounding."""

_MORE, _ITERATIONS = 64, 8
"""Directions tried beyond those kept, and power iterations: so many that chance hardly shows."""


@dataclass(frozen=True)
class Params:
    """The keys of ``[encoders.NAME]`` for ``kind = "lsa"``.

    Attributes:
        dim: how many dimensions are kept at most; fewer where the sample has fewer to tell.
        ngrams: how many words a term has at most; 2 counts pairs of neighbours too.
        min_texts: in how many texts of the sample a term must stand to be counted.
        max_share: in which share of them it may stand at most; what is everywhere tells nothing.
        max_terms: how many terms are counted, those in the most texts.
        batch_size: texts encoded at a time.

    Raises:
        ValueError: if a value is out of its range.
    """

    dim: int = 256
    ngrams: int = 1
    min_texts: int = 2
    max_share: float = 0.5
    max_terms: int = 50_000
    batch_size: int = 4096

    def __post_init__(self) -> None:
        check_counts(self, ("dim", "ngrams", "min_texts", "max_terms", "batch_size"))
        if not 0 < self.max_share <= 1:
            raise ValueError(f"max_share must be above 0 and at most 1, got {self.max_share}")


@dataclass(frozen=True)
class _Model:
    """``projection`` is ``(terms, dim)`` float32: a term's weight times its place."""

    vocabulary: dict[str, int]
    projection: NDArray[np.float32]
    meta: dict[str, Json]


class Lsa(Learned[_Model]):
    """Texts to ``(n, dim)`` float32 of L2 norm 1; zeros for a text without any known term."""

    modality: ClassVar[Modality] = "text"
    metric: Metric = "cosine"
    fit_size = 20_000
    kind = "lsa"
    nothing = "has learned no words yet"

    def __init__(self, params: Params) -> None:
        super().__init__()
        self.params = params
        self.batch_size = params.batch_size

    @property
    def dim(self) -> int:
        """The width of the vectors: ``params.dim``, or the rank of the sample where that is less.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        return int(self._known().projection.shape[1])

    def fit(self, sample: Sequence[str], rng: np.random.Generator, watch: Watch = QUIET) -> None:
        """Learn the terms, their weights and the projection; the order of texts is no matter.

        Raises:
            EncoderError: if no term stands in enough texts of the sample, and in not too many.
        """
        import numpy as np

        texts = sorted(sample)
        watch.stage("count words", None)
        found = _terms.in_texts(texts, self.params.ngrams)
        chosen = self._choose(found, len(texts))
        vocabulary = {term: column for column, term in enumerate(chosen)}
        rarity = 1 + np.log((1 + len(texts)) / (1 + np.array([found[term] for term in chosen])))
        counted = _damped(_terms.count(texts, vocabulary, self.params.ngrams))
        counts: Any = counted.multiply(rarity)  # sparse, whatever the stubs of SciPy say
        watch.stage("find directions", None)
        directions, kept = _directions(_unit(counts.tocsr()), self.params.dim, rng)
        projection = (rarity[:, None] * directions).astype(np.float32)
        figures: dict[str, Json] = {
            "texts": len(texts),
            "terms_seen": len(found),
            "vocabulary": len(chosen),
            "dim": projection.shape[1],
            "kept_share": kept,
        }
        self._take(_Model(vocabulary, projection, {"figures": figures}))

    def _written(self, model: _Model) -> State:
        """``projection (terms, dim)`` float32, and the terms as ``vocabulary``."""
        terms = cast("list[Json]", list(model.vocabulary))
        return State({"projection": model.projection}, {**model.meta, "vocabulary": terms})

    def _read(self, state: State) -> _Model:
        meta = dict(state.meta)
        terms = cast("list[str]", meta.pop("vocabulary"))
        dim = state.arrays["projection"].shape[-1] if "projection" in state.arrays else 0
        expect(state, {"projection": (len(terms), dim)})
        vocabulary = {term: column for column, term in enumerate(terms)}
        return _Model(vocabulary, state.arrays["projection"], meta)

    def recipe(self) -> dict[str, Json]:
        """Kind, revisions, parameters, and the digest of what was learned (None before)."""
        params: dict[str, Json] = asdict(self.params)
        del params["batch_size"]  # does not change the vectors
        return {
            "kind": "lsa",
            "code": REVISION,
            "words": _words.REVISION,
            "params": params,
            "state": self._digest,
            "libraries": majors("scikit-learn"),
        }

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts: ``(n, dim)`` float32, L2 norm 1, or 0 where no term is known.

        Raises:
            EncoderError: before `fit` or `restore`.
        """
        import numpy as np

        known = self._known()
        counts = _damped(_terms.count(batch, known.vocabulary, self.params.ngrams))
        # A sparse product adds up row by row, so that a row does not hang on its batch.
        unit: NDArray[np.float32] = _unit(np.asarray(counts.astype(np.float32) @ known.projection))
        return unit

    def vocabulary(self) -> tuple[Sequence[str], NDArray[np.float32]]:
        """The terms, those in the most texts first, and their vectors ``(v, dim)``, L2 norm 1."""
        words = list(self._known().vocabulary)
        return words, self._places(words)

    def word(self, word: str) -> NDArray[np.float32] | None:
        """The vector ``(dim,)`` of a term, as texts spell it; None where it was too rare."""
        term = " ".join(_words.words(word))
        return self._places([term])[0] if term in self._known().vocabulary else None

    def _places(self, words: Sequence[str]) -> NDArray[np.float32]:
        known = self._known()
        rows = [known.vocabulary[word] for word in words]
        unit: NDArray[np.float32] = _unit(known.projection[rows])
        return unit

    def _choose(self, found: dict[str, int], texts: int) -> list[str]:
        least, most = self.params.min_texts, self.params.max_share * texts
        fit = [t for t, n in _terms.by_frequency(found) if least <= n <= most]
        if not fit:
            raise EncoderError(
                f"none of the {len(found)} terms of the sample stands in {least} of its {texts} "
                f"texts or more, and in {self.params.max_share:.0%} at most: lsa needs more texts "
                "to learn from, or a lower min_texts or higher max_share"
            )
        return fit[: self.params.max_terms]


def _damped(counts: csr_matrix) -> csr_matrix:
    """Counts as 1 + log count: a word that comes ten times says little more than one that does."""
    import numpy as np

    counts.data = 1 + np.log(counts.data)
    return counts


def _unit(rows: Any) -> Any:  # noqa: ANN401 - a matrix, sparse or not, and the same back
    from sklearn.preprocessing import normalize

    # scikit-learn refuses a matrix without rows.
    return normalize(rows, copy=False) if rows.shape[0] else rows


def _directions(
    rows: csr_matrix, dim: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], float]:
    """The strongest right singular vectors ``(terms, at most dim)``, and the share they keep.

    The share is of the squared weights. The largest entry of each vector is positive, so that
    none points the other way on another machine.
    """
    import numpy as np
    from sklearn.utils.extmath import randomized_svd

    most, seed = min(dim, *rows.shape), int(rng.integers(2**31))
    _, strengths, found = randomized_svd(
        rows, most, n_oversamples=_MORE, n_iter=_ITERATIONS, random_state=seed, flip_sign=False
    )
    found = found[strengths > _LEAST_STRENGTH * strengths[0]].T
    largest = np.abs(found).argmax(axis=0)
    signs = np.sign(found[largest, np.arange(found.shape[1])])
    share = float((strengths**2).sum() / rows.multiply(rows).sum())
    return found * signs, round(share, 6)


def build(params: Params) -> Lsa:
    """Build the encoder; it must be fitted or restored before it encodes."""
    return Lsa(params)
