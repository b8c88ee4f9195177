"""Alarms that no look since had enough records to bear out or to deny.

A small run after a large one is looked at too, and its monitors cannot tell. What the look before
saw is still there then, so it is told until a look says otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.config.stores import Stores
    from storage.catalog import Catalog
    from storage.model import Version

_UNSETTLED = """
WITH looks AS (
    SELECT feature, version, monitor, verdict, run_id, found_at,
           max(run_id) OVER (PARTITION BY feature, version) AS newest
    FROM findings WHERE run_id IN (SELECT run_id FROM manifests)
), last AS (
    SELECT feature, version, monitor, arg_max(verdict, (run_id, found_at)) AS verdict,
           arg_max(verdict, (run_id, found_at)) FILTER (verdict <> 'cannot tell') AS told,
           max(found_at) FILTER (verdict <> 'cannot tell') AS found_at
    FROM looks GROUP BY ALL
    HAVING max(run_id) = any_value(newest)  -- else it is configured no more
)
SELECT feature, version, list(monitor ORDER BY monitor) AS monitors, min(found_at) AS since
FROM last WHERE verdict = 'cannot tell' AND told = 'alarm' GROUP BY ALL
"""


def of(catalog: Catalog, version: Version) -> tuple[str, ...]:
    """The monitors of one version whose alarm is not settled, by name."""
    rows = catalog.query(_UNSETTLED).to_pylist()
    key = (version.feature, version.version)
    return next((tuple(r["monitors"]) for r in rows if (r["feature"], r["version"]) == key), ())


def tell(stores: Stores, rows: Sequence[dict[str, Any]]) -> None:
    """Put into rows of `flows.lifecycle.status.status` what is not settled.

    ``unsettled`` are the monitors whose last look that could tell was an alarm, while their last
    look could not; ``unsettled_since`` is when the oldest of these was found.
    """
    found = {
        (row["feature"], row["version"]): row
        for row in stores.catalog.query(_UNSETTLED).to_pylist()
    }
    for row in rows:
        one = found.get((row["feature"], row["version"]))
        row["unsettled"] = [] if one is None else one["monitors"]
        row["unsettled_since"] = None if one is None else one["since"]
