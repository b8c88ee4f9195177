"""Telling people of alarms: once while one stands, and in one message a look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.hooks import HookError
from flows.redact import redact
from flows.visible import visible
from storage import alerts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.hooks import PrefectBlock, Webhook
    from flows.progress import Reporter
    from flows.settings import Feature, Plugin
    from flows.stores import Stores
    from storage.model import FindingRow, Version

_NAMED = 5
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""As Slack wants it: or a record's id could call a whole channel."""


def tell(
    feature: Feature,
    stores: Stores,
    version: Version,
    run_id: str,
    findings: Sequence[FindingRow],
    reporter: Reporter,
) -> None:
    """Send what is to be told of a look to the feature's channels.

    An alarm is sent once for as long as it stands: until its monitor is quiet. One that is snoozed
    is not sent, nor taken for sent. A channel that fails is told of, and gets it at the next look.
    """
    if not feature.alerts:
        return
    asleep = alerts.snoozed(stores.catalog, feature.name)
    awake = [f for f in findings if alerts.until(asleep, f.monitor) is None]
    over = [f.monitor for f in findings if f.verdict == "quiet"]
    for channel in feature.alerts:
        hook: Webhook | PrefectBlock = channel.params
        raised = {f.monitor: f for f in awake if f.verdict in hook.on}
        key = {"feature": feature.name, "version": version.version, "run_id": run_id}
        claimed = alerts.claim(stores.catalog, key | {"channel": channel.name}, list(raised), over)
        if claimed:
            message = _message(hook, key, [raised[monitor] for monitor in claimed])
            error = _sent(channel, message)
            alerts.settle(stores.catalog, list(claimed.values()), error)
            if error is not None:
                reporter.note(
                    f"{feature.name}: the alert could not be sent to [alerts.{channel.name}]: "
                    f"{error}; the next look tries again"
                )


def _sent(channel: Plugin, message: dict[str, Any]) -> str | None:
    """Why a message could not be sent; None where it was."""
    try:
        channel.params.send(message)
    except HookError as error:
        return redact(str(error))
    return None


def _message(
    hook: Webhook | PrefectBlock, key: dict[str, Any], findings: Sequence[FindingRow]
) -> dict[str, Any]:
    feature, version = key["feature"], key["version"]
    link = hook.link and hook.link.format(feature=feature, version=version, run=key["run_id"])
    names = ", ".join(f.monitor for f in findings)
    lines = [f"{feature} v{version}: {names} should be looked at"]
    for finding in findings:
        lines.append(f"• {finding.monitor}, {finding.verdict}: {finding.summary}")
        if finding.record_ids:
            lines.append(f"  clearest records: {', '.join(finding.record_ids[:_NAMED])}")
    lines += [] if link is None else [f"More: {link}"]
    one = f" {findings[0].monitor}" if len(findings) == 1 else ""
    lines.append(f"To hear no more of it for a week: vecmill snooze {feature}{one} --for 7d")
    text = "\n".join(visible(redact(line)).translate(_ESCAPED) for line in lines)
    told = [
        {
            "monitor": f.monitor,
            "verdict": f.verdict,
            "summary": f.summary,
            "p_value": f.p_value,
            "effect_size": f.effect_size,
            "record_ids": list(f.record_ids),
        }
        for f in findings
    ]
    data: dict[str, Any] = {**key, "link": link, "findings": _plain(told)}
    return {"text": text, "vecmill": _redacted(data)}


def _redacted(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {name: _redacted(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_redacted(inner) for inner in value]
    return redact(value) if isinstance(value, str) else value


def _plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if value is not None} for row in rows]
