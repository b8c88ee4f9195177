"""Exports of a feature: which version, which rows, and where to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.config.stores import Stores
from storage import exports, moments, query, views
from storage.model import StorageError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.settings import Settings
    from storage.model import Form, Version


@dataclass(frozen=True)
class Asked:
    """What to write, and where to.

    Attributes:
        target: a file; a folder for ``npy``.
        form: the format.
        number: the version; the live one where none is given.
        as_of: a run or a time, to write what readers saw then.
        where: a condition in SQL on the columns of the feature's view.
        history: all that records ever were instead of what they are.
    """

    target: Path
    form: Form
    number: int | None = None
    as_of: str | None = None
    where: str | None = None
    history: bool = False


def export(settings: Settings, name: str, asked: Asked) -> dict[str, Any]:
    """Write the rows of a version to a file, by record id.

    Returns:
        What was written: feature, version, run, rows, path, format.

    Raises:
        SettingsError: if there is no such feature.
        UsageError: if there is no such version, or nothing was published by then.
        QueryError: if the condition cannot be understood.
        StorageError: if the place cannot be written to, or records were erased meanwhile.
    """
    stores = Stores.of(settings)
    if not stores.catalog.versions(name):
        settings.feature(name)
    moment = moments.moment_of(stores.catalog, asked.as_of) if asked.as_of else None
    path = asked.target.absolute()
    with query.connect(stores.catalog, stores.vectors, moment) as con:
        shown = views.choose(con, name, asked.number)
        versions = stores.catalog.versions(name)
        version = next(v for v in versions if v.version == shown.version)
        if asked.history and not version.history:
            raise UsageError(
                f"{version.table} keeps no history; set history = true in [features.{name}] to "
                "keep one from the next run on"
            )

        def refuse_erased() -> None:
            if exports.is_erased(stores.catalog, version, shown.run_id):
                raise StorageError(
                    f"records were erased from {version.table} while it was exported, so {path} is "
                    "not written; export again"
                )

        def announce(rows: int) -> None:
            refuse_erased()
            exports.note(stores.catalog, version, shown.run_id, path, asked.form, rows)

        rows = exports.write(con, _select(version, asked), asked.form, path, version.dim, announce)
        try:
            # Between the two an erasure looks for the file in vain.
            refuse_erased()
        except StorageError:
            exports.remove(path)
            raise
    return {
        "feature": name,
        "version": version.version,
        "run": shown.run_id,
        "rows": rows,
        "path": str(path),
        "format": asked.form,
    }


def _select(version: Version, asked: Asked) -> str:
    rows = f"FROM {version.table}"
    if version.history:
        rows = views.history(version.table) if asked.history else views.current(version.table)
    # On a line of its own, so that a comment in it ends.
    condition = f" WHERE (\n{asked.where}\n)" if asked.where else ""
    return f"SELECT * FROM ({rows}){condition} ORDER BY record_id, event_time"  # noqa: S608 - our words, and the user's own condition
