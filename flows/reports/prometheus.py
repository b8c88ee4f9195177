"""Metrics of features in Prometheus' text format, for its node exporter's textfile collector.

What stands in the catalog is what is told: nothing is measured for it. Labels are names from the
configuration and numbers of versions; no record is named.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, get_args

from flows.config.stores import Stores
from flows.lifecycle.status import status
from flows.monitors.base import Verdict
from storage.entries import code_version
from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from prometheus_client import CollectorRegistry

    from flows.config.settings import Settings

_FINDINGS = """
SELECT feature, version, monitor, verdict, statistic, threshold, p_value, effect_size, n_current,
       found_at, series->>'$.looks' AS looks, series->>'$.budget' AS budget,
       series->>'$.spent' AS spent, series->>'$.e_value' AS e_value
FROM findings f
-- Those of a monitor that is configured no more are older than the last published look.
WHERE run_id >= coalesce((SELECT max(run_id) FROM findings g JOIN manifests USING (run_id)
    WHERE g.feature = f.feature AND g.version = f.version), '')
QUALIFY row_number() OVER (PARTITION BY feature, version, monitor ORDER BY found_at DESC) = 1
ORDER BY ALL
"""
_OF_VERSIONS = (
    ("rows", "Rows that readers of the version see.", "rows"),
    ("dead_letters", "Records that could not be read or encoded.", "dead"),
)
_OF_FINDINGS = (
    ("statistic", "What the monitor measured at its last look.", "statistic"),
    ("threshold", "What that was held against.", "threshold"),
    ("p_value", "Probability of such a statistic if nothing had changed.", "p_value"),
    ("effect_size", "How large the change is, in the monitor's own unit.", "effect_size"),
    ("records", "Current records that the monitor looked at.", "n_current"),
    ("timestamp_seconds", "When the monitor last looked.", "found_at"),
)
_OF_SERIES = (
    ("looks", "Looks of the monitor in its series.", "looks"),
    ("budget", "False alarms that the series may raise, as a probability.", "budget"),
    ("budget_spent", "How much of that is spent.", "spent"),
    ("e_value", "Evidence against no change over the series.", "e_value"),
)


def write(settings: Settings, target: Path, features: Collection[str] | None = None) -> None:
    """Write the metrics of features, of all where none is named; whole or not at all.

    Raises:
        UsageError: if the file cannot be written.
    """
    from prometheus_client import write_to_textfile

    try:
        write_to_textfile(str(target), metrics(settings, features))
    except OSError as error:
        raise UsageError(
            f"cannot write metrics into {target}: {error.strerror or error}; name a file in a "
            "folder that is there"
        ) from error


def metrics(settings: Settings, features: Collection[str] | None = None) -> CollectorRegistry:
    """The metrics of features as a registry, for whoever wants to serve them otherwise."""
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    gauges = _Gauges(registry)
    gauges.set("build_info", "The Vecmill that wrote this.", 1, version=code_version() or "")
    rows = [row for row in status(settings) if features is None or row["feature"] in features]
    for row in rows:
        _version(gauges, row)
    for feature in dict.fromkeys(row["feature"] for row in rows):
        _runs(gauges, settings, feature)
        _outcome(gauges, feature, [row for row in rows if row["feature"] == feature])
    for row in Stores.of(settings).catalog.query(_FINDINGS).to_pylist():
        if features is None or row["feature"] in features:
            _finding(gauges, row)
    return registry


class _Gauges:
    """The gauges of one registry, each made when it is first set."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._known: dict[str, Any] = {}

    def set(self, name: str, words: str, value: Any, **labels: str) -> None:  # noqa: ANN401 - numbers and times
        """Set one; a value that there is none of sets none."""
        from prometheus_client import Gauge

        if value is None:
            return
        if name not in self._known:
            self._known[name] = Gauge(f"vecmill_{name}", words, [*labels], registry=self._registry)
        number = value.timestamp() if isinstance(value, datetime) else value
        self._known[name].labels(**labels).set(float(number))


def _version(gauges: _Gauges, row: Mapping[str, Any]) -> None:
    if row["version"] is None:
        return
    labels = _labels(row) | {"standing": row["standing"]}
    for name, words, key in _OF_VERSIONS:
        gauges.set(name, words, row[key], **labels)


_LAST = """
SELECT epoch(max(started_at)) AS started, epoch(max(finished_at) FILTER (status = 'done')) AS done,
       arg_max(seconds, started_at) FILTER (status = 'done') AS seconds
FROM runs WHERE feature = ?
"""


def _runs(gauges: _Gauges, settings: Settings, feature: str) -> None:
    [row] = Stores.of(settings).catalog.query(_LAST, feature).to_pylist()
    told: tuple[tuple[str, str, object], ...] = (
        ("last_run_timestamp_seconds", "When the feature's last run began.", row["started"]),
        ("last_run_success_timestamp_seconds", "When a run last ended well.", row["done"]),
        ("last_run_duration_seconds", "How long that run took.", row["seconds"]),
    )
    for name, words, value in told:
        gauges.set(name, words, value, feature=feature)


def _outcome(gauges: _Gauges, feature: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """How the last run ended, by the rows of a feature's versions: also one that was killed."""
    ran = [row for row in rows if row["started_at"] is not None]
    if ran:
        last = max(ran, key=lambda row: row["started_at"])
        failed = last["last_status"] in {"failed", "crashed"}
        gauges.set("last_run_failed", "Whether the feature's last run failed.", failed,
                   feature=feature)  # fmt: skip


def _finding(gauges: _Gauges, row: Mapping[str, Any]) -> None:
    labels = _labels(row) | {"monitor": row["monitor"]}
    # As kube-state-metrics tells of phases: one series a verdict, 1 where it is the one.
    for verdict in get_args(Verdict):
        gauges.set("finding", "Whether a monitor's last look says so.", row["verdict"] == verdict,
                   **labels, verdict=verdict)  # fmt: skip
    for name, words, key in _OF_FINDINGS:
        gauges.set(f"finding_{name}", words, row[key], **labels)
    for name, words, key in _OF_SERIES:
        gauges.set(f"series_{name}", words, row[key], **labels)


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    return {"feature": row["feature"], "version": str(row["version"])}
