"""What follows a look of the monitors: the pages and metrics that the configuration asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flows.progress import Reporter
    from flows.settings import Settings


def write(settings: Settings, name: str, number: int | None, reporter: Reporter) -> None:
    """Write the feature's page and the metrics of all features, where ``[reports]`` asks for them.

    The findings are kept by then, so what cannot be written is noted and no more.

    Args:
        settings: the configuration.
        name: the feature that was looked at.
        number: its version, where that is not the live one.
        reporter: told of what was written, or why not.
    """
    from flows import prometheus, report_files
    from storage.model import StorageError

    reports = settings.reports
    try:
        if reports.page:
            report_files.make(settings, name, reporter, number, None)
        if reports.prometheus is not None:
            target = settings.root / reports.prometheus
            target.parent.mkdir(parents=True, exist_ok=True)
            prometheus.write(settings, target)
    except (StorageError, OSError) as error:
        reporter.note(f"{name}: what [reports] asks for is not written: {error}")
