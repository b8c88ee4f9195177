"""Encoders that work at once, without a download, for each kind of record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from encoders import registry
from flows.config.nearest import hint
from flows.guessing.model import Coder, GuessError, Line
from flows.monitors._profile import UNKNOWN
from flows.pipeline.profiling import languages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.sources.base import Modality

MONITORS = ["health", "drift", "outliers"]
_MINILM = "sentence-transformers/all-MiniLM-L6-v2"
_CUT = 1200
"""Mean characters above which many texts have more than the 256 tokens that MiniLM reads."""

_LOOKED_AT = 20
"""Texts by which the language is told."""

_USUAL: dict[str, Coder] = {
    "text": Coder(
        "minilm", "sentence", (Line("model", _MINILM, "its weights come with the install"),),
        "meaning of texts, best for English",
    ),
    "image": Coder(
        "patches", "vision", (Line("centroids", 100, "patches to learn"),),
        "learns patches from your own images; a network needs weights: docs/encoders/vision.md",
    ),
    "audio": Coder("mfcc", "mfcc", (), "the sound of recordings of any length and sample rate"),
    "tabular": Coder(
        "rows", "tabular", (Line("dim", 32, "at most"),),
        "numbers, categories and missing values, by principal components",
    ),
    "interactions": Coder("taste", "factors", (), "learns who likes what, by implicit ALS"),
}  # fmt: skip


def usual(modality: Modality) -> Coder:
    """The encoder for records of a modality."""
    return _USUAL[modality]


def of_ratings() -> Coder:
    """The encoder for interactions whose weights are ratings."""
    keys = (Line("feedback", "explicit", "weights are ratings"),)
    return Coder("ratings_taste", "factors", keys, "learns who likes what, by biased ALS")


def of_nodes(words: Sequence[str], features: Sequence[str]) -> Coder:
    """The encoder for nodes: by walks where there are only edges, else by features too."""
    if not features:
        return Coder("walks", "node2vec", (), "learns who stands on the same walks")
    keys = (Line("words", list(words), "features that are texts"),) if words else ()
    return Coder("sage", "sage", keys, "learns from edges and features, without labels")


def named(kind: str, able: Sequence[Modality]) -> tuple[Coder, Modality]:
    """The encoder of a kind that the user asks for, and what of ``able`` it is to read.

    Raises:
        GuessError: if there is none, or it reads nothing of the kind.
    """
    if kind not in registry.kinds():
        raise GuessError(f"there is no encoder {kind!r}{hint(kind, registry.kinds())}")
    for modality in able:
        if kind == _USUAL.get(modality, Coder("", "")).kind:
            return _USUAL[modality], modality
        if kind in registry.reading(modality):
            _refuse_without(kind)
            return Coder(kind, kind, (), "as you asked"), modality
    fit = sorted({kind for modality in able for kind in registry.reading(modality)})
    raise GuessError(
        f"an encoder of kind {kind!r} does not read {' or '.join(able)} records; these do: "
        f"{', '.join(fit)}"
    )


def _refuse_without(kind: str) -> None:
    """Refuse a kind that has keys which nobody but the user knows, such as a model's name."""
    unknown = registry.needed(kind)
    if unknown:
        raise GuessError(
            f"an encoder of kind {kind!r} wants {' and '.join(map(repr, unknown))}, which cannot "
            f"be guessed: leave --encoder out, then name it in the configuration by hand, as "
            f"docs/encoders/{kind}.md shows"
        )


def remarks(texts: Sequence[str]) -> list[str]:
    """What is to be known of texts that MiniLM is to encode."""
    notes = []
    mean = sum(map(len, texts)) / max(len(texts), 1)
    if mean > _CUT:
        notes.append(
            f"the texts have {mean:,.0f} characters on average, and minilm reads about the first "
            "1,200: add chunk = { tokens = 200, overlap = 40 } to the encoder for a row a part "
            "(docs/chunks.md)"
        )
    counts = languages(texts[:_LOOKED_AT])
    known = {language: n for language, n in counts.items() if language != UNKNOWN}
    language = max(known, key=lambda name: known[name], default="en")
    if language != "en" and 2 * known[language] > sum(known.values()):
        notes.append(
            f"most texts seem to be in {language!r}, and minilm knows English best: name a model "
            'of many languages, such as "sentence-transformers/paraphrase-multilingual-MiniLM-'
            'L12-v2", where a hub can be reached, or --encoder lsa, which learns from your own'
        )
    return notes
