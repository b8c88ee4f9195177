"""Runs and monitors, through Prefect or straight in this process: the command line's one choice."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from flows import monitoring, pipeline
from flows.engine import Direct
from flows.progress import listening

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.progress import Reporter
    from flows.settings import Settings


class Runner(Protocol):
    """Carries out the two flows, and gives their results as plain values."""

    def embed(self, feature: str, *, refit: bool = False) -> dict[str, Any]:
        """One run: `flows.outcomes.Outcome.row`."""

    def monitor(self, feature: str, version: int | None = None) -> list[dict[str, Any]]:
        """One look at the last run: its findings, `storage.model.FindingRow` as plain values."""


@contextmanager
def runner(settings: Settings, reporter: Reporter, *, direct: bool) -> Iterator[Runner]:
    """A runner for the block: in this process, or as Prefect flow runs.

    Prefect's own server, where none is configured, starts with the first flow and ends with the
    process.
    """
    if direct:
        yield _Here(settings, reporter)
        return
    from flows import run

    with listening(reporter):
        yield _Flows(settings, run)


@dataclass(frozen=True)
class _Here:
    settings: Settings
    reporter: Reporter

    def embed(self, feature: str, *, refit: bool = False) -> dict[str, Any]:
        engine = Direct(self.settings.engine.retries)
        return pipeline.embed(self.settings, feature, engine, self.reporter, refit=refit).row()

    def monitor(self, feature: str, version: int | None = None) -> list[dict[str, Any]]:
        found = monitoring.monitor(self.settings, feature, self.reporter, version)
        return [asdict(finding) for finding in found]


@dataclass(frozen=True)
class _Flows:
    settings: Settings
    run: Any  # the module flows.run, imported only when Prefect is wanted

    def embed(self, feature: str, *, refit: bool = False) -> dict[str, Any]:
        flow = self.run.with_workers(self.settings.engine.workers)
        row: dict[str, Any] = flow(feature, str(self.settings.conf), refit=refit)
        return row

    def monitor(self, feature: str, version: int | None = None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.run.monitor(feature, str(self.settings.conf), version)
        return rows
