"""Where each feature stands: one row a version, and one for a feature that has none yet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flows.config.stores import Stores
from flows.lifecycle import last_runs, overdue, unsettled
from flows.upkeep.lying import due, lying
from flows.upkeep.unheld import unheld
from storage.entries import PUBLISHED
from storage.model import StorageError

if TYPE_CHECKING:
    from flows.config.settings import Settings
    from storage.model import Version

_STATUS = f"""
SELECT v.feature, v.version, v.standing, v.kind AS encoder, v.dim, v.metric, m.rows,
       m.lance_version, CASE WHEN m.rows IS NOT NULL THEN coalesce(d.dead, 0) END AS dead,
       coalesce(d.unpublished, 0) AS unpublished_dead, p.published_at,
       r.run_id AS last_run, r.status AS last_status, r.started_at, r.finished_at, r.error,
       coalesce(f.alarms, 0) AS alarms, coalesce(f.watches, 0) AS watches,
       c.cut_texts, c.cut_tokens, c.text_tokens
FROM versions v
LEFT JOIN ({PUBLISHED}) m USING (feature, version)
LEFT JOIN (SELECT feature, version, max(published_at) AS published_at FROM manifests
           WHERE run_id IN (SELECT run_id FROM runs)  -- upkeep and erasing publish too
           GROUP BY ALL) p USING (feature, version)
LEFT JOIN (SELECT feature, version, count(*) FILTER (published) AS dead,  -- not the manifest's:
                  count(*) FILTER (NOT published) AS unpublished  -- upkeep and erasing count none
           FROM dead_letters GROUP BY ALL) d USING (feature, version)
LEFT JOIN (SELECT feature, version, arg_max(run_id, started_at) AS run_id,
                  arg_max(status, started_at) AS status, max(started_at) AS started_at,
                  arg_max_null(error, started_at) AS error,
                  arg_max_null(finished_at, started_at) AS finished_at
           FROM runs GROUP BY ALL) r USING (feature, version)
LEFT JOIN (SELECT feature, version, arg_max(cut_texts, started_at) AS cut_texts,
                  arg_max(cut_tokens, started_at) AS cut_tokens,
                  arg_max(text_tokens, started_at) AS text_tokens
           FROM runs WHERE status = 'done' AND encoded + resumed > 0
           GROUP BY ALL) c USING (feature, version)
LEFT JOIN (SELECT feature, version, count(*) FILTER (verdict = 'alarm') AS alarms,
                  count(*) FILTER (verdict = 'watch') AS watches
           FROM (SELECT * FROM findings WHERE run_id IN (SELECT run_id FROM manifests)
                 QUALIFY run_id = max(run_id) OVER (PARTITION BY feature, version))
           GROUP BY ALL) f USING (feature, version)
ORDER BY v.feature, v.version
"""  # noqa: S608 - our own words


_TABLE = (
    "fragments", "states", "old_states", "deleted_rows", "unindexed", "orphan_bytes", "upkeep",
)  # fmt: skip


def status(settings: Settings) -> list[dict[str, Any]]:
    """The standing of every version, and of configured features without one.

    ``alarms`` counts the monitors that raised one at the last look: it stays after a run that
    found nothing to do, since what they saw is still there; an alarm that kept a run from being
    published is not among them. ``watches`` counts those whose last look is an alarm that their
    series does not carry. ``cut_texts``, ``cut_tokens`` and
    ``text_tokens`` are of the last run that encoded anything, or published what a killed one had:
    texts longer than the encoder reads, their tokens beyond that, and the tokens of all its texts.
    ``dead`` counts the dead letters that stand, of whichever run, and ``unpublished_dead`` those of
    a run that failed of them. A run whose process
    is gone counts as ``crashed`` here before the next run notes it. A last run that failed before
    it had a version, such as of a source that is missing, is shown with all versions that are not
    retired. ``published_at`` is when a run of the version last succeeded, which is how old the
    vectors are that its readers get, and ``log`` the file that tells of the last run.
    ``fragments``, ``states``, ``old_states``, ``deleted_rows``, ``unindexed`` and
    ``orphan_bytes`` (none while a run is under way) are how the table lies there
    (`flows.monitors._lying.Lying`), and ``upkeep`` says what of it `vecmill maintain` would mend;
    all are null where there is no table to be read. ``table_gone`` says so of one that is
    published and not in the folder of ``[store]``. ``overdue_since`` is when ``overdue_schedule``
    should have started a run that has not come; both are null where none is late. ``unsettled``
    are monitors with an alarm that no look since could tell of, and ``unsettled_since`` when.
    """
    stores = Stores.of(settings)
    found = stores.catalog.query(_STATUS)
    rows: list[dict[str, Any]] = found.to_pylist()
    versions = [
        v for name in {row["feature"] for row in rows} for v in stores.catalog.versions(name)
    ]
    by_key = {(version.feature, version.version): version for version in versions}
    for row in rows:
        version = by_key[row["feature"], row["version"]]
        row.update(_upkeep(settings, stores, version, row["lance_version"]))
    begun = {row["feature"] for row in rows}
    for name, feature in settings.features.items():
        if name not in begun:
            row = {"feature": name, "encoder": feature.encoder.kind, "last_status": "never run"}
            rows.append(dict.fromkeys([*found.column_names, *_TABLE]) | row)
    last_runs.tell(stores, rows)
    overdue.tell(settings, stores, rows)
    unsettled.tell(stores, rows)
    _tell_unheld(stores, rows)
    return rows


def _tell_unheld(stores: Stores, rows: list[dict[str, Any]]) -> None:
    """Say of each version whose table is not there what `flows.upkeep.unheld` says."""
    found = unheld(stores)
    for row in rows:
        gone = found is not None and (row["feature"], row["version"]) in found.versions
        row["table_gone"] = found.told() if found is not None and gone else None


def _upkeep(
    settings: Settings, stores: Stores, version: Version, published: int | None
) -> dict[str, Any]:
    """How a version's table lies there, and what would make it better."""
    nothing: dict[str, Any] = dict.fromkeys(_TABLE)
    if published is None or version.dropped_at is not None:
        return nothing
    feature = settings.features.get(version.feature)
    manifests = stores.catalog.manifests(version)
    try:
        found = lying(stores, version, manifests, settings.gc, feature)
        if found is None:
            return nothing
        if not last_runs.none_under_way(stores, version.feature):
            found = replace(found, orphan_bytes=0)  # what a run is writing is no state's yet
        todo = due(settings, stores, version, found)
    except StorageError:
        return nothing  # `vecmill doctor` says what of it is damaged
    values: dict[str, Any] = {name: getattr(found, name) for name in _TABLE if name != "upkeep"}
    return values | {"upkeep": todo}
