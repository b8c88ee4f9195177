"""What was due while nothing served it: made good once, or left out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

    from flows.operations.schedules import Schedule

STOPPED = "Runner is shutting down."
"""What Prefect's runner says of the runs that it stops as it ends."""
CATCHING_UP = "catch-up"
_DIED = "Its process ended, or Prefect's server did, before it could say how it went."
_GOING = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
_WAITING = [StateType.SCHEDULED, StateType.PENDING]


@dataclass(frozen=True)
class Missed:
    """Whether something is to be made good, and why."""

    why: str


async def missed(client: PrefectClient, name: str, schedule: Schedule) -> Missed | None:
    """What a schedule has missed, by the runs that the server knows; before it is served anew.

    Args:
        client: of the server.
        name: the flow's name and the deployment's, with a slash between them.
        schedule: the schedule.

    Returns:
        None where nothing was missed, or the schedule is new.
    """
    try:
        found = await client.read_deployment_by_name(name)
    except ObjectNotFound:
        return None
    last = await _last(client, found.id)
    if last is not None and _was_cut_short(last):
        # Not by its name: until a run has begun that is one that Prefect has made up.
        start = last.expected_start_time
        when = "" if start is None else f", due {start:%Y-%m-%d %H:%M:%S},"
        return Missed(f"its last run{when} was stopped before its end")
    since = last.expected_start_time if last is not None else found.created
    if since is None:
        return None
    # Prefect's moments are of a class of their own, which cannot be divided.
    due = schedule.when.after(datetime.fromtimestamp(since.timestamp(), UTC))
    if due is None or due > datetime.now(UTC):
        return None
    return Missed(f"it was due at {due:%Y-%m-%d %H:%M %Z}, and nothing served it")


async def bury(client: PrefectClient, name: str) -> None:
    """Mark the runs of a deployment as crashed that the server takes to go on, and what is in them.

    Those of a process that was killed, or whose server was, would be shown as running for ever, and
    keep the next from starting.
    """
    try:
        found = await client.read_deployment_by_name(name)
    except ObjectNotFound:
        return
    runs = await client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[found.id])),
        flow_run_filter=FlowRunFilter(state=_in(_GOING)),
    )
    if not runs:
        return
    within = FlowRunFilterParentFlowRunId(any_=[run.id for run in runs])
    runs += await client.read_flow_runs(
        flow_run_filter=FlowRunFilter(parent_flow_run_id=within, state=_in(_GOING))
    )
    for run in runs:
        await client.set_flow_run_state(run.id, Crashed(message=_DIED), force=True)


def _in(types: list[StateType]) -> FlowRunFilterState:
    return FlowRunFilterState(type=FlowRunFilterStateType(any_=types))


async def make_good(client: PrefectClient, deployment: UUID, *, once: bool) -> None:
    """Take away the late starts of a deployment, and start it once instead if that is asked for."""
    late = await client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
        flow_run_filter=FlowRunFilter(
            state=_in([StateType.SCHEDULED]),
            expected_start_time=FlowRunFilterExpectedStartTime.model_validate(
                {"before_": datetime.now(UTC)}
            ),
        ),
    )
    for run in late:
        if run.auto_scheduled:  # what a person has asked for stays
            await client.delete_flow_run(run.id)
    if once:
        found = await client.read_deployment(deployment)
        await client.create_flow_run_from_deployment(deployment, tags=[*found.tags, CATCHING_UP])


async def _last(client: PrefectClient, deployment: UUID) -> FlowRun | None:
    runs = await client.read_flow_runs(
        deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(not_any_=_WAITING))
        ),
        sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        limit=1,
    )
    return runs[0] if runs else None


def _was_cut_short(run: FlowRun) -> bool:
    state = run.state
    if state is None:
        return False
    stopped = state.type is StateType.CANCELLED and STOPPED in (state.message or "")
    return stopped or state.type is StateType.CRASHED
