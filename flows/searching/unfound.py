"""Why a search has found nothing: what narrows it, and how many rows that leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.config.stores import Stores
from flows.output.progress import Silent, listening
from flows.searching.hybrid import text_columns
from flows.searching.search import Searched, live
from storage.damage import reading
from storage.within import count

if TYPE_CHECKING:
    from flows.config.settings import Settings
    from flows.searching.asked import Asked


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
            return f"nothing found: none of {among} meets the condition {asked.narrow.where}"
        among = f"the {fitting:,} of {rows:,} rows of {name} that meet the condition"
    if asked.words is not None and not asked.queries:
        with listening(Silent()):
            columns = ", ".join(text_columns(searched, asked.column))
        return (
            f"nothing found: none of {among} has any of the words {asked.words!r} in {columns}; "
            "the commonest English words, such as 'the', are not looked for"
        )
    itself = " but the record itself" if "id" in asked.queries else ""
    return f"nothing found{itself} among {among}"
