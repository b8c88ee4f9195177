"""Small questions to published rows: what a few records keep, and which name is nearest to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage import query
from storage.database import fetch
from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.catalog import Catalog
    from storage.vectors import Vectors

_NEAREST = """
SELECT entity FROM "{view}" WHERE side = $2 ORDER BY levenshtein(entity, $1), entity LIMIT 1
"""


def columns(catalog: Catalog, vectors: Vectors, view: str) -> list[str]:
    """The columns of a feature's view.

    Raises:
        UsageError: if nothing of it is published.
    """
    with query.connect(catalog, vectors) as con:
        known = {row["name"] for row in fetch(con, "SELECT name FROM (SHOW TABLES)")}
        if view not in known:
            raise UsageError(f"nothing of {view} is published; run `vecmill run {view}` first")
        return [row["column_name"] for row in fetch(con, f'DESCRIBE "{view}"')]


def values(
    catalog: Catalog, vectors: Vectors, view: str, column: str, ids: Sequence[str]
) -> dict[str, Any]:
    """What a column of a view holds for some records, by record id; they need not be there.

    Args:
        catalog: names what is published.
        vectors: the tables.
        view: of a feature or a version that is published.
        column: one of its `columns`.
        ids: the records.
    """
    quoted = '"' + column.replace('"', '""') + '"'
    chosen = f'SELECT record_id, {quoted} AS value FROM "{view}"'
    with query.connect(catalog, vectors) as con:
        return {
            row["record_id"]: row["value"]
            for row in fetch(con, f"{chosen} WHERE record_id IN (SELECT unnest($1))", list(ids))
        }


def nearest(catalog: Catalog, vectors: Vectors, view: str, wanted: str, side: str) -> str | None:
    """The entity of a side (columns ``entity`` and ``side``) that is spelt most like a text.

    Returns:
        None where the view has no row of that side.
    """
    with query.connect(catalog, vectors) as con:
        found = fetch(con, _NEAREST.format(view=view), wanted, side)
    return str(found[0]["entity"]) if found else None
