"""The null rate of a feature's monitors, measured on the rows that they hold runs against."""

from __future__ import annotations

import re
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

import numpy as np

from flows.config.stores import Stores
from flows.monitoring import looking as monitoring
from flows.monitoring import references
from flows.monitoring.calibration import enough, null_rates
from flows.monitoring.in_series import alpha_of
from flows.monitoring.looking import MonitorError
from flows.monitoring.samples import Samples
from flows.monitors.base import of_vectors
from flows.output import units
from storage.ids import seed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.config.settings import Monitor, Settings
    from flows.monitoring.calibration import Rate
    from flows.output.progress import Reporter

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
    Splits are of the sizes of the last look as far as the rows go, and seeded by the run. Before
    they begin it is told whether there are enough of them, and after the first two how long all
    will take.

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
    if told := _too_few(monitors, looks):
        reporter.note(f"{name}: {looks} splits are too few to see a promise kept; at least {told}")
    reporter.stage(name, "calibrate", looks)
    done = _Timed(name, looks, reporter)
    rates = null_rates(monitors, rows, len(theirs), looks, rng, records=records, done=done)
    used = reference if reference is not None and len(ours) else None
    if version.state is None or (used and not references.learned_from(used, manifests)):
        return rates
    return [_optimistic(rate, plugin) for rate, plugin in zip(rates, monitors, strict=True)]


def _too_few(monitors: Sequence[Monitor], looks: int) -> str:
    """The splits that would be enough for those of the monitors that promise a rate and want more.

    Others, such as `health`, have no rate to measure, however many splits there are.
    """
    promise = [m for m in monitors if of_vectors(m.kind) and hasattr(m.params, "alpha")]
    few = {m.name: least for m in promise if (least := enough(alpha_of(m))) > looks}
    return ", ".join(f"{least:,} for {monitor}" for monitor, least in few.items())


def _optimistic(rate: Rate, plugin: Monitor) -> Rate:
    """Both halves of a split are of what the encoder learned from; in a look only one side is."""
    if not rate.looks or not of_vectors(plugin.kind):
        return rate
    told = f"{rate.told}; optimistic: the encoder learned from these rows, and fits new ones worse"
    return replace(rate, told=told)


class _Timed:
    """Tells of each split, and from the second, which has nothing to import, of all their time."""

    def __init__(self, name: str, looks: int, reporter: Reporter) -> None:
        self._name, self._looks, self._reporter = name, looks, reporter
        self._done, self._since = 0, monotonic()

    def __call__(self, splits: int) -> None:
        now = monotonic()
        self._done += splits
        if self._done == min(2, self._looks):
            seconds = (now - self._since) * (self._looks - self._done)
            self._reporter.note(
                f"{self._name}: {self._looks} splits; the rest will take {units.about(seconds)}"
            )
        self._since = now
        self._reporter.advance(splits)
