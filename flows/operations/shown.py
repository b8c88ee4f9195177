"""What Prefect shows of runs: notes in the log, tags, tables, assets with their lineage, events.

What is published stays so where Prefect cannot take any of it.
"""

from __future__ import annotations

import io
import logging
import re
import threading
from typing import TYPE_CHECKING, Any, TextIO

from httpx import HTTPError
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.assets import Asset, AssetProperties, add_asset_metadata, materialize
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.events import emit_event
from prefect.exceptions import PrefectException
from prefect.logging.loggers import flow_run_logger

from flows.operations import lineage, lines, unheard
from flows.output.progress import listener
from flows.output.redact import redact, redact_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from uuid import UUID

    from prefect.client.schemas.objects import FlowRun, State

    from flows.config.settings import Settings
    from storage.model import FindingRow

ALARM = "vecmill.alarm"
"""The event of an alarm, which automations can wait for."""
_INNER = frozenset({"run", "lance_version", "fingerprint", "kind", "complete"})
"""What a row tells that a person has no use for there."""
_TOLD = ("run", "rows", "new", "changed", "deleted", "dead", "lance_version", "fingerprint")


_OF_EVENTS = "prefect.events.clients"
"""The logger that complains of each try to send events to a server that does not answer."""
_OF_RUNNER = "prefect.runner"
_GIVEN_UP = "Service exceeded error threshold."
_PRINTED = ("Failed the last ", "Examples of recent errors:", "Backing off due to ")
"""How that begins which Prefect prints around the tracebacks of what it tries again and again."""
_BY_CONNECTION = re.compile(r"httpx\.\w*(Connect|Read|Write|Pool|Protocol)\w*(Error|Timeout)\b")
_ended = threading.Event()
_told: set[UUID] = set()


class _Untold(logging.Filter):
    """Lets errors through whose message is not enough: for others a line is written by `lines`."""

    def __init__(self, told: Callable[[Exception], bool]) -> None:
        super().__init__()
        self._told = told

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the terminal is to show it."""
        error = record.exc_info[1] if record.exc_info else None
        is_told = isinstance(error, Exception) and self._told(error)
        return not (is_told or record.name == _OF_EVENTS)


def without_traces(told: Callable[[Exception], bool]) -> None:
    """Keep errors that a line tells of from being shown in full on this process's terminal.

    Prefect shows each of them three times, with all that lies between. Its server has them still.
    """
    # Prefect's senders of logs, which have threads of their own, print what goes wrong otherwise.
    logging.raiseExceptions = False
    for handler in logging.getLogger().handlers:
        handler.addFilter(_Untold(told))


def of_connection(error: Exception) -> bool:
    """Whether an error says that Prefect's server is not there, which who serves looks after."""
    known = isinstance(error, HTTPError | OSError) or str(error) == _GIVEN_UP
    return known or type(error).__module__.partition(".")[0] in {"anyio", "websockets"}


class InShort(io.TextIOBase):
    """What Prefect prints as it serves, without the tracebacks: of each its last line.

    Those of connections are left out, since who serves tells of a server that is gone.
    """

    def __init__(self, to: TextIO) -> None:
        self._to = to

    def write(self, text: str) -> int:
        """Write what there is to say of it."""
        lines = text.strip().splitlines()
        if lines and not lines[0].startswith(_PRINTED):
            is_trace = lines[0].startswith("Traceback")
            if not (is_trace and _BY_CONNECTION.match(lines[-1])):
                self._to.write(f"{lines[-1] if is_trace else text.strip()}\n")
        return len(text)


def cut_short(flow: object, flow_run: FlowRun, state: State) -> None:
    """Say in the log what became of a run whose process cannot: a hook of Prefect's."""
    del flow  # which names its arguments
    # Until it has begun, its name is one that Prefect has made up.
    name = flow_run.parameters.get("schedule", flow_run.name)
    if not _ended.is_set():
        told = lines.cut_short(name, state.message, crashed=state.is_crashed())
        flow_run_logger(flow_run).error("%s", redact(told))
    elif flow_run.id not in _told:  # of a crash Prefect then makes a cancellation
        _told.add(flow_run.id)
        flow_run_logger(flow_run).warning("%s", lines.stopped(name))


