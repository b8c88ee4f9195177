"""What is kept of a record beside its vector: texts to be read, and what is said of them."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from flows.output.markup import Html, el, put
from flows.ui.grids import value

if TYPE_CHECKING:
    from collections.abc import Mapping

LONG = 60
"""Characters above which a text stands below its name, over the whole width."""

_MOST = 20_000
"""Characters of a text that a page shows."""


def listed(columns: Mapping[str, object], record_id: str, *, whole: bool = False) -> Html | None:
    """Kept columns by name; None where there are none.

    Args:
        columns: their values; what is empty is left out, and so is a path or name that the id says.
        record_id: of the record.
        whole: show long texts whole, with their lines, and not their beginnings.
    """
    told = {
        name: one
        for name, one in columns.items()
        if one not in (None, "") and not _repeats(name, str(one), record_id)
    }
    if not told:
        return None
    return el("dl", *(_pair(name, one, whole=whole) for name, one in told.items()), class_="kept")


def _repeats(name: str, one: str, record_id: str) -> bool:
    """Whether a kept column says no more than the record's id."""
    if name == "path":
        return one.endswith(record_id)
    end = PurePosixPath(record_id)
    return name == "name" and one in {record_id, end.name, end.stem}


def _pair(name: str, one: object, *, whole: bool) -> Html:
    is_long = isinstance(one, str) and (len(one) > LONG or "\n" in one)
    inside = _text(one) if isinstance(one, str) and whole else value(one)
    return put(el("dt", name), el("dd", inside, dir="auto", class_="text" if is_long else None))


def _text(text: str) -> str:
    more = f"… of {len(text):,} characters" if len(text) > _MOST else ""
    return text[:_MOST].replace("\r\n", "\n") + more
