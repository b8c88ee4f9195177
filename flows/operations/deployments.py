"""Schedules as Prefect deployments: for the process that serves them, or for a work pool."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.schedules import Cron, Interval, RRule
from prefect.types.entrypoint import EntrypointType

from flows.operations import jobs, lineage
from flows.operations.recurrence import ANCHOR

if TYPE_CHECKING:
    from prefect.schedules import Schedule as PrefectSchedule

    from flows.config.settings import Settings
    from flows.operations.recurrence import Recurrence
    from flows.operations.schedules import Schedule

FLOWS = {
    "run": jobs.run,
    "monitor": jobs.monitor,
    "maintain": jobs.maintain,
    "report": jobs.report,
}
COLLISION = {
    "refuse": ConcurrencyLimitStrategy.CANCEL_NEW,
    "queue": ConcurrencyLimitStrategy.ENQUEUE,
}


@dataclass(frozen=True)
class Pool:
    """The work pool whose workers are to carry out what is due.

    Attributes:
        name: its name on the server; None where that is left to those who deploy the files.
        image: the image that a worker starts, where the pool is of containers.
        conf: the configuration file as the worker finds it.
    """

    name: str | None
    image: str | None
    conf: str

    def variables(self) -> dict[str, Any]:
        """The job variables, over those that the pool has."""
        return {} if self.image is None else {"image": self.image}


def deployment(settings: Settings, schedule: Schedule, pool: Pool | None) -> RunnerDeployment:
    """A deployment that starts what a schedule says.

    Args:
        settings: the configuration.
        schedule: one of it.
        pool: where workers take it from; None where this process is to serve it.
    """
    made = RunnerDeployment.from_flow(
        FLOWS[schedule.does],
        lineage.deployment(settings, schedule.name),
        schedule=due(schedule.when, active=schedule.active),
        concurrency_limit=ConcurrencyLimitConfig(
            limit=1, collision_strategy=COLLISION[schedule.overlap]
        ),
        parameters=parameters(settings, schedule, pool),
        tags=tags(settings, schedule),
        description=described(settings, schedule),
        version=version("vecmill"),
        entrypoint_type=EntrypointType.MODULE_PATH,
        work_pool_name=None if pool is None else pool.name,
        job_variables={} if pool is None else pool.variables(),
    )
    if pool is None:
        # Set, though to nothing, so that a deployment that once was a pool's is taken from it.
        made.work_pool_name = made.work_queue_name = None
    return made


def full_name(settings: Settings, schedule: Schedule) -> str:
    """The name of a schedule's deployment, after its flow's."""
    return f"{FLOWS[schedule.does].name}/{lineage.deployment(settings, schedule.name)}"


def parameters(settings: Settings, schedule: Schedule, pool: Pool | None) -> dict[str, Any]:
    """What the flow is started with."""
    found: dict[str, Any] = {
        "schedule": schedule.name,
        "conf": str(settings.conf) if pool is None else pool.conf,
    }
    return found | ({"features": list(schedule.features)} if schedule.features else {})


def tags(settings: Settings, schedule: Schedule) -> list[str]:
    """What the deployment and its runs are found by."""
    return ["vecmill", lineage.project(settings), *schedule.features]


def described(settings: Settings, schedule: Schedule) -> str:
    """The deployment in a few sentences, for its page."""
    names = ", ".join(schedule.features) or "all features"
    does = {
        "run": f"Brings {names} up to date, and lets the monitors look.",
        "monitor": f"Lets the monitors of {names} look.",
        "maintain": f"Mends indexes, puts small files together and cleans up: {names}.",
        "report": f"Writes the pages of {names}.",
    }[schedule.does]
    meanwhile = {
        "refuse": "A start while one goes on is refused.",
        "queue": "A start while one goes on waits for it.",
    }[schedule.overlap]
    source = f"Made from [schedules.{schedule.name}] of {settings.conf.name}; change it there."
    return f"{does} {meanwhile} {source}"


def due(when: Recurrence, *, active: bool) -> PrefectSchedule:
    """A recurrence as Prefect has it."""
    more: dict[str, Any] = {"timezone": when.counted_in, "active": active}
    if when.kind == "cron":
        return Cron(when.text, **more)
    if when.kind == "rrule":
        return RRule(when.text, **more)
    return Interval(when.interval, anchor_date=ANCHOR, **more)
