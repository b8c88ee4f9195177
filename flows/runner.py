"""Runs and monitors, through Prefect or straight in this process: the command line's one choice."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from flows.engines.engine import direct
from flows.monitoring import looking as monitoring
from flows.output.progress import listening
from flows.output.stopping import acknowledging
from flows.pipeline import backfills
from flows.pipeline import fit as fitting_step
from flows.pipeline import stages as pipeline
from flows.pipeline.refusals import RunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flows.config.settings import Settings
    from flows.output.progress import Reporter
    from flows.pipeline.backfills import Asked
    from flows.pipeline.learning import Draw
    from flows.pipeline.scope import Scope, Target

_ENDS = "stopping; what is being encoded at this moment is finished first, and kept"
_STAYS = "what was done is done, though Prefect's pages may show it as going on"
_GOES_ON = ", and what is left goes on without Prefect"


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
def runner(settings: Settings, reporter: Reporter, *, direct: bool | None) -> Iterator[Runner]:
    """A runner for the block: in this process, or as Prefect flow runs.

    Prefect's own server, where none is configured, starts with the first flow and ends with the
    process.

    Args:
        settings: the configuration.
        reporter: told of what happens.
        direct: whether to do without Prefect; as ``[engine]`` says where nobody says it.
    """
    with acknowledging(lambda: reporter.note(_ENDS)):
        if settings.engine.direct if direct is None else direct:
            yield _Here(settings, reporter)
            return
        from flows import run
        from flows.operations import unheard

        with listening(reporter), unheard.leaving(run.unanswered):
            yield _Flows(settings, reporter, run)


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


@dataclass
class _Flows:
    """Through Prefect, for as long as its server answers."""

    settings: Settings
    reporter: Reporter
    run: Any  # the module flows.run, imported only when Prefect is wanted
    heard: bool = False  # whether its server has taken what a flow came to
    gone: bool = False

    def embed(
        self,
        feature: str,
        *,
        refit: bool = False,
        target: Target = "configured",
        scope: Scope | None = None,
    ) -> dict[str, Any]:
        plain = None if scope is None else scope.plain()
        row: dict[str, Any] = self._carried(
            "embed",
            lambda: self.run.embed(feature, self._conf, refit=refit, target=target, scope=plain),
            lambda here: here.embed(feature, refit=refit, target=target, scope=scope),
        )
        return row

    def backfill(self, feature: str, asked: Asked, workers: int | None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._carried(
            "backfill",
            lambda: self.run.backfill(feature, self._conf, **asdict(asked), workers=workers),
            lambda here: here.backfill(feature, asked, workers),
        )
        return rows

    def fit(self, feature: str, draw: Draw) -> dict[str, Any]:
        more = {"since": draw.since, "until": draw.until, "sample": draw.size}
        row: dict[str, Any] = self._carried(
            "fit",
            lambda: self.run.fit(feature, self._conf, **more),
            lambda here: here.fit(feature, draw),
        )
        return row

    def monitor(
        self, feature: str, version: int | None = None, *, again: bool = True
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._carried(
            "monitor",
            lambda: self.run.monitor(feature, self._conf, version, again=again),
            lambda here: here.monitor(feature, version, again=again),
        )
        return rows

    @property
    def _conf(self) -> str:
        return str(self.settings.conf)

    def _carried(self, name: str, flow: Callable[[], Any], instead: Callable[[_Here], Any]) -> Any:  # noqa: ANN401 - of any flow
        """What a flow comes to, also where Prefect's server is gone by its end.

        What is left to do is then done without it, but where it hands out slots.

        Raises:
            RunError: if it was gone before.
        """
        from flows.operations import unheard

        without = self.settings.engine.concurrency_limit is None
        if self.gone and without:
            return instead(_Here(self.settings, self.reporter))
        with unheard.keeping() as kept:
            try:
                found = flow()
            except Exception as error:
                silent = self.run.unanswered() if unheard.of_connection(error) else None
                if silent is None:
                    raise
                failed = None if name in kept.results else unheard.behind(error)
                known = name in kept.results or failed is not None
                if not known and not (self.heard and without):
                    raise RunError(f"{silent.why}; {silent.remedy}") from error
                self.gone = True
                self.reporter.note(f"{silent.why}; {_STAYS}{_GOES_ON if without else ''}")
            else:
                self.heard = True
                return found
        if failed is not None:
            raise failed
        if name in kept.results:
            return kept.results[name]
        return instead(_Here(self.settings, self.reporter))
