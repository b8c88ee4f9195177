"""The flows of one feature: `embed`, `backfill`, `fit` and `monitor`.

Run them here or deploy them; those of `flows.operations.jobs` go through several features on a
schedule.

Without ``PREFECT_API_URL`` Prefect starts a server of its own for the life of the process; with it,
runs are seen in that server's UI. Parameters are names and plain values, so that a deployment can
be started from the UI as well.
"""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from datetime import datetime  # noqa: TC003 - Prefect reads the annotations of flows
from inspect import iscoroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.config.settings import Settings
    from flows.pipeline.scope import Every, Target
    from storage.backfills import WindowRow

# Read by Prefect when it is imported. Its first start migrates a database, which takes minutes on a
# busy machine; and a tool that people run on private records has no business phoning home.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "600")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")

from httpx import HTTPError, TransportError
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from flows.alerts.hooks import HookError
from flows.config.configuration import load
from flows.config.stores import Stores
from flows.monitoring import looking as monitoring
from flows.operations import shown, unheard
from flows.output.progress import listener
from flows.output.redact import redacting, redacts
from flows.pipeline import backfills, unbegun, versions
from flows.pipeline import fit as fitting_step
from flows.pipeline import stages as pipeline
from flows.pipeline.learning import Draw
from flows.pipeline.scope import Scope
from flows.reports import files, gather, short
from flows.tasks import Tasks


@flow(name="embed", flow_run_name="embed {feature}", persist_result=False)
@redacts
def embed(
    feature: str,
    conf: str | None = None,
    *,
    refit: bool = False,
    target: str | int | None = None,
    scope: dict[str, Any] | None = None,
    workers: int | None = None,
) -> dict[str, Any]:
    """Bring a feature's vectors up to date with its source, and publish them.

    Without a target it takes on, one after the other, the versions that `vecmill run` does: what
    ``update`` of the feature says, and what `vecmill fit` has registered.

    Args:
        feature: the feature's name in the configuration.
        conf: the configuration file, as for ``vecmill --conf``.
        refit: let an encoder that learns do so again, which makes a new version.
        target: the version: ``configured``, ``live``, ``candidate`` or a number.
        scope: what part of the source to take on, as `flows.pipeline.scope.Scope.plain`.
        workers: shards to encode at once, instead of what ``[engine]`` says.

    Returns:
        `flows.pipeline.outcomes.Outcome.row` of the first version; those of the others, where there
        are any, are a list under ``also``.
    """
    settings = load(Path(conf) if conf else None)
    shown.tag(["vecmill", feature])
    engine = Tasks.of(replace(settings.engine, workers=workers or settings.engine.workers))
    rows: list[dict[str, Any]] = []
    for one in _targets(settings, feature, target, refit=refit):
        outcome = pipeline.embed(
            *(settings, feature, engine, listener()),
            refit=refit,
            target=one,
            scope=Scope.parse(scope),
        )
        rows.append(outcome.row())
        shown.tag([f"{feature} v{outcome.version}"])
        shown.materialized(settings, rows[-1])
        # After each, so that what is published is shown though a later one fails.
        page = "\n\n".join(_page(feature, row) for row in rows)
        shown.page(page, _key("run", feature), f"What the last run of {feature} did.")
    first, *others = rows
    return unheard.keep("embed", {**first, "also": others} if others else first)


@flow(name="backfill", flow_run_name="backfill {feature}", persist_result=False)
def backfill(  # noqa: PLR0913 - the parameters that a deployment's form shows
    feature: str,
    conf: str | None = None,
    *,
    since: datetime,
    until: datetime | None = None,
    every: str | None = None,
    target: str | int = "configured",
    limit: int | None = None,
    allow_alarms: bool = False,
    workers: int | None = None,
) -> list[dict[str, Any]]:
    """Take on the records of a stretch of event times, a subflow run of `embed` a window.

    Args:
        feature: the feature's name in the configuration.
        conf: the configuration file, as for ``vecmill --conf``.
        since: the first event time, with a zone.
        until: the first event time after it, with a zone; now, or where the one that stopped was
            to end.
        every: ``day``, ``week`` or ``month``; one window where none is given.
        target: the version: ``configured``, ``live``, ``candidate`` or a number.
        limit: encode at most so many contents.
        allow_alarms: publish in spite of alarms that block it.
        workers: shards to encode at once, instead of what ``[engine]`` says.

    Returns:
        `storage.backfills.WindowRow` as plain values, a window each.
    """
    # Not as a decorator: Prefect would look for `datetime` where that is defined.
    with redacting():
        settings = load(Path(conf) if conf else None)
        shown.tag(["vecmill", feature])

        def carry_out(target: Target, scope: Scope) -> dict[str, Any]:
            row: dict[str, Any] = embed(
                feature, str(settings.conf), target=target, scope=scope.plain(), workers=workers
            )
            return row

        asked = backfills.Asked(
            *(since, until, cast("Every | None", every), cast("Target", target), limit),
            allow_alarms=allow_alarms,
        )
        rows = backfills.backfill(settings, feature, asked, carry_out, listener())
        told = f"What the last backfill of {feature} did."
        shown.page(_windows_page(feature, rows), _key("backfill", feature), told)
        return unheard.keep("backfill", [asdict(row) for row in rows])


