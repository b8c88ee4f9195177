"""Backfills in the catalog: what was asked for, and what became of each window."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from storage.database import fetch
from storage.entries import insert
from storage.ids import new_run_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.catalog import Catalog

Progress: TypeAlias = Literal["waiting", "running", "part", "done", "failed"]


@dataclass(frozen=True)
class WindowRow:
    """One window of a backfill: what was predicted of it, and what became of it.

    Attributes:
        since: the first moment of event times in it.
        until: the first moment after it.
        status: ``part`` where the limit was reached within it.
        predicted_encoded: contents to encode.
        predicted_cost: in ``currency``; None for encoders that cost nothing.
        seconds: of the run; None before it is done.
    """

    since: datetime
    until: datetime
    status: Progress = "waiting"
    run_id: str | None = None
    error: str | None = None
    predicted_records: int | None = None
    predicted_encoded: int | None = None
    predicted_seconds: float | None = None
    predicted_cost: float | None = None
    currency: str | None = None
    records: int | None = None
    encoded: int | None = None
    seconds: float | None = None
    cost: float | None = None


@dataclass(frozen=True)
class Backfill:
    """What a backfill was asked to do."""

    backfill_id: str
    feature: str
    version: int
    since: datetime
    until: datetime
    every: str | None
    record_limit: int | None
    resumed: bool = False


def begin(catalog: Catalog, asked: Backfill, windows: Sequence[WindowRow]) -> Backfill:
    """Note a backfill that begins, or find the one like it that did not end.

    Windows that the earlier one has done keep what they did; the others are planned anew.

    Returns:
        The backfill with its id; ``resumed`` where it goes on with an earlier one.
    """
    with catalog.transaction() as con:
        open_ones = fetch(
            con,
            "SELECT backfill_id FROM backfills WHERE feature = ? AND version = ? AND since = ? "
            "AND until = ? AND every IS NOT DISTINCT FROM ? AND status <> 'done' "
            "ORDER BY started_at DESC LIMIT 1",
            *(asked.feature, asked.version, asked.since, asked.until, asked.every),
        )
        if open_ones:
            begun = replace(asked, backfill_id=str(open_ones[0]["backfill_id"]), resumed=True)
            con.execute(
                "UPDATE backfills SET status = 'running', record_limit = ?, finished_at = NULL "
                "WHERE backfill_id = ?",
                [asked.record_limit, begun.backfill_id],
            )
        else:
            begun = replace(asked, backfill_id=new_run_id(), resumed=False)
            row = {k: v for k, v in asdict(begun).items() if k != "resumed"}
            row |= {"status": "running", "started_at": datetime.now(UTC)}
            insert(con, "backfills", row)
        con.execute(
            "DELETE FROM backfill_windows WHERE backfill_id = ? AND status <> 'done'",
            [begun.backfill_id],
        )
        done = "SELECT since FROM backfill_windows WHERE backfill_id = ?"
        kept = {row["since"] for row in fetch(con, done, begun.backfill_id)}
        for window in windows:
            if window.since not in kept:
                row = {"backfill_id": begun.backfill_id, **asdict(window)}
                insert(con, "backfill_windows", row)
    return begun


def open_until(
    catalog: Catalog, feature: str, version: int, since: datetime, every: str | None
) -> datetime | None:
    """Where the last backfill like this ends that is not done; None if there is none."""
    found = catalog.query(
        "SELECT until FROM backfills WHERE feature = ? AND version = ? AND since = ? "
        "AND every IS NOT DISTINCT FROM ? AND status <> 'done' ORDER BY started_at DESC LIMIT 1",
        *(feature, version, since, every),
    ).to_pylist()
    return found[0]["until"] if found else None


def note(catalog: Catalog, backfill_id: str, window: WindowRow) -> None:
    """Put down how a window stands now."""
    with catalog.transaction() as con:
        con.execute(
            "DELETE FROM backfill_windows WHERE backfill_id = ? AND since = ?",
            [backfill_id, window.since],
        )
        insert(con, "backfill_windows", {"backfill_id": backfill_id, **asdict(window)})


def end(catalog: Catalog, backfill_id: str) -> str:
    """Note that a backfill has ended: ``done`` where every window is, else ``open``.

    Returns:
        Which of the two.
    """
    with catalog.transaction() as con:
        left = fetch(
            con,
            "SELECT 1 FROM backfill_windows WHERE backfill_id = ? AND status <> 'done' LIMIT 1",
            backfill_id,
        )
        status = "open" if left else "done"
        con.execute(
            "UPDATE backfills SET status = ?, finished_at = now() WHERE backfill_id = ?",
            [status, backfill_id],
        )
    return status


def windows(catalog: Catalog, backfill_id: str) -> list[WindowRow]:
    """The windows of a backfill, in order of time."""
    found = catalog.query(
        "SELECT * EXCLUDE (backfill_id) FROM backfill_windows WHERE backfill_id = ? ORDER BY since",
        backfill_id,
    )
    return [WindowRow(**row) for row in found.to_pylist()]