def serving_ends() -> None:
    """From now on runs of this process end because it does, which is told by who serves.

    What Prefect's runner says of that beside, a line for each of its steps, is kept from the
    terminal; what goes wrong is not.
    """
    _ended.set()
    logging.getLogger(_OF_RUNNER).setLevel(logging.WARNING)


def tag(tags: Iterable[str]) -> None:
    """Give the flow run that goes on here tags, beside those that it has."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or unheard.is_lost():
        return
    found = sorted({*context.flow_run.tags, *tags})
    if found == sorted(context.flow_run.tags):
        return
    context.flow_run.tags = found
    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run(context.flow_run.id, tags=found)
    except (PrefectException, HTTPError) as error:
        untaken("tags", error)


def page(text: str, key: str, description: str) -> None:
    """Show a page with the flow run."""
    if unheard.is_lost():
        return
    try:
        create_markdown_artifact(redact(text), key=key, description=description)
    except (PrefectException, HTTPError) as error:
        untaken("page", error)


def untaken(what: str, error: Exception) -> None:
    """Say what of a run is not to be seen with Prefect, and ask a server no more that is gone."""
    unheard.give_up(error)
    listener().note(f"Prefect did not take the run's {what}: {error}")


def table(schedule: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Show the rows that a schedule's run has come to."""
    if not rows:
        return
    known = dict.fromkeys(k for row in rows for k in row if k not in _INNER)
    columns = [c for c in known if _tells(c, rows)]
    shown = [{c: redact_all(_plain(row.get(c))) for c in columns} for row in rows]
    key = f"vecmill-schedule-{schedule.replace('_', '-')}"
    try:
        create_table_artifact(shown, key=key, description=f"What the schedule {schedule} did.")
    except (PrefectException, HTTPError) as error:
        untaken("table", error)


def materialized(settings: Settings, row: Mapping[str, Any]) -> None:
    """Show what a run has published as an asset, made of its source or of other features.

    Prefect's own server keeps assets as events: they are in its feed, with what they are made of,
    and automations can wait for them.
    """
    changed = any(row[change] for change in ("new", "changed", "updated", "deleted"))
    if unheard.is_lost() or not changed:
        return
    key = lineage.feature(settings, row["feature"])
    found = settings.feature(row["feature"])
    properties = AssetProperties(
        name=row["feature"],
        description=f"{row['rows']:,} vectors, v{row['version']} by {found.encoder.name}",
    )

    @materialize(
        Asset(key=key, properties=properties),
        by="vecmill",
        asset_deps=[*lineage.upstream(settings, row["feature"])],
        name="asset",
        task_run_name=f"asset {row['feature']}",
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    def asset() -> None:
        add_asset_metadata(key, {"version": row["version"], **{k: row[k] for k in _TOLD}})

    asset()


def alarms(settings: Settings, feature: str, version: int, findings: Sequence[FindingRow]) -> None:
    """Tell Prefect of each alarm, as an event of the feature's asset."""
    for finding in findings:
        if finding.verdict != "alarm":
            continue
        resource = {
            "prefect.resource.id": lineage.feature(settings, feature),
            "prefect.resource.name": feature,
            "vecmill.feature": feature,
            "vecmill.monitor": finding.monitor,
        }
        payload = {
            "feature": feature,
            "version": version,
            "monitor": finding.monitor,
            "summary": redact(finding.summary),
        }
        emit_event(ALARM, resource=resource, payload=payload)


def _tells(column: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    return any(row.get(column) not in (None, "", 0) for row in rows)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a row holds
    return value if isinstance(value, str | int | float | bool | None) else str(value)
