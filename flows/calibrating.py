"""The null rate of a feature's monitors, measured on the rows that they hold runs against."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from flows import monitoring
from flows.calibration import null_rates
from flows.monitoring import MonitorError
from flows.samples import Samples
from flows.stores import Stores
from storage.ids import seed

if TYPE_CHECKING:
    from flows.calibration import Rate
    from flows.progress import Reporter
    from flows.settings import Settings

MOST = 100_000
_CHUNK = re.compile(r"#\d+$")


def calibrate(
    settings: Settings,
    name: str,
    looks: int,
    reporter: Reporter,
    number: int | None = None,
) -> list[Rate]:
    """Measure how often the feature's monitors raise an alarm where nothing has changed.

    The rows are those of the reference of the last run, and of that run itself where it has none.
    Splits are of the sizes of the last look as far as the rows go, and seeded by the run.

    Args:
        settings: the configuration.
        name: the feature.
        looks: how many splits.
        reporter: told of progress.
        number: the version to look at; the live one where none is given.

    Raises:
        MonitorError: as `monitoring.monitor`, or if there are too few rows or looks.
    """
    if not 1 <= looks <= MOST:
        raise MonitorError(f"--calibrate takes 1 to {MOST:,} splits, got {looks}; 200 will do")
    feature = settings.feature(name)
    stores = Stores.of(settings)
    version, manifests, current = monitoring.last_look(stores, name, number)
    reference = monitoring.reference_of(feature, version, manifests, current)
    monitors = feature.monitors or settings.default_monitors
    rng = np.random.default_rng(seed(f"{current.run_id} calibrate"))
    ours, theirs = Samples.for_(stores, version, monitors).pair(reference, current, rng)
    rows = ours if len(ours) else theirs
    if rows.sketch is not None:
        # It is of the whole side: both halves of every split would be given the same one.
        rows = replace(rows, sketch=None)
        reporter.note(
            f"{name}: the last look compared sketches of all contents; what is measured is the "
            "same tests on the rows that were drawn"
        )
    if len(rows) < 2:  # noqa: PLR2004 - two sides
        raise MonitorError(f"{version.table} has {len(rows)} rows to split; 2 are the least")
    records = None
    if version.chunked:
        records = [_CHUNK.sub("", record_id) for record_id in rows.record_ids]
    reporter.stage(name, "calibrate", looks)
    return null_rates(
        monitors, rows, len(theirs), looks, rng, records=records, done=reporter.advance
    )
