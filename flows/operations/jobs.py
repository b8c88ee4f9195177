"""What a schedule starts, as Prefect flows: `run`, `monitor`, `maintain` and `report`.

Each goes through its features one by one, and one that fails keeps no other from its turn; the flow
run then fails, and says which. Time-outs and retries are read where the flow runs, from the
schedule's keys. Parameters are names alone, so that a deployment's form in Prefect's UI can be
filled in by hand.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from flows import run as flows_run  # first: it sets what Prefect reads when it is imported

# isort: split

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run

from flows.alerts import afterwards
from flows.config.configuration import load
from flows.config.nearest import hint
from flows.config.settings import SettingsError
from flows.monitoring.looks import missed
from flows.operations import ending, lines, shown
from flows.output.codes import USAGE, code_of
from flows.output.progress import ToLogger, listener, listening
from flows.output.redact import redact, redacting
from flows.output.stopping import acknowledging
from flows.pipeline import kin, unbegun
from flows.pipeline.batches import StoppedError
from flows.reports import files
from flows.upkeep.gc import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.config.settings import Settings
    from flows.operations.schedules import Schedule

Rows = list[dict[str, Any]]
LEFTOVERS = "what is no feature's"


class JobError(Exception):
    """Something that a schedule started has failed; the message says what, and why."""


def _is_told(error: Exception) -> bool:
    told = isinstance(error, JobError | StoppedError) or code_of(error) is not None
    return told or shown.of_connection(error)


def _named() -> str:
    """What a run is called: after its schedule, and when it was due."""
    due = flow_run.scheduled_start_time
    return f"{flow_run.parameters['schedule']} {due:%Y-%m-%d %H:%M:%S}"


_ALIKE: dict[str, Any] = {
    "flow_run_name": _named,
    "persist_result": False,
    "on_crashed": [shown.cut_short],
    "on_cancellation": [shown.cut_short],
}


@flow(name="vecmill-run", **_ALIKE)
def run(schedule: str, conf: str | None = None, features: list[str] | None = None) -> Rows:
    """Bring features up to date, each by a subflow run of `embed`, and let their monitors look.

    Args:
        schedule: the schedule's name in the configuration.
        conf: the configuration file, as for ``vecmill --conf``.
        features: what to run instead of what the schedule names.

    Returns:
        A row a version, as ``vecmill run --json`` prints it.
    """
    with _Job.of(schedule, conf, features) as job:
        return job.each(job.run)


@flow(name="vecmill-monitor", **_ALIKE)
def monitor(schedule: str, conf: str | None = None, features: list[str] | None = None) -> Rows:
    """Let the monitors of features look at their last runs, each by a subflow run of `monitor`.

    Args:
        schedule: the schedule's name in the configuration.
        conf: the configuration file, as for ``vecmill --conf``.
        features: what to look at instead of what the schedule names.

    Returns:
        A row a finding.
    """
    with _Job.of(schedule, conf, features) as job:
        return job.each(job.monitor)


@flow(name="vecmill-maintain", **_ALIKE)
def maintain(schedule: str, conf: str | None = None, features: list[str] | None = None) -> Rows:
    """Mend indexes, put small files together and remove what [gc] allows.

    Args:
        schedule: the schedule's name in the configuration.
        conf: the configuration file, as for ``vecmill --conf``.
        features: what to maintain instead of what the schedule names.

    Returns:
        A row for each thing that was done, as ``vecmill maintain --yes --json`` prints it.
    """
    with _Job.of(schedule, conf, features) as job:
        return job.each(job.maintain, also=None if job.named else LEFTOVERS)


@flow(name="vecmill-report", **_ALIKE)
def report(schedule: str, conf: str | None = None, features: list[str] | None = None) -> Rows:
    """Write the pages of features, and the metrics where [reports] asks for them.

    Args:
        schedule: the schedule's name in the configuration.
        conf: the configuration file, as for ``vecmill --conf``.
        features: what to write of instead of what the schedule names.

    Returns:
        A row a feature: its page.
    """
    with _Job.of(schedule, conf, features) as job:
        return job.each(job.report) if job.named else job.each(job.reports, ["all features"])


@dataclass
class _Job:
    """One start of a schedule; within its block, notes go to the flow run's log."""

    settings: Settings
    schedule: Schedule
    names: list[str]
    named: bool  # rather than all that there are
    began: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, name: str, conf: str | None, features: Sequence[str] | None) -> _Job:
        if ending.with_server(flow_run.id):
            shown.without_traces(_is_told)
        try:
            with redacting():
                return cls._read(name, conf, features)
        except SettingsError as error:
            get_run_logger().error("%s", redact(lines.not_begun(name, str(error), conf)))
            raise

    @classmethod
    def _read(cls, name: str, conf: str | None, features: Sequence[str] | None) -> _Job:
        settings = load(Path(conf) if conf else None)
        if name not in settings.schedules:
            raise SettingsError(f"no schedule {name!r}{hint(name, settings.schedules)}")
        schedule = settings.schedules[name]
        given = list(features or schedule.features)
        for feature in given:
            settings.feature(feature)
        names = kin.ordered(settings.features, given or list(settings.features))
        return cls(settings, schedule, names, bool(given))

    def __enter__(self) -> Self:
        self._blocks = ExitStack()
        self._blocks.enter_context(listening(ToLogger(get_run_logger())))
        # Shards are to hear of an end; it is told by the process that serves the run.
        self._blocks.enter_context(acknowledging(lambda: None))
        return self

    def __exit__(self, *exc: object) -> None:
        self._blocks.close()

    # --- the steps ------------------------------------------------------------------------------

    def run(self, name: str) -> Rows:
        began = time.monotonic()
        with unbegun.noted(self.settings, name):
            before = self._look(name)
        for said in before.values():
            listener().note(lines.looked(name, said))
        row = self._within(flows_run.embed)(name, str(self.settings.conf))
        looks = self._look(name)
        rows = [{k: v for k, v in row.items() if k != "also"}, *row.get("also", [])]
        for one in rows:
            told = lines.ran(one, looks.get(one["version"]), time.monotonic() - began)
            listener().note(told)
        return [{**one, "status": "done"} for one in rows]

    def _look(self, name: str) -> dict[int, Rows]:
        """Let the monitors look at what they have yet to see, whichever run wrote it.

        Returns:
            What they said by version.
        """
        found: dict[int, Rows] = {}
        for number in missed(self.settings, name):
            look = self._within(flows_run.monitor)
            try:
                found[number] = look(name, str(self.settings.conf), number, again=False)
            except Exception as error:  # noqa: BLE001 - what is published must not keep the next run back
                listener().note(f"{name}: the monitors cannot look at v{number}: {error}")
        return found

    def monitor(self, name: str) -> Rows:
        found: Rows = self._within(flows_run.monitor)(name, str(self.settings.conf))
        listener().note(lines.looked(name, found))
        keys = ("monitor", "verdict", "summary")
        return [{"feature": name, **{key: finding[key] for key in keys}} for finding in found]

    def maintain(self, name: str) -> Rows:
        collector = Collector(self.settings, self.settings.gc, indexes=True)
        names = [] if name == LEFTOVERS else [name]

        def collect() -> Rows:
            items = [item for item in collector.collect(names, listener()) if item.goes]
            listener().note(f"{name}: {len(items):,} things put in order")
            return [item.row() for item in items]

        return self._task(f"maintain {name}", collect)

    def report(self, name: str) -> Rows:
        def make() -> Rows:
            made, where = files.make(self.settings, name, listener(), None, None)
            afterwards.metrics(self.settings, name, listener())
            return [_page(name, made.conclusion.sentence, where)]

        return self._task(f"report {name}", make)

    def reports(self, name: str) -> Rows:
        def make() -> Rows:
            made, where = files.make_all(self.settings, listener(), None)
            afterwards.metrics(self.settings, name, listener())
            return [_page(one.feature, one.conclusion.sentence, where) for one in made]

        return self._task("report", make)

    # --- how they are carried out ---------------------------------------------------------------

    def each(
        self,
        step: Callable[[str], Rows],
        names: Sequence[str] | None = None,
        also: str | None = None,
    ) -> Rows:
        """A step for each feature, and once more for what ``also`` names if none has failed.

        Raises:
            JobError: if one has failed, once all have had their turn.
        """
        rows: Rows = []
        failed: dict[str, str] = {}
        names = self.names if names is None else names
        for name in names:
            self._attempt(step, name, rows, failed)
        if also is not None and not failed:
            self._attempt(step, also, rows, failed)
        shown.table(self.schedule.name, rows)
        if failed:
            told = "; ".join(error if error.startswith(n) else f"{n}: {error}"
                             for n, error in failed.items())  # fmt: skip
            raise JobError(f"{len(failed)} of {len(names)} failed: {told}")
        return rows

    def _attempt(
        self, step: Callable[[str], Rows], name: str, rows: Rows, failed: dict[str, str]
    ) -> None:
        began = time.monotonic()
        try:
            with redacting():
                rows += self._tried(step, name)
        except Exception as error:  # noqa: BLE001 - the other features have a right to their turn
            failed[name] = redact(str(error)) or type(error).__name__
            if isinstance(error, TimeoutError) and self._remaining() <= 0:
                failed[name] = f"the time-out of {self.schedule.timeout} has passed"
            rows.append({"feature": name, "status": "failed", "error": failed[name]})
            again = f"vecmill {self.schedule.does} {name}" if name in self.names else None
            took, usage = time.monotonic() - began, code_of(error) == USAGE
            told = lines.failed(name, failed[name], took, again, usage=usage)
            get_run_logger().error("%s", redact(told))

    def _tried(self, step: Callable[[str], Rows], name: str) -> Rows:
        pause = self.schedule.retry_after.total_seconds()
        for left in range(self.schedule.retries, -1, -1):
            try:
                return step(name)
            except Exception as error:
                ending.let_go(error)
                # What the configuration says wrongly is as wrong the next time.
                if not left or code_of(error) == USAGE or self._remaining() <= pause:
                    raise
                listener().note(f"{name}: failed, {left} more to try, in {pause:g} s: {error}")
                time.sleep(pause)
        raise AssertionError("a step returns or raises")

    def _left(self) -> float | None:
        """Seconds until the schedule's time-out; None where it has none."""
        if self.schedule.timeout is None:
            return None
        left = self._remaining()
        if left <= 0:
            raise JobError(f"not begun: the time-out of {self.schedule.timeout} had passed")
        return left

    def _remaining(self) -> float:
        if self.schedule.timeout is None:
            return inf
        return self.schedule.timeout.total_seconds() - (time.monotonic() - self.began)

    def _within(self, inner: Any) -> Any:  # noqa: ANN401 - a flow of any signature
        """A flow that ends with the schedule's time-out."""
        left = self._left()
        return inner if left is None else inner.with_options(timeout_seconds=left)

    def _task(self, name: str, function: Callable[[], Rows]) -> Rows:
        left = self._left()

        @task(name=name, timeout_seconds=left, cache_policy=NO_CACHE, persist_result=False)
        def call() -> Rows:
            with redacting():
                return function()

        return call()


def _page(feature: str, sentence: str, where: Path) -> dict[str, Any]:
    listener().note(f"{feature}: {sentence} See {where}")
    return {"feature": feature, "page": str(where), "says": sentence}
