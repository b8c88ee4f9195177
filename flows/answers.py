"""What commands print: rows for people or as JSON, sentences on standard error.

Rich is imported where something is printed, so that ``--help`` does not wait for it.
"""

from __future__ import annotations

import math
from json import dumps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def explain_plan(rows: Sequence[dict[str, Any]]) -> None:
    """Say in words what each plan (`flows.outcomes.Planned.row`) comes to."""
    for row in rows:
        version = f"{'a new version, ' if row['creates'] else ''}v{row['version']}"
        seconds = row["seconds"]
        time = (
            "time not known before a first run" if seconds is None
            else "less than a second" if seconds < 1
            else f"about {seconds:,.0f} s"
        )  # fmt: skip
        work = f"{row['encoded']:,} to encode into {version}; {time}"
        say(f"{row['feature']}: {work if row['encoded'] else 'nothing to encode'}")


def told(feature: str, finding: dict[str, Any]) -> str:
    """A finding in one line."""
    summary: str = finding["summary"]
    known = finding["verdict"] == "quiet" or summary.startswith(finding["verdict"])
    verdict = "" if known else f"{finding['verdict']}: "
    return f"{feature}: {finding['monitor']}: {verdict}{summary}"


def print_json(rows: Iterable[dict[str, Any]], *, json: bool) -> None:
    """Print a JSON object a row on standard output, if ``json`` asks for it."""
    if json:
        for row in rows:
            print(_as_json(row), flush=True)  # noqa: T201 - the result


def _as_json(row: dict[str, Any]) -> str:
    return dumps(_plain(row), default=str, ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a row holds
    """NaN and infinity, which JSON does not have, as null."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Print rows as a table: `flows.console.table`."""
    from flows import console

    console.table(rows, columns)


def listing(rows: Sequence[dict[str, Any]], columns: Sequence[str], below: str) -> None:
    """Print rows with one long text below each: `flows.console.listing`."""
    from flows import console

    console.listing(rows, columns, below)


def say(message: str) -> None:
    """Tell a person something, on standard error."""
    from rich.markup import escape

    from flows.console import err

    err.print(escape(message))


def complain(message: str) -> None:
    """Tell of what is wrong, on standard error."""
    from rich.markup import escape

    from flows.console import err

    err.print(f"[red]error:[/red] {escape(message)}")
