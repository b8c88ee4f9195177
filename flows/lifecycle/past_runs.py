"""The last runs: what each did, how it ended, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.config.stores import Stores
from flows.lifecycle.last_runs import none_under_way
from storage.model import UsageError

if TYPE_CHECKING:
    from flows.config.settings import Settings

_LAST = """
SELECT run_id AS run, feature, version, kind, status, started_at, finished_at, seconds, encoded,
       dead, error
FROM runs WHERE $1::VARCHAR IS NULL OR feature = $1 ORDER BY started_at DESC, run_id DESC LIMIT $2
"""


def past_runs(settings: Settings, feature: str | None, most: int) -> list[dict[str, Any]]:
    """The last runs, the newest first.

    Args:
        settings: the configuration.
        feature: whose they are; of all where it is None.
        most: how many.

    Returns:
        A row a run that the catalog knows, with its ``status``: ``done``, ``failed``, ``running``,
        or ``crashed`` where the process ended before it did. ``seconds`` is None until it ended.

    Raises:
        UsageError: if fewer than one is asked for.
        SettingsError: if the feature has no runs, and is not configured.
    """
    if most < 1:
        raise UsageError(f"-k must be at least 1, got {most}")
    stores = Stores.of(settings)
    rows: list[dict[str, Any]] = stores.catalog.query(_LAST, feature, most).to_pylist()
    if not rows and feature is not None:
        settings.feature(feature)
    _mark_crashed(stores, [row for row in rows if row["status"] == "running"])
    return rows


def _mark_crashed(stores: Stores, running: list[dict[str, Any]]) -> None:
    names = {row["feature"] for row in running}
    gone = {name for name in names if none_under_way(stores, name)}
    if not gone:
        return
    # A run that ended between the two looks has freed its lock, but was put down as ended first.
    found = stores.catalog.query("SELECT run_id FROM runs WHERE status = 'running'")
    still = set(found["run_id"].to_pylist())
    for row in running:
        if row["feature"] in gone and row["run"] in still:
            row["status"] = "crashed"
