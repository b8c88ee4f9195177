"""Pages that are lists of what the catalog has: runs, dead letters, alerts and snoozes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.config.stores import Stores
from flows.output.markup import Html, el, put
from flows.reports.grid import Column
from flows.ui import frame
from flows.ui.grids import moment, record_link, rows_table, short
from storage.alerts import all_snoozed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from flows.config.settings import Settings
    from flows.ui.site import Site

MOST = 300
"""Rows that a list shows."""

_RUNS = {
    "started_at": Column("Started"), "feature": Column("Feature"), "kind": Column("Kind"),
    "status": Column("Outcome"), "records": Column("Records", is_number=True),
    "new": Column("New", is_number=True), "changed": Column("Changed", is_number=True),
    "deleted": Column("Deleted", is_number=True), "encoded": Column("Encoded", is_number=True),
    "dead": Column("Dead", is_number=True), "seconds": Column("Seconds", is_number=True),
}  # fmt: skip
_DEAD = {
    "place": Column("Place"), "reason": Column("Why"), "feature": Column("Feature"),
    "record_id": Column("Record"), "since": Column("Since"),
}  # fmt: skip
_ALERTS = {
    "sent_at": Column("When"), "feature": Column("Feature"), "monitor": Column("Monitor"),
    "verdict": Column("Verdict"), "channel": Column("Channel"), "status": Column("Status"),
    "error": Column("Error"),
}  # fmt: skip
_SNOOZES = {
    "until": Column("Until"), "feature": Column("Feature"), "monitor": Column("Monitor"),
    "reason": Column("Why"), "snoozed_at": Column("Since"),
}  # fmt: skip


def runs(site: Site, _: Request) -> Response:
    """The runs of all features."""
    rows = _rows(site.settings, "FROM runs ORDER BY started_at DESC, run_id DESC", MOST)
    more = _lead(rows, "newest")
    inside = frame.nothing("Nothing has run yet.") if not rows else rows_table(
        rows, _RUNS, "Runs, the newest first", _RUN
    )  # fmt: skip
    return frame.page("Runs", frame.title("Runs"), more, inside, here="/runs")


def dead(site: Site, _: Request) -> Response:
    """The dead letters of all features."""
    lead = frame.lead(
        "Records that could not be read or encoded. Mend them at their source and run again; ",
        el("code", "vecmill replay"), " tries those again that the encoder failed on.",
    )  # fmt: skip
    found = dead_table(site.settings, None)
    return frame.page("Dead letters", frame.title("Dead letters"), lead, found, here="/dead")


def dead_table(settings: Settings, name: str | None) -> Html:
    """Dead letters, of one feature or all."""
    rows = _rows(
        settings,
        "FROM dead_letters WHERE $1 IS NULL OR feature = $1 ORDER BY feature, version, place",
        MOST,
        name,
    )
    if not rows:
        return frame.nothing("None: every record could be read and encoded.")
    more = _lead(rows, "first")
    columns = {k: v for k, v in _DEAD.items() if k != "feature"} if name else _DEAD
    made = {"place": _place, "feature": _feature, "record_id": _record, "since": _since}
    return put(more, rows_table(rows, columns, "Dead letters", made))


def alerts(site: Site, _: Request) -> Response:
    """Alerts that were sent, and what is snoozed."""
    settings = site.settings
    sent = _rows(settings, "FROM alerts WHERE status <> 'over' ORDER BY sent_at DESC", MOST)
    active = all_snoozed(Stores.of(settings).catalog)
    for row in active:
        row["monitor"] = row["monitor"] or "all"
    made = {"feature": _feature}
    return frame.page(
        "Alerts",
        frame.title("Alerts"),
        frame.section(
            "snoozes", "Snoozed now",
            rows_table(active, _SNOOZES, "Snoozes that last", made) if active
            else frame.nothing("Nothing is snoozed: each alarm is told once."),
        ),
        frame.section(
            "sent", "Sent",
            rows_table(sent, _ALERTS, "Alerts, the newest first", made) if sent
            else frame.nothing("None has been sent; ", el("code", "[alerts.NAME]"),
                               " in the configuration says where to."),
        ),
        here="/alerts",
    )  # fmt: skip


def _rows(settings: Settings, sql: str, most: int, *more: object) -> list[dict[str, Any]]:
    """The first rows of a question to the catalog, and one more where there are more."""
    found = Stores.of(settings).catalog.query(f"{sql} LIMIT {most + 1}", *more)
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def _lead(rows: list[dict[str, Any]], which: str) -> Html | None:
    """That there are more; takes away the row that tells it."""
    if len(rows) <= MOST:
        return None
    del rows[MOST:]
    return frame.lead(f"The {MOST:,} {which}; SQL has all of them.")


def _feature(row: Mapping[str, Any]) -> Html:
    return el("a", row["feature"], href=f"/features/{row['feature']}")


def _record(row: Mapping[str, Any]) -> Html | None:
    return None if row["record_id"] is None else record_link(row["feature"], row["record_id"])


def _place(row: Mapping[str, Any]) -> Html:
    return el("span", short(row["place"]), class_="long")


def _since(row: Mapping[str, Any]) -> Html:
    told = f"v{row['version']}, not {'read' if row['stage'] == 'read' else 'encoded'}"
    told += "" if row["published"] else "; the run published nothing"
    return put(moment(row["since"]), el("small", told))


def _started(row: Mapping[str, Any]) -> Html:
    return put(moment(row["started_at"]), el("small", row["run_id"]))


def _outcome(row: Mapping[str, Any]) -> Html:
    return put(row["status"], el("small", short(row["error"])) if row["error"] else None)


_RUN = {"started_at": _started, "feature": _feature, "status": _outcome}
