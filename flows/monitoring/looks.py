"""Runs that published vectors, and whose process ended before the monitors had looked at them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.config.stores import Stores

if TYPE_CHECKING:
    from flows.config.settings import Settings

# The last run that wrote vectors to a version is the one that monitors look at. Backfills are not
# looked at, nor is a version that nobody reads or will read.
_MISSED = """
SELECT m.version FROM (
    SELECT * FROM manifests WHERE feature = $1 AND new + changed > 0
    QUALIFY row_number() OVER (PARTITION BY version ORDER BY
        lance_version DESC, published_at DESC, run_id DESC) = 1) m
JOIN versions v USING (feature, version)
WHERE m.kind <> 'backfill' AND v.standing <> 'retired' AND v.dropped_at IS NULL
AND NOT EXISTS (SELECT 1 FROM findings f WHERE f.feature = m.feature AND f.run_id = m.run_id
    AND (f.blocks <> 'publishing' OR $2))
ORDER BY m.version
"""


def missed(settings: Settings, name: str) -> list[int]:
    """The versions of a feature whose last writing run has no findings, though it should have.

    Raises:
        StorageError: if the catalog cannot be read.
    """
    monitors = settings.feature(name).monitors
    if not monitors:
        return []
    # Those have looked before the run was published, and if there are no others, all have.
    only_before = all(monitor.blocks == "publishing" for monitor in monitors)
    found = Stores.of(settings).catalog.query(_MISSED, name, only_before)
    numbers: list[int] = found.column("version").to_pylist()
    return numbers
