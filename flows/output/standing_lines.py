"""What `vecmill status` says below its table, in words, and by its exit code."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows.output import units
from flows.output.codes import FAILED, FINDING, FINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def told(rows: Sequence[Mapping[str, Any]], now: datetime | None = None) -> Iterator[str]:
    """What is to be said of rows of `flows.lifecycle.status.status`.

    Args:
        rows: one a version.
        now: the present moment, which is asked of the clock where it is None.
    """
    now = now or datetime.now(UTC)
    live = {row["feature"]: row for row in rows if row["standing"] == "live"}
    yield from dict.fromkeys(row["table_gone"] for row in rows if row["table_gone"])
    yield from dict.fromkeys(late(row, now) for row in rows if row["overdue_since"])
    seen = set()
    for row in rows:
        if row["error"] and row["last_run"] not in seen:
            seen.add(row["last_run"])
            readers = _readers(live.get(row["feature"]), now)
            yield f"{row['feature']}: {readers}; {went_wrong(row, now)}"
    for name in dict.fromkeys(r["feature"] for r in rows if r["dead"] or r["unpublished_dead"]):
        yield f"{name} has dead letters; `vecmill dead {name}` says which records, and why"
    for row in rows:
        if row["standing"] != "retired" and row["alarms"]:
            live_too = "" if row["standing"] == "live" else f" --version {row['version']}"
            raised = units.verb(row["alarms"], "monitor", "raises", "raise")
            yield (
                f"{row['feature']} v{row['version']}: {raised} an alarm; `vecmill monitor "
                f"{row['feature']}{live_too}` says of what"
            )
        if row["standing"] != "retired" and row["unsettled"]:
            yield f"{row['feature']} v{row['version']}: {unsettled(row, now)}"
        if row["upkeep"]:
            yield (
                f"{row['feature']} v{row['version']}: {'; '.join(row['upkeep'])}; `vecmill "
                f"maintain {row['feature']} --yes` mends it"
            )
        if row["cut_texts"]:
            yield (
                f"{row['feature']} v{row['version']}: when a run last encoded, "
                f"{units.verb(row['cut_texts'], 'text', 'was', 'were')} "
                "longer than the encoder reads and "
                f"{row['cut_tokens']:,} of {row['text_tokens']:,} tokens were cut"
            )


def code(rows: Sequence[Mapping[str, Any]]) -> int:
    """The worst of rows of `flows.lifecycle.status.status` as an exit code; retired ones aside."""
    current = [row for row in rows if row["standing"] != "retired"]
    if any(
        row["last_status"] in {"failed", "crashed"} or row["overdue_since"] or row["table_gone"]
        for row in current
    ):
        return FAILED
    return FINDING if any(row["alarms"] for row in current) else FINE


def last_run(row: Mapping[str, Any], now: datetime) -> str:
    """How a version's last run went, and how long ago that was."""
    going = row["last_status"] == "running"
    when = row["started_at"] if going else row["finished_at"] or row["started_at"]
    if when is None:
        return str(row["last_status"] or "")
    return f"{row['last_status']}{', begun' if going else ''} {_ago(when, now)}"


def late(row: Mapping[str, Any], now: datetime) -> str:
    """That a schedule has not started what it should have."""
    return (
        f"{row['feature']}: overdue: [schedules.{row['overdue_schedule']}] had a run due "
        f"{_ago(row['overdue_since'], now)}, and none has begun since; does `vecmill serve`, or a "
        "worker, run?"
    )


def unsettled(row: Mapping[str, Any], now: datetime) -> str:
    """That monitors have raised an alarm which no look since could bear out or deny."""
    return (
        f"an alarm by {', '.join(row['unsettled'])} {_ago(row['unsettled_since'], now)}, and no "
        "look since had enough records to tell whether it stands; "
        f"`vecmill report {row['feature']}` shows both"
    )


def _readers(live: Mapping[str, Any] | None, now: datetime) -> str:
    """What readers of a feature get, and how old that is."""
    if live is None or live["published_at"] is None:
        return "nothing is live yet"
    return f"live is v{live['version']}, published {_ago(live['published_at'], now)}"


def went_wrong(row: Mapping[str, Any], now: datetime) -> str:
    """How the last run went wrong, and where there is more of it."""
    error = str(row["error"]).removeprefix(f"{row['feature']}: ")
    of = f" of v{row['version']}" if row["standing"] == "candidate" else ""
    when = row["finished_at"] or row["started_at"]
    how = f"last run{of} {row['last_status']}" + ("" if when is None else f" {_ago(when, now)}")
    more = "" if row["log"] is None else f"; see `vecmill logs {row['last_run']}`"
    return f"{how}: {error}{more}"


def _ago(when: datetime, now: datetime) -> str:
    return units.ago((now - when).total_seconds())
