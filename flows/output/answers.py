"""What commands print: rows for people or as JSON, sentences on standard error.

Rich is imported where something is printed, so that ``--help`` does not wait for it.
"""

from __future__ import annotations

import math
import re
import sys
from base64 import b64encode
from datetime import date, time
from json import dumps
from typing import TYPE_CHECKING, Any

from flows.output import units
from flows.output.redact import redact
from flows.output.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_CONTROLS = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What terminals obey and JSON leaves as it is; the others it escapes."""


def explain_plan(rows: Sequence[dict[str, Any]]) -> None:
    """Say in words what each plan (`flows.pipeline.outcomes.Planned.row`) comes to."""
    for row in rows:
        name = row["feature"]
        say(f"{name}: {_work(row) if row['encoded'] else 'nothing to encode'}")
        kinds = [change for change in row["changes"] if change["key"] == "kind"]
        for change in kinds or row["changes"]:
            was, becomes = (_word(change[side]) for side in ("was", "becomes"))
            rest = ", and with it all parameters" if kinds else ""
            say(f"  {change['key']}: {was} in v{row['against']}, {becomes} now{rest}")
        for sentence in row["policy"]:
            say(f"{name}: {sentence}")
        if row["problem"]:
            complain(f"a run would fail: {row['problem']}")
    learning = [row["feature"] for row in rows if row["learns"] and row["encoded"]]
    if learning:
        encoders = "the encoder has" if len(learning) == 1 else "the encoders have"
        say(f"{', '.join(learning)}: {encoders} to learn first, which takes time as well")


def _work(row: dict[str, Any]) -> str:
    """What there is to encode, into which version, how long it takes, and what it costs."""
    version = f"{'a new version, ' if row['creates'] else ''}v{row['version']}"
    time = "time not known before a first run"
    if row["seconds"] is not None:
        source = f" by the rate of {row['seconds_from']}" if row["seconds_from"] else ""
        time = f"{units.about(row['seconds'])}{source}"
    money = "" if row["cost"] is None else f", about {row['cost']:,.4g} {row['currency']}"
    disk = f", about {units.size(row['bytes'])} on disk" if row["bytes"] else ""
    return f"{row['encoded']:,} to encode into {version}; {time}{money}{disk}"


def _word(value: str | None) -> str:
    return "not there" if value is None else value


def failure(feature: str, error: Exception) -> dict[str, Any]:
    """What ``--json`` says of a feature that failed."""
    from flows.output.codes import reason

    return {"feature": feature, "status": "failed", "error": reason(error)}


def told(feature: str, finding: dict[str, Any]) -> str:
    """A finding in one line: who says what of which feature, and why."""
    return f"{feature}: {finding['monitor']}: {finding['verdict']}: {finding['summary']}"


def print_json(rows: Iterable[dict[str, Any]], *, json: bool) -> None:
    """Print a JSON object a row on standard output, if ``json`` asks for it."""
    if json:
        for row in rows:
            print(_as_json(row), flush=True)  # noqa: T201 - the result


def _as_json(row: dict[str, Any]) -> str:
    text = dumps(_plain(row), default=str, ensure_ascii=False, allow_nan=False)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a row holds
    """NaN and infinity, which JSON does not have, as null; bytes in base64; moments ISO 8601."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, date | time):
        return value.isoformat()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, measured: bool = True) -> None:
    """Print rows as a table: `flows.output.console.table`."""
    from flows.output import console

    console.table(rows, columns, measured=measured)


def listing(rows: Sequence[dict[str, Any]], columns: Sequence[str], below: str) -> None:
    """Print rows with one long text below each: `flows.output.console.listing`."""
    from flows.output import console

    console.listing(rows, columns, below)


def say(message: str, *, whole: bool = False) -> None:
    """Tell a person something, on standard error; nothing where the command is to be quiet.

    Args:
        message: what to tell.
        whole: break no line, so that it can be copied.
    """
    from rich.markup import escape

    from flows.output.console import err
    from flows.output.voice import voice

    if not voice().quiet:
        err.print(escape(visible(redact(message))), soft_wrap=whole)


def complain(message: str, **more: object) -> None:
    """Tell of what is wrong, on standard error; with ``--json`` as one JSON object.

    Args:
        message: what is wrong.
        more: what a program should know besides, such as the exit code.
    """
    from rich.markup import escape

    from flows.output.console import err
    from flows.output.voice import voice

    if voice().json:
        row = {"error": redact(message), **{k: v for k, v in more.items() if v not in (None, "")}}
        print(_as_json(row), file=sys.stderr, flush=True)  # noqa: T201 - for programs
    else:
        err.print(f"[red]error:[/red] {escape(visible(redact(message)))}")
