"""What monitors found over a run: read from the catalog as the values it was kept as."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING

from storage.model import FindingRow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.catalog import Catalog
    from storage.model import Version

_NAMES = tuple(field.name for field in fields(FindingRow))


def findings(
    catalog: Catalog, version: Version, run_id: str, monitors: Sequence[str]
) -> list[FindingRow]:
    """The findings of these monitors over a run; of those that have not looked there is none."""
    found = catalog.query(
        "SELECT * FROM findings WHERE feature = $1 AND version = $2 AND run_id = $3 "
        "AND list_contains($4, monitor)",
        version.feature,
        version.version,
        run_id,
        list(monitors),
    )
    rows = [{name: row[name] for name in _NAMES} for row in found.to_pylist()]
    for row in rows:
        # A finding of an earlier release has no series.
        row |= {name: json.loads(row[name] or "{}") for name in ("detail", "series")}
        row |= {"parts": tuple(json.loads(row["parts"] or "[]"))}
        row |= {"record_ids": tuple(row["record_ids"] or ())}
    return [FindingRow(**row) for row in rows]
