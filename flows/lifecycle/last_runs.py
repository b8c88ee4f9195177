"""How the last run of each feature went, also where it could not put that down itself.

A run that was killed has said nothing of its end; one that was killed while its encoder learned, or
whose disk was full, is in no catalog at all, and has its log alone.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from storage.locks import is_free
from storage.logs import ENDS, entries

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.stores import Stores

# Of a run that failed before it had a version; a later one that has a version takes its place.
_UNBEGUN = """
SELECT feature, arg_max(run_id, started_at) AS last_run, arg_max(status, started_at) AS last_status,
       max(started_at) AS started_at, arg_max_null(finished_at, started_at) AS finished_at,
       arg_max_null(error, started_at) AS error
FROM runs GROUP BY feature HAVING arg_max_null(version, started_at) IS NULL
"""

_KILLED = "the process ended before the run did; the next run goes on from there"


def tell(stores: Stores, rows: list[dict[str, Any]]) -> None:
    """Put down in rows of `flows.lifecycle.status` what the runs did not put down themselves.

    Args:
        stores: where the runs left what they left.
        rows: one a version. ``last_run``, ``last_status``, ``started_at``, ``finished_at`` and
            ``error`` are set right; ``log`` is added.
    """
    unbegun = {row.pop("feature"): row for row in stores.catalog.query(_UNBEGUN).to_pylist()}
    logs = {name: stores.logs.files(name)[-1:] for name in {row["feature"] for row in rows}}
    untold = {
        name: told
        for name, found in logs.items()
        for path in found
        if (told := _untold(stores, name, path, rows, unbegun)) is not None
    }
    _mark_crashed(stores, rows)
    for row in rows:
        if row["version"] is None:
            path = next(iter(logs[row["feature"]]), None)
            row.update({} if path is None else _beginning(stores, row["feature"], path))
        if row["standing"] != "retired":
            row.update(unbegun.get(row["feature"], {}))
            row.update(untold.get(row["feature"], {}))
        log = stores.logs.path(row["feature"], row["last_run"] or "none")
        row["log"] = str(log) if row["last_run"] and log.exists() else None


def _untold(
    stores: Stores,
    name: str,
    path: Path,
    rows: list[dict[str, Any]],
    unbegun: dict[str, dict[str, Any]],
) -> dict[str, Any] | None:
    """What the log of a run says of it that no catalog has; None where the catalog has it."""
    known = {row["last_run"] for row in [*rows, *unbegun.values()]}
    if path.stem in known or _is_kept(stores, path.stem) or not none_under_way(stores, name):
        return None
    begin, end = _ends(path)
    if begin is None or (end is not None and end.get("event") != "failed"):
        return None
    return {
        "last_run": path.stem,
        "last_status": "crashed" if end is None else "failed",
        "started_at": _moment(begin),
        "finished_at": None if end is None else _moment(end),
        "error": _KILLED if end is None else end.get("message"),
    }


def _beginning(stores: Stores, name: str, path: Path) -> dict[str, Any]:
    """That a run is under way which has no version yet, such as while its encoder is loaded."""
    begin, end = _ends(path)
    if begin is None or end is not None or none_under_way(stores, name):
        return {}
    return {"last_run": path.stem, "last_status": "running", "started_at": _moment(begin)}


def _ends(path: Path) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """The first line of a log, and the one that tells how the run ended; None where it is not."""
    found = [entry for entry, _ in entries(path)] if path.exists() else []
    # Findings are noted after a run has ended.
    end = next((entry for entry in reversed(found) if entry.get("event") in ENDS), None)
    return (found[0] if found else None), end


def _is_kept(stores: Stores, run_id: str) -> bool:
    return bool(stores.catalog.query("FROM runs WHERE run_id = $1", run_id).num_rows)


def _moment(entry: dict[str, Any]) -> datetime | None:
    try:
        return datetime.fromisoformat(str(entry.get("at")))
    except ValueError:
        return None


def _mark_crashed(stores: Stores, rows: list[dict[str, Any]]) -> None:
    """Mark runs that are put down as running though nobody holds their feature's lock."""
    running = [row for row in rows if row["last_status"] == "running"]
    gone = {name for name in {row["feature"] for row in running} if none_under_way(stores, name)}
    if not gone:
        return
    # A run that ended between the two looks has freed its lock, but was put down as ended first.
    again = stores.catalog.query("SELECT run_id FROM runs WHERE status = 'running'")
    still = set(again["run_id"].to_pylist())
    for row in running:
        if row["feature"] in gone and row["last_run"] in still:
            _, end = _ends(stores.logs.path(row["feature"], row["last_run"]))
            told = None if end is None else end.get("message")  # the catalog could not be written
            row["last_status"] = "crashed" if told is None else "failed"
            row["error"] = told or _KILLED


def none_under_way(stores: Stores, name: str) -> bool:
    """Whether no process is at work on a feature."""
    return is_free(stores.locks / f"{name}.lock")
