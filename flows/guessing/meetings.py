"""Tables of who met what: interactions of users with items."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.guessing.columns import snake
from flows.guessing.roles import text_columns, time_column

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.guessing.columns import Column

_END = r"(_?(id|key|code|nr|no|name|uuid))?"
_USER = re.compile(
    rf"(user|customer|reader|member|visitor|account|client|buyer|viewer|listener|patient|player|"
    rf"person|session|reviewer|shopper|subscriber){_END}"
)
_ITEM = re.compile(
    rf"(item|product|movie|book|article|track|song|artist|game|sku|isbn|film|video|show|recipe|"
    rf"story|page|course|merchant|restaurant|hotel|listing|title|asin){_END}"
)
_RATING = re.compile(r"(?:.*_)?(rating|ratings|stars|score|grade)")
_COUNT = re.compile(
    r"(?:.*_)?(count|counts|times|quantity|qty|plays|views|clicks|purchases|weight|amount|n)"
)
_MOST_COLUMNS = 6


@dataclass(frozen=True)
class Meetings:
    """The columns of a table of interactions.

    Attributes:
        rating: whether the weight says how much a user liked an item, rather than how often.
    """

    user: str
    item: str
    weight: str | None = None
    time: str | None = None
    rating: bool = False


def meetings(columns: Sequence[Column]) -> Meetings | None:
    """The columns of a table of interactions; None where it is no such table.

    A user and an item stand in it by name, the user in several rows, with little else and no text.
    """
    if len(columns) > _MOST_COLUMNS:
        return None
    able = [c for c in columns if c.kind in {"text", "int"} and c.filled == c.rows]
    user = next((c for c in able if _USER.fullmatch(snake(c.name)) and not c.unique), None)
    item = next((c for c in able if _ITEM.fullmatch(snake(c.name))), None)
    if user is None or item is None:
        return None
    others = [c for c in columns if c is not user and c is not item]
    if text_columns(others):
        return None
    numbers = [c for c in others if c.kind in {"int", "float"}]
    time, _ = time_column(others)
    rated = next((c for c in numbers if _RATING.fullmatch(snake(c.name))), None)
    counted = next((c for c in numbers if _COUNT.fullmatch(snake(c.name))), None)
    weight = rated or counted
    return Meetings(
        user.name, item.name, weight.name if weight else None, time, rating=rated is not None
    )
