"""What follows a look of the monitors: the pages and metrics that the configuration asks for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flows.config.settings import Settings
    from flows.output.progress import Reporter


def write(settings: Settings, name: str, number: int | None, reporter: Reporter) -> None:
    """Write the feature's page and the metrics of all features, where ``[reports]`` asks for them.

    The findings are kept by then, so what cannot be written is noted and no more.

    Args:
        settings: the configuration.
        name: the feature that was looked at.
        number: its version; the live one where none is given.
        reporter: told of what was written, or why not.
    """
    if settings.reports.page:
        _noting(reporter, name, partial(_page, settings, name, number, reporter))
    metrics(settings, name, reporter)


def metrics(settings: Settings, name: str, reporter: Reporter) -> None:
    """Write the metrics of all features, where ``[reports]`` asks for them."""
    if settings.reports.prometheus is not None:
        _noting(reporter, name, partial(_metrics, settings, settings.reports.prometheus))


def _page(settings: Settings, name: str, number: int | None, reporter: Reporter) -> None:
    from flows.config.stores import Stores
    from flows.reports import files

    live = Stores.of(settings).catalog.live(name)
    shown = None if live is not None and number == live.version else number
    files.make(settings, name, reporter, shown, None)


def _metrics(settings: Settings, file: str) -> None:
    from flows.reports import prometheus

    target = settings.root / file
    target.parent.mkdir(parents=True, exist_ok=True)
    prometheus.write(settings, target)


def _noting(reporter: Reporter, name: str, write: Callable[[], None]) -> None:
    try:
        write()
    except Exception as error:  # noqa: BLE001 - what was found, and published, must not be lost by it
        reporter.note(f"{name}: what [reports] asks for is not written: {error}")
