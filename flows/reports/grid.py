"""Tables that can be read at any width: on a phone each row is a block, and each cell has its name.

What is laid out otherwise loses what it is to those who hear the page, so each element says that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from flows.output.markup import Html, el, put

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.output.markup import Child


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: its heading.
        why: what it is, where the heading does not say it; stands below the table.
        is_number: whether it holds numbers.
    """

    name: str
    why: str | None = None
    is_number: bool = False


@dataclass(frozen=True)
class Cell:
    """A cell; one of a row's heads it."""

    inside: Child
    kind: Literal["td", "th"] = "td"


def heading(*children: Child) -> Cell:
    """The cell that a row is told by."""
    return Cell(put(*children), "th")


def cell(*children: Child) -> Cell:
    """Another one."""
    return Cell(put(*children))


def table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], caption: str) -> Html:
    """A table, and below it what its columns mean where they do not say it.

    Args:
        columns: one or more.
        rows: the cells of each row, one a column.
        caption: what it shows, for those who hear it.
    """
    heads = [
        el("th", one.name, scope="col", role="columnheader", class_=_class(one)) for one in columns
    ]
    return put(
        el(
            "div",
            el(
                "table",
                el("caption", caption, class_="hidden"),
                el("thead", el("tr", *heads, role="row"), role="rowgroup"),
                el("tbody", *(_row(columns, row) for row in rows), role="rowgroup"),
                role="table",
            ),
            class_="scroll", tabindex="0", role="region", aria_label=caption,
        ),
        legend([(one.name, one.why) for one in columns if one.why is not None]),
    )  # fmt: skip


def _row(columns: Sequence[Column], cells: Sequence[Cell]) -> Html:
    found = []
    for column, one in zip(columns, cells, strict=True):
        if one.kind == "th":
            found.append(el("th", one.inside, scope="row", role="rowheader"))
            continue
        empty = " none" if not one.inside else ""
        kind = f"{_class(column) or ''}{empty}".strip() or None
        # What a narrow page shows before the cell: those who hear it are told by the column.
        found.append(el("td", one.inside, role="cell", class_=kind, data_name=column.name))
    return el("tr", *found, role="row")


def _class(column: Column) -> str | None:
    return "num" if column.is_number else None


def legend(told: Sequence[tuple[str, str]], title: str = "What the columns mean") -> Html | None:
    """What names mean, folded away; None where all of them say it."""
    if not told:
        return None
    pairs = [put(el("dt", name), el("dd", why)) for name, why in dict(told).items()]
    return el("details", el("summary", title), el("dl", *pairs), class_="legend")