@flow(name="fit", flow_run_name="fit {feature}", persist_result=False)
def fit(
    feature: str,
    conf: str | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    sample: int | None = None,
) -> dict[str, Any]:
    """Let a feature's encoder learn, and register the version that the next run is to fill.

    Args:
        feature: the feature's name in the configuration.
        conf: the configuration file, as for ``vecmill --conf``.
        since: learn from records with this event time or a later one, with a zone.
        until: learn from records with an event time before this, with a zone.
        sample: how many records to draw; what the encoder asks for where it is None.

    Returns:
        `flows.pipeline.fit.Fitted.row`.
    """
    with redacting():  # not as a decorator, as in `backfill`
        settings = load(Path(conf) if conf else None)
        shown.tag(["vecmill", feature])
        row = fitting_step.fit(settings, feature, Draw(sample, since, until), listener()).row()
        told = f"What the encoder of {feature} learned from."
        shown.page(_page(feature, row), _key("fit", feature), told)
        return unheard.keep("fit", row)


@flow(name="monitor", flow_run_name="monitor {feature}", persist_result=False)
@redacting()
def monitor(
    feature: str, conf: str | None = None, version: int | None = None, *, again: bool = True
) -> list[dict[str, Any]]:
    """Run a feature's monitors on what the last run of a version (the live one) wrote.

    Args:
        feature: the feature's name in the configuration.
        conf: the configuration file, as for ``vecmill --conf``.
        version: its number.
        again: whether those look again that have looked before the run was published.

    Returns:
        The findings, `storage.model.FindingRow` as plain values.
    """
    settings = load(Path(conf) if conf else None)
    shown.tag(["vecmill", feature])
    findings = monitoring.monitor(settings, feature, listener(), version, again=again)
    found = gather.collect(settings, feature, listener(), version, pictures=False)
    if found.version is not None:
        shown.tag([f"{feature} v{found.version}"])
        shown.alarms(settings, feature, found.version, findings)
    page = files.kept_page(settings, feature, version) if settings.reports.page else None
    written = str(page) if page is not None and page.is_file() else None
    told = f"What the monitors of {feature} found."
    shown.page(short.markdown(found, written), _key("findings", feature), told)
    return unheard.keep("monitor", [asdict(finding) for finding in findings])


def unanswered() -> unheard.Silence | None:
    """That Prefect's server does not answer; None where it does, or there is none."""
    url = PREFECT_API_URL.value()
    if url is None:
        return unheard.temporary_ended()
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0, PREFECT_API_REQUEST_TIMEOUT: 10.0}),
        get_client(sync_client=True) as client,
    ):
        error = client.api_healthcheck()
    if not isinstance(error, TransportError):  # whatever else it says, it answers
        return None
    why = f"Prefect's server at {url} does not answer ({type(error).__name__}: {error})"
    return unheard.Silence(why)


def notify(block: str, text: str) -> None:
    """Send a text by a notification block of Prefect.

    Args:
        block: its type and name, such as ``slack-webhook/ops``.
        text: what to send.

    Raises:
        HookError: if there is no such block, or it fails; the words hold nothing of what is in it.
    """
    from prefect.blocks import notifications  # noqa: F401 - so that Prefect knows their types
    from prefect.blocks.abstract import NotificationBlock
    from prefect.blocks.core import Block
    from prefect.utilities.asyncutils import run_coro_as_sync

    try:
        found = Block.load(block)
    except ValueError as error:
        raise HookError(
            f"Prefect has no block {block}; `prefect block ls` lists those that it has"
        ) from error
    except (PrefectException, HTTPError) as error:
        raise HookError(f"Prefect cannot be reached ({type(error).__name__})") from None
    if not isinstance(found, NotificationBlock):
        raise HookError(f"the block {block} sends no notifications; name one that does")
    try:
        with found.raise_on_failure():  # most blocks are silent otherwise
            sent: Any = found.notify(text, subject="Vecmill")
            if iscoroutine(sent):  # some blocks do it on the spot, some as a coroutine
                run_coro_as_sync(sent)
    except Exception as error:  # noqa: BLE001 - each block raises errors of its own
        # Not from the cause, whose words may hold the address.
        raise HookError(f"the block {block} failed ({type(error).__name__})") from None


def _targets(
    settings: Settings, feature: str, target: str | int | None, *, refit: bool
) -> list[Target]:
    """The version asked for; those of a plain run where none is."""
    if target is not None:
        return [cast("Target", target)]
    # A refit is of the encoder as configured, and of no other.
    if refit:
        return ["configured"]
    with unbegun.noted(settings, feature):
        return versions.targets(settings.feature(feature), Stores.of(settings, listener()))


def _key(what: str, feature: str) -> str:
    """An artifact's key; Prefect allows lower-case letters, digits and dashes."""
    return f"vecmill-{what}-{feature.replace('_', '-')}"


def _page(feature: str, row: Mapping[str, Any]) -> str:
    lines = [f"| {name} | {value} |" for name, value in row.items()]
    return "\n".join([f"## {feature}", "", "| | |", "|---|---|", *lines])


def _windows_page(feature: str, rows: Sequence[WindowRow]) -> str:
    head = "| since | until | status | predicted | encoded | predicted s | s |\n" + "|---" * 7 + "|"
    lines = [
        f"| {row.since:%Y-%m-%d} | {row.until:%Y-%m-%d} | {row.status} | {row.predicted_encoded} | "
        f"{row.encoded} | {row.predicted_seconds} | {row.seconds} |"
        for row in rows
    ]
    return "\n".join([f"## {feature}", "", head, *lines])
