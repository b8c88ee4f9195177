"""Runs and monitors, through Prefect or straight in this process: the command line's one choice."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from flows.engines.engine import direct
from flows.monitoring import looking as monitoring
from flows.output.progress import listening
from flows.pipeline import backfills
from flows.pipeline import fit as fitting_step
from flows.pipeline import stages as pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.config.settings import Settings
    from flows.output.progress import Reporter
    from flows.pipeline.backfills import Asked
    from flows.pipeline.learning import Draw
    from flows.pipeline.scope import Scope, Target


class Runner(Protocol):
    """Carries out the flows, and gives their results as plain values."""

    def embed(
        self,
        feature: str,
        *,
        refit: bool = False,
        target: Target = "configured",
        scope: Scope | None = None,
    ) -> dict[str, Any]:
        """One run: `flows.pipeline.outcomes.Outcome.row`."""
        ...

    def backfill(self, feature: str, asked: Asked, workers: int | None) -> list[dict[str, Any]]:
        """One backfill: its windows, `storage.backfills.WindowRow` as plain values."""
        ...

    def fit(self, feature: str, draw: Draw) -> dict[str, Any]:
        """One fit: `flows.pipeline.fit.Fitted.row`."""
        ...

    def monitor(
        self, feature: str, version: int | None = None, *, again: bool = True
    ) -> list[dict[str, Any]]:
        """One look at the last run: its findings, `storage.model.FindingRow` as plain values."""
        ...


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

    def embed(
        self,
        feature: str,
        *,
        refit: bool = False,
        target: Target = "configured",
        scope: Scope | None = None,
        workers: int | None = None,
    ) -> dict[str, Any]:
        keys = self.settings.engine
        engine = direct(replace(keys, workers=workers or keys.workers))
        return pipeline.embed(
            *(self.settings, feature, engine, self.reporter),
            refit=refit,
            target=target,
            scope=scope,
        ).row()

    def backfill(self, feature: str, asked: Asked, workers: int | None) -> list[dict[str, Any]]:
        def carry_out(target: Target, scope: Scope) -> dict[str, Any]:
            return self.embed(feature, target=target, scope=scope, workers=workers)

        rows = backfills.backfill(self.settings, feature, asked, carry_out, self.reporter)
        return [asdict(row) for row in rows]

    def fit(self, feature: str, draw: Draw) -> dict[str, Any]:
        return fitting_step.fit(self.settings, feature, draw, self.reporter).row()

    def monitor(
        self, feature: str, version: int | None = None, *, again: bool = True
    ) -> list[dict[str, Any]]:
        found = monitoring.monitor(self.settings, feature, self.reporter, version, again=again)
        return [asdict(finding) for finding in found]


@dataclass(frozen=True)
class _Flows:
    settings: Settings
    run: Any  # the module flows.run, imported only when Prefect is wanted

    def embed(
        self,
        feature: str,
        *,
        refit: bool = False,
        target: Target = "configured",
        scope: Scope | None = None,
    ) -> dict[str, Any]:
        plain = None if scope is None else scope.plain()
        row: dict[str, Any] = self.run.embed(
            feature, str(self.settings.conf), refit=refit, target=target, scope=plain
        )
        return row

    def backfill(self, feature: str, asked: Asked, workers: int | None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.run.backfill(
            feature, str(self.settings.conf), **asdict(asked), workers=workers
        )
        return rows

    def fit(self, feature: str, draw: Draw) -> dict[str, Any]:
        row: dict[str, Any] = self.run.fit(
            feature, str(self.settings.conf), since=draw.since, until=draw.until, sample=draw.size
        )
        return row

    def monitor(
        self, feature: str, version: int | None = None, *, again: bool = True
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.run.monitor(
            feature, str(self.settings.conf), version, again=again
        )
        return rows
