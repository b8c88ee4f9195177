"""Why a search has found nothing: what narrows it, and how many rows that leaves."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from flows.config.stores import Stores
from flows.output.console import cell
from flows.output.progress import Silent, listening
from flows.output.visible import beginning
from flows.searching.hybrid import text_columns
from flows.searching.search import Searched, live
from storage.damage import reading
from storage.held import ROWS, held
from storage.within import count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flows.config.settings import Settings
    from flows.searching.asked import Asked
    from storage.held import Held

_LITERAL = re.compile(r"'((?:[^']|'')*)'")
_NAME = re.compile(r"\w+")
_COLUMNS, _LONGEST = 3, 40
_FEW, _EXAMPLES = 20, 3
_COMPARED = 1000
"""Values that are held against a misspelt one."""


def why(settings: Settings, name: str, asked: Asked) -> str:
    """In words, why a search of a feature that can be done found no row."""
    stores = Stores.of(settings)
    searched = Searched(settings, stores, *live(settings, stores, name), asked.narrow)
    dataset = stores.vectors.dataset(*searched.state)
    history = searched.version.history
    with reading(searched.version.table):
        rows = count(dataset, history=history, where=None)
        fitting = count(dataset, history=history, where=searched.condition())
    if not rows:
        return f"nothing found: {name} has no rows"
    among = f"the {rows:,} rows of {name}"
    if asked.narrow.where is not None:
        if not fitting:
            told = f"nothing found: none of {among} meets the condition {asked.narrow.where}"
            return "; ".join([told, *_held(dataset, searched.version.table, asked.narrow.where)])
        among = f"the {fitting:,} of {rows:,} rows of {name} that meet the condition"
    if asked.words is not None and not asked.queries:
        with listening(Silent()):
            columns = text_columns(searched, asked.column)
        return (
            f"nothing found: none of {among} has any of the words {asked.words!r} in "
            f"{', '.join(columns)}; the commonest English words, such as 'the', are not looked for"
            + ("" if asked.column else _not_kept(settings, name, columns))
        )
    itself = " but the record itself" if "id" in asked.queries else ""
    return f"nothing found{itself} among {among}"


def _not_kept(settings: Settings, name: str, columns: Sequence[str]) -> str:
    """Which columns are encoded and not looked in, for somebody who knows what stands there."""
    source = settings.feature(name).source
    content = getattr(source.params, "content", None) or ()
    encoded = [content] if isinstance(content, str) else content
    missing = ", ".join(column for column in encoded if column not in columns)
    return missing and (
        f"; not kept, and so not looked in: {missing}; add it to keep in [sources.{source.name}]"
    )


def _held(dataset: Any, table: str, where: str) -> Iterator[str]:  # noqa: ANN401 - pylance ships no types
    """What the columns that a condition names hold, for somebody who has misremembered it."""
    import pyarrow.types as kinds

    literals = [text.replace("''", "'") for text in _LITERAL.findall(where)]
    words = {word.lower() for word in _NAME.findall(_LITERAL.sub(" ", where))}
    named = [field for field in dataset.schema if field.name.lower() in words]
    for field in named[:_COLUMNS]:
        of = field.type
        if kinds.is_string(of) or kinds.is_large_string(of):
            yield _values(field.name, held(dataset, table, field.name), literals)
        elif kinds.is_integer(of) or kinds.is_floating(of) or kinds.is_temporal(of):
            yield _range(field.name, held(dataset, table, field.name))


def _values(name: str, found: Held, literals: Sequence[str]) -> str:
    """The commonest values of a column of texts, and the one that may have been meant."""
    if not found.values:
        return f"{name} holds nothing"
    known = [value for value in found.values[:_COMPARED] if len(value) <= _LONGEST]
    by_case = {value.lower(): value for value in reversed(known)}
    near = [
        by_case[one]
        for literal in literals
        for one in get_close_matches(literal.lower(), by_case, n=1)
    ]
    meant = f" (did you mean {near[0]!r}?)" if near and near[0] not in literals else ""
    few = len(found.values) <= _FEW
    shown = ", ".join(beginning(v, _LONGEST) for v in found.values[: _FEW if few else _EXAMPLES])
    if not few:
        shown = f"{len(found.values):,} different values, such as {shown}"
    return f"{name} holds {shown}{_in_first(found)}{meant}"


def _range(name: str, found: Held) -> str:
    if not found.values:
        return f"{name} holds nothing"
    return f"{name} is from {cell(found.low)} to {cell(found.high)}{_in_first(found)}"


def _in_first(found: Held) -> str:
    return "" if found.whole else f" in the first {ROWS:,} rows"
