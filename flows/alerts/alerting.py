"""Telling people of alarms: once while one stands, and in one message a look."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from flows.alerts import texts as alert_texts
from flows.alerts.hooks import HookError
from flows.monitoring.about import about
from flows.output.redact import redact
from storage import alerts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from flows.alerts.hooks import PrefectBlock, Webhook
    from flows.config.settings import Feature, Plugin
    from flows.config.stores import Stores
    from flows.output.progress import Reporter
    from storage.model import FindingRow, Version


def tell(
    feature: Feature,
    stores: Stores,
    version: Version,
    run_id: str,
    findings: Sequence[FindingRow],
    reporter: Reporter,
) -> None:
    """Send what is to be told of a look to the feature's channels.

    An alarm is sent once for as long as it stands: until its monitor is quiet; and again where it
    is about something that it was not about before. One that is snoozed is not sent, nor taken for
    sent. A channel that fails is told of, and gets it at the next look.
    """
    if not feature.alerts:
        return
    asleep = alerts.snoozed(stores.catalog, feature.name)
    awake = [f for f in findings if alerts.until(asleep, f.monitor) is None]
    _note_snoozed(feature, findings, asleep, reporter)
    over = [f.monitor for f in findings if f.verdict == "quiet"]
    for channel in feature.alerts:
        hook: Webhook | PrefectBlock = channel.params
        raised = {f.monitor: f for f in awake if f.verdict in hook.on}
        key = {"feature": feature.name, "version": version.version, "run_id": run_id}
        claimed = alerts.claim(
            stores.catalog,
            key | {"channel": channel.name},
            {m: alerts.Raised(f.verdict, about(f)) for m, f in raised.items()},
            over,
        )
        if claimed:
            new = {monitor: one.new for monitor, one in claimed.items() if one.new is not None}
            message = alert_texts.message(hook, key, [raised[m] for m in claimed], new)
            error = _sent(channel, message)
            alerts.settle(stores.catalog, [one.alert_id for one in claimed.values()], error)
            if error is not None:
                reporter.note(
                    f"{feature.name}: the alert could not be sent to [alerts.{channel.name}]: "
                    f"{error}; the next look tries again"
                )


def _note_snoozed(
    feature: Feature,
    findings: Sequence[FindingRow],
    asleep: Mapping[str | None, datetime],
    reporter: Reporter,
) -> None:
    told_of = {verdict for channel in feature.alerts for verdict in channel.params.on}
    for finding in findings:
        until = alerts.until(asleep, finding.monitor)
        if until is not None and finding.verdict in told_of:
            reporter.note(
                f"{feature.name}: {finding.monitor} is snoozed until "
                f"{until.astimezone(UTC):%Y-%m-%d %H:%M} UTC: what it says counts, and is not sent"
            )


def _sent(channel: Plugin, message: dict[str, Any]) -> str | None:
    """Why a message could not be sent; None where it was."""
    try:
        channel.params.send(message)
    except HookError as error:
        return redact(str(error))
    return None
