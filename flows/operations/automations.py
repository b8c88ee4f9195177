"""Automations on Prefect's server: who hears of a run that failed, and of an alarm."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from httpx import HTTPError
from prefect.automations import AutomationCore
from prefect.blocks import notifications  # noqa: F401 - so that Prefect knows their types
from prefect.blocks.abstract import NotificationBlock
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.events import EventTrigger, Posture, ResourceSpecification
from prefect.events.actions import SendNotification
from prefect.exceptions import PrefectException

from flows.config.settings import SettingsError
from flows.operations import lineage
from flows.operations.shown import ALARM
from flows.pipeline.refusals import RunError

if TYPE_CHECKING:
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient

    from flows.config.settings import Settings

_FAILED = ("prefect.flow-run.Failed", "prefect.flow-run.Crashed", "prefect.flow-run.TimedOut")
_RUN = """\
{{ flow_run.name }} of {{ flow.name }}: {{ flow_run.state.name }}
{{ flow_run.state.message }}
{{ flow_run|ui_url }}
"""
_ALARM = """\
{{ event.payload.feature }} v{{ event.payload.version }}, alarm: {{ event.payload.monitor }}
{{ event.payload.summary }}
"""


def make(settings: Settings, block: str) -> list[str]:
    """Have a notification block told of what fails and of alarms, in place of an earlier one.

    Those that are there already are changed where they stand, so that an error leaves the old ones.

    Args:
        settings: the configuration.
        block: a type and a name, such as ``slack-webhook/ops``.

    Returns:
        The names of the automations.

    Raises:
        SettingsError: if there is no such block, or it sends no notifications.
        RunError: if the server does not take them.
    """
    number = _block(block)
    project = lineage.project(settings)
    made = [
        AutomationCore(
            name=f"{project}: a run failed",
            description="Made by `vecmill deploy --notify`.",
            trigger=_of_runs(settings),
            actions=[_tell(number, f"{project}: a run failed", _RUN)],
        ),
        AutomationCore(
            name=f"{project}: an alarm",
            description="Made by `vecmill deploy --notify`.",
            trigger=_of_alarms(settings),
            actions=[_tell(number, f"{project}: an alarm", _ALARM)],
        ),
    ]
    try:
        with get_client(sync_client=True) as client:
            for automation in made:
                _put(client, automation)
    except (PrefectException, HTTPError) as error:
        raise RunError(f"Prefect's server did not take the automations: {error}") from error
    return [automation.name for automation in made]


def _put(client: SyncPrefectClient, automation: AutomationCore) -> None:
    """Make it, or change the one of its name; others of that name are then in the way."""
    found = client.read_automations_by_name(automation.name)
    if not found:
        client.create_automation(automation)
        return
    client.update_automation(found[0].id, automation)
    for other in found[1:]:
        client.delete_automation(other.id)


def _tell(block: UUID, subject: str, body: str) -> SendNotification:
    return SendNotification(block_document_id=block, subject=subject, body=body)


def _of_runs(settings: Settings) -> EventTrigger:
    """Of the runs of the project's deployments, and not once more of the subflows within them."""
    deployments: dict[str, str | list[str]] = {
        "prefect.resource.role": "deployment",
        "prefect.resource.name": lineage.deployment(settings, "*"),
    }
    return EventTrigger(
        posture=Posture.Reactive,
        expect=set(_FAILED),
        match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
        match_related=ResourceSpecification(deployments),
        threshold=1,
        within=timedelta(0),
    )


def _of_alarms(settings: Settings) -> EventTrigger:
    return EventTrigger(
        posture=Posture.Reactive,
        expect={ALARM},
        match=ResourceSpecification({"prefect.resource.id": lineage.feature(settings, "*")}),
        threshold=1,
        within=timedelta(0),
    )


def _block(name: str) -> UUID:
    try:
        found = Block.load(name)
    except ValueError as error:
        raise SettingsError(
            f"Prefect has no block {name}; `prefect block ls` lists those that it has"
        ) from error
    except (PrefectException, HTTPError) as error:
        raise SettingsError(f"Prefect cannot be reached ({type(error).__name__})") from None
    if not isinstance(found, NotificationBlock):
        raise SettingsError(f"the block {name} sends no notifications; name one that does")
    number: UUID | None = found._block_document_id  # noqa: SLF001 - Prefect shows it nowhere else
    if number is None:
        raise SettingsError(f"the block {name} is not kept by the server")
    return number
