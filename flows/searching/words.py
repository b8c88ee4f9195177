"""Questions to the words of an encoder: what is near a word, and what is to one as another is.

An analogy is answered by 3CosAdd: the words whose vectors have the largest cosine with the sum of
the unit vectors asked for, those with a minus subtracted, and the words asked for left out.
Mikolov, Yih & Zweig 2013; Levy & Goldberg 2014.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from encoders import registry
from encoders.abilities import Worded
from flows.config.stores import Stores
from flows.pipeline import versions
from flows.searching.queries import SearchError, own_encoder
from storage.nearest import alike

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from flows.config.settings import Settings
    from flows.pipeline.scope import Target
    from storage.model import Version

_PART = re.compile(r'"(?P<quoted>[^"]+)"|(?P<plain>\S+)')
_SIGNS = {"+": 1, "-": -1}
_EXAMPLE = '"king - man + woman"'


@dataclass(frozen=True)
class Near:
    """A word of the table.

    Attributes:
        word: as the table spells it.
        similarity: its cosine with what was asked for, from -1 to 1.
    """

    word: str
    similarity: float


def words(
    settings: Settings, name: str, expression: str, k: int, target: Target = "live"
) -> list[Near]:
    """The k words nearest to an expression in the words of a feature's encoder, nearest first.

    Args:
        settings: the configuration.
        name: the feature.
        expression: see `parse`.
        k: how many words.
        target: which version's encoder.

    Raises:
        SearchError: if the version's encoder has no words, or not those asked for.
        UsageError: if there is no such version.
    """
    if k < 1:
        raise SearchError(f"-k must be at least 1, got {k}")
    terms = parse(expression)
    version = _version(settings, name, target)
    kinds = worded_kinds()
    # Before weights are loaded for nothing, where the kind tells.
    encoder = own_encoder(settings, version) if version.kind in kinds else None
    if not isinstance(encoder, Worded):
        raise SearchError(
            f"{version.table} was made by an encoder of kind {version.kind!r}, which has no table "
            f"of words; expected a feature with one of {', '.join(kinds)}"
        )
    return nearest(encoder, terms, k)


def parse(expression: str) -> list[tuple[int, str]]:
    """The words of an expression, each with its sign.

    Words are parted by ``+`` and ``-`` that stand alone, so that e-mail is one word. Within double
    quotes anything is a word.

    Raises:
        SearchError: if it begins or ends with a sign, or words stand without one between them.
    """
    parts = [
        (found["quoted"] or found["plain"], found["quoted"] is None)
        for found in _PART.finditer(expression)
    ]
    terms: list[tuple[int, str]] = []
    sign: int | None = 1
    for part, plain in parts:
        is_sign = plain and part in _SIGNS
        if is_sign != (sign is None):
            raise SearchError(
                f"cannot read {expression!r} at {part!r}: expected words with + or - between them, "
                f"spaces around each, such as {_EXAMPLE}; put a word that has a space or is a "
                "sign into double quotes"
            )
        if is_sign:
            sign = _SIGNS[part]
        elif sign is not None:
            terms.append((sign, part))
            sign = None
    if sign is not None:
        raise SearchError(
            f"the expression {expression!r} ends without a word; expected one, such as king, or "
            f"several, such as {_EXAMPLE}"
        )
    return terms


def nearest(encoder: Worded, terms: list[tuple[int, str]], k: int) -> list[Near]:
    """The k words of a table whose vectors have the largest cosine with the sum of the terms'.

    Raises:
        SearchError: if the encoder does not know one of them, or they cancel out.
    """
    known, vectors = encoder.vocabulary()
    units = _unit(vectors.astype(np.float64))
    wanted = np.zeros(units.shape[1])
    asked = set()
    places = {word: row for row, word in enumerate(known)}
    for sign, word in terms:
        vector = encoder.word(word)
        if vector is None:
            raise SearchError(f"the encoder knows no word {word!r}{_spelt_like(word, places)}")
        wanted += sign * _unit(vector.astype(np.float64))
        asked.add(word if word in places else word.lower())
    if not np.linalg.norm(wanted) > 0:
        raise SearchError("the words asked for cancel each other out: nothing is near to nothing")
    cosines = units @ _unit(wanted)
    cosines[[places[word] for word in asked if word in places]] = -np.inf
    cosines[~units.any(axis=1)] = -np.inf
    order: list[int] = np.argsort(-cosines, kind="stable")[:k].tolist()
    return [Near(known[row], float(cosines[row])) for row in order if np.isfinite(cosines[row])]


def worded_kinds() -> list[str]:
    """The kinds of encoders whose classes have words to ask for, by what their files work with."""
    return [
        kind
        for kind in registry.kinds()
        if any(
            isinstance(value, type) and hasattr(value, "vocabulary") and hasattr(value, "word")
            for value in _at_hand(importlib.import_module(f"encoders.{kind}"))
        )
    ]


def _at_hand(module: ModuleType) -> Iterator[object]:
    """What a file of an encoder names, and what the files name that it shares with others."""
    for value in vars(module).values():
        yield value
        if isinstance(value, ModuleType) and value.__name__.startswith("encoders._"):
            yield from vars(value).values()


def _version(settings: Settings, name: str, target: Target) -> Version:
    feature, stores = settings.feature(name), Stores.of(settings)
    live = target == "live"
    found = (
        stores.catalog.live(name)
        if live
        else versions.known_version(feature, stores, target, settings.root)
    )
    if found is None:
        standing = "no live version" if live else "no version of its encoder"
        raise SearchError(f"{name} has {standing} yet; run `vecmill run {name}` first")
    return found


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: NDArray[np.float64] = vectors / np.where(norms > 0, norms, 1)
    return unit


def _spelt_like(word: str, known: dict[str, int]) -> str:
    near = alike(word, known, 5, 0.7)
    signs = "; write spaces around + and -" if set(word) & set(_SIGNS) else ""
    return f"{signs}; there are {', '.join(near)}" if near else f"{signs}; nor one spelt like it"
