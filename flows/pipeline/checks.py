"""The check of a run before it is published: by the monitors whose alarm blocks publishing.

They look at what is committed and not yet seen by any reader, as they would look at it once it is
published. What they cannot tell, such as a drift in a version's first run, blocks nothing. Windows
of a backfill are checked as runs are: a vector that is not a number is as wrong there.

What a refused run has encoded is kept for the next one, unless the encoder was found changed: put
back to what it was, the next run would mix its vectors with those of the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.alerts import alerting
from flows.config.settings import Reports
from flows.monitoring import looking as monitoring
from flows.monitoring.in_series import in_series
from flows.monitoring.judging import ANEW, Judge
from flows.pipeline.refusals import RunError, refuse_alarms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.config.settings import Monitor
    from flows.pipeline.steps import Run
    from storage.model import FindingRow


def wanted(run: Run) -> bool:
    """Whether there is something to check, and a monitor to do it."""
    counts = run.counts
    return counts is not None and counts.written > 0 and bool(_monitors(run))


def check(run: Run) -> None:
    """Let these monitors look at what would be published, and keep what they find.

    Raises:
        RunError: if one raises an alarm and the run's scope does not allow it.
        MonitorError: if what they are to compare with is not there any more.
    """
    catalog, version, current = run.stores.catalog, run.version, run.manifest()
    manifests = catalog.manifests(version)
    monitors = _monitors(run)
    found = monitoring.look(
        *(run.feature, run.stores, version, manifests, current, monitors, run.reporter),
        profile=run.profile(),
        settings=run.settings,
    )
    found = in_series(run.feature, catalog, version, manifests, current, monitors, found)
    catalog.add_findings(version.feature, version.version, current.run_id, found)
    alerting.tell(run.feature, run.stores, version, current.run_id, found, run.reporter)
    _report(run, found)
    for finding in found:
        if finding.verdict == "cannot tell":
            run.reporter.note(
                f"{version.feature}: {finding.monitor} blocks no publishing this time: "
                f"cannot tell: {finding.summary}"
            )
    if run.scope.allow_alarms:
        return
    changed = any(_tells_of_encoder(*pair) for pair in zip(monitors, found, strict=True))
    try:
        refuse_alarms(run.feature, run.scope, found, kept=not changed)
    except RunError:
        if changed:
            run.forget_encoded()
        raise


def _report(run: Run, found: Sequence[FindingRow]) -> None:
    """Write what [reports] asks for where the run ends here, and no monitor looks any more."""
    held_up = any(finding.verdict == "alarm" for finding in found) and not run.scope.allow_alarms
    if held_up and run.settings.reports != Reports():
        from flows.alerts import afterwards  # as in `flows.monitoring.looking`

        afterwards.write(run.settings, run.feature.name, run.version.version, run.reporter)


def _tells_of_encoder(monitor: Monitor, finding: FindingRow) -> bool:
    """Whether a finding says that the run was encoded by another encoder than its version's."""
    return finding.reference == ANEW or (finding.verdict == "alarm" and Judge.of_encoder(monitor))


def _monitors(run: Run) -> list[Monitor]:
    monitors = run.feature.monitors or run.settings.default_monitors
    return [monitor for monitor in monitors if monitor.blocks == "publishing"]
