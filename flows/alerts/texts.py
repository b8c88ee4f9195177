"""What a message about findings says: in words for people, and in figures for programs.

Summaries and ids come from records, so they are written by anybody. Each is put on one line, cut,
and kept from calling people or leading somewhere, by marks of no width.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from flows.monitoring.about import moved, together, told
from flows.output.redact import redact
from flows.output.visible import on_one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.alerts.hooks import PrefectBlock, Webhook
    from storage.model import FindingRow

_NAMED, _RECORDS = 5, 50
"""Records that are named in the text, and in the figures."""
_FIRST = 3
"""Things that the first line names of each monitor."""
_MOST_SUMMARY, _MOST_ID, _MOST_TEXT = 600, 80, 3500
"""Characters; Slack advises against texts of more than 4,000."""
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
"""As Slack wants it: or a record's id could call a whole channel."""
# Discord and Mattermost call whoever follows an @ and take [words](address) for a link, Prefect's
# blocks may hand <!here> on to Slack, and all of them make a link of an address.
_CALLS = re.compile(r"@|:(?=//)|\](?=\()|<(?=[!@#])")
_NO_WIDTH = "\u200b"


def message(
    hook: Webhook | PrefectBlock,
    key: Mapping[str, Any],
    findings: Sequence[FindingRow],
    new: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """The message of one look.

    Args:
        hook: where it goes.
        key: feature, version and run_id.
        findings: one or more.
        new: of monitors whose alarm was told before, what it is about now besides.

    Returns:
        JSON: ``text``, and under ``vecmill`` the same in figures.
    """
    feature, version = key["feature"], key["version"]
    link = hook.link and hook.link.format(feature=feature, version=version, run=key["run_id"])
    new = new or {}
    head = _head(f"{feature} v{version}", findings, new)
    tail = [] if link is None else [f"More: {redact(link).translate(_ESCAPED)}"]
    one = f" {findings[0].monitor}" if len(findings) == 1 else ""
    tail.append(f"To hear no more of it for a week: vecmill snooze {feature}{one} --for 7d")
    text = "\n".join([head, *_fitting(findings, new, len("".join([head, *tail]))), *tail])
    figures = [_figures(finding, new.get(finding.monitor)) for finding in findings]
    return {"text": text, "vecmill": {**key, "link": link and redact(link), "findings": figures}}


def _head(name: str, findings: Sequence[FindingRow], new: Mapping[str, Sequence[str]]) -> str:
    """What moved, and who says so."""
    what = together(_what(finding, new.get(finding.monitor)) for finding in findings[:_NAMED])
    more = f" and {len(findings) - _NAMED} more" if len(findings) > _NAMED else ""
    return f"{name}, {_gravest(findings)}: {'; '.join(what)}{more}"


def _gravest(findings: Sequence[FindingRow]) -> str:
    verdicts = {finding.verdict for finding in findings}
    return next((one for one in ("alarm", "watch") if one in verdicts), findings[0].verdict)


def _what(finding: FindingRow, new: Sequence[str] | None) -> tuple[str, str]:
    if new is not None:
        return f"now also {_safe(told(new, _FIRST), _MOST_ID * _FIRST)}", finding.monitor
    first = moved(finding.parts, finding.record_ids)
    milder = "" if finding.verdict == "alarm" else f": {finding.verdict}"
    return _safe(first, _MOST_ID * _FIRST), f"{finding.monitor}{milder}"


def _fitting(
    findings: Sequence[FindingRow], new: Mapping[str, Sequence[str]], used: int
) -> list[str]:
    """The findings in words, as many as there is room for; the first in any case."""
    blocks: list[str] = []
    for number, finding in enumerate(findings):
        block = _block(finding, new.get(finding.monitor))
        used += len(block)
        if number and used > _MOST_TEXT:
            return [*blocks, f"… and {len(findings) - number} more, which `vecmill monitor` shows"]
        blocks.append(block)
    return blocks


def _block(finding: FindingRow, new: Sequence[str] | None) -> str:
    lines = [f"• {finding.monitor}, {finding.verdict}: {_safe(finding.summary, _MOST_SUMMARY)}"]
    if new is not None:
        lines.append(f"  new since it was told: {_safe(told(new), _MOST_SUMMARY)}")
    if finding.record_ids:
        ids = ", ".join(_safe(record, _MOST_ID) for record in finding.record_ids[:_NAMED])
        lines.append(f"  clearest records: {ids}")
    return "\n".join(lines)


def _figures(finding: FindingRow, new: Sequence[str] | None) -> dict[str, Any]:
    numbers = {"p_value": finding.p_value, "effect_size": finding.effect_size}
    # JSON has neither NaN nor infinity.
    there = {k: v for k, v in numbers.items() if v is not None and math.isfinite(v)}
    return {
        "monitor": finding.monitor,
        "verdict": finding.verdict,
        "summary": _cut(finding.summary, _MOST_SUMMARY),
        **there,
        **({} if new is None else {"new": [_cut(thing, _MOST_ID) for thing in new[:_RECORDS]]}),
        "record_ids": [_cut(record, _MOST_ID) for record in finding.record_ids[:_RECORDS]],
    }


def _safe(text: str, most: int) -> str:
    harmless = _CALLS.sub(lambda found: found[0] + _NO_WIDTH, _cut(text, most))
    return harmless.translate(_ESCAPED)


def _cut(text: str, most: int) -> str:
    """One line without secrets, of so many characters at most."""
    line = redact(on_one_line(text))
    return line if len(line) <= most else line[: most - 1] + "…"
