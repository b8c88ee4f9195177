"""What the records of runs were like: read from the catalog, where publishing a run has put it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.catalog import Catalog
    from storage.model import Version


def profiles(catalog: Catalog, version: Version, runs: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The profiles of these runs of a version by run, as plain values; some may have none.

    Args:
        catalog: the catalog.
        version: that the runs wrote to.
        runs: their ids.
    """
    found = catalog.query(
        "SELECT run_id, profile::VARCHAR AS profile FROM profiles "
        "WHERE feature = $1 AND version = $2 AND list_contains($3, run_id)",
        version.feature,
        version.version,
        list(runs),
    )
    return {row["run_id"]: json.loads(row["profile"]) for row in found.to_pylist()}
