"""Where each feature stands: one row a version, and one for a feature that has none yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.stores import Stores
from storage.catalog import PUBLISHED

if TYPE_CHECKING:
    from flows.settings import Settings

_STATUS = f"""
SELECT v.feature, v.version, v.standing, v.kind AS encoder, v.dim, v.metric, m.rows,
       m.lance_version, m.dead, r.run_id AS last_run, r.status AS last_status,
       r.finished_at, r.error, coalesce(f.alarms, 0) AS alarms
FROM versions v
LEFT JOIN ({PUBLISHED}) m USING (feature, version)
LEFT JOIN (SELECT feature, version, arg_max(run_id, started_at) AS run_id,
                  arg_max(status, started_at) AS status,
                  arg_max_null(error, started_at) AS error,
                  arg_max_null(finished_at, started_at) AS finished_at
           FROM runs GROUP BY ALL) r USING (feature, version)
LEFT JOIN (SELECT feature, version, count(*) FILTER (verdict = 'alarm') AS alarms
           FROM (SELECT * FROM findings QUALIFY row_number() OVER (
                     PARTITION BY feature, version, monitor ORDER BY found_at DESC) = 1)
           GROUP BY ALL) f USING (feature, version)
ORDER BY v.feature, v.version
"""  # noqa: S608 - our own words


def status(settings: Settings) -> list[dict[str, Any]]:
    """The standing of every version, and of configured features without one.

    ``alarms`` counts the monitors that raised one when they last looked: it stays after a run that
    found nothing to do, since what they saw is still there.
    """
    found = Stores.of(settings).catalog.query(_STATUS)
    rows: list[dict[str, Any]] = found.to_pylist()
    begun = {row["feature"] for row in rows}
    for name, feature in settings.features.items():
        if name not in begun:
            row = {"feature": name, "encoder": feature.encoder.kind, "last_status": "never run"}
            rows.append(dict.fromkeys(found.column_names) | row)
    return rows
