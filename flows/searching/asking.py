"""Whom to recommend to, and how a command line says it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.searching.queries import SearchError

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Asked:
    """Whom to recommend to: a user by id, or whoever likes some items.

    Attributes:
        user: the id, without ``user:`` before it.
        items: weights by item; None where an item is only named.

    Raises:
        SearchError: if it is neither or both, or a weight is no finite number.
    """

    user: str | None = None
    items: Mapping[str, float | None] | None = None

    def __post_init__(self) -> None:
        if (self.user is None) == (self.items is None):
            raise SearchError(
                "recommend takes --user, or --items for somebody who is in no source, and not both"
            )
        for item, weight in (self.items or {}).items():
            if weight is not None and not math.isfinite(weight):
                raise SearchError(f"the weight of {item!r} must be a finite number, got {weight}")


@dataclass(frozen=True)
class Titles:
    """What items are called: a column of another feature, whose record ids are the items'."""

    feature: str
    column: str


def parse_items(text: str) -> dict[str, float | None]:
    """Items from ``3,7=4.5``, or from a JSON object of weights where ids hold commas or signs.

    Raises:
        SearchError: if it is neither.
    """
    if text.lstrip().startswith("{"):
        return _from_json(text)
    found: dict[str, float | None] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        item, sign, weight = part.partition("=")
        try:
            found[item.strip()] = float(weight) if sign else None
        except ValueError:
            raise SearchError(
                f"--items takes ids, or ids with weights as 3=4.5, with commas between them; got "
                f'{part!r}. Where ids hold commas or signs, give JSON: {{"a=b": 4.5}}'
            ) from None
    return found


def _from_json(text: str) -> dict[str, float | None]:
    expected = '--items takes a JSON object of weights such as {"3": 4.5, "7": null}'
    try:
        given = json.loads(text)
    except ValueError as error:
        raise SearchError(f"{expected}, got {text!r}: {error}") from error
    for item, weight in given.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float | None):
            raise SearchError(f"{expected}, got {weight!r} for {item!r}")
    return {item: None if weight is None else float(weight) for item, weight in given.items()}


def parse_titles(text: str) -> Titles:
    """Titles from ``FEATURE:COLUMN``.

    Raises:
        SearchError: if it is not of that form.
    """
    feature, _, column = text.partition(":")
    if not feature or not column:
        raise SearchError(f"--titles takes FEATURE:COLUMN, such as books:title, got {text!r}")
    return Titles(feature, column)
