"""The views of a SQL session: what each feature and version is, now or at an earlier moment.

A feature's name stands for the rows of its live version: one a record, the current one. Where the
version keeps a history there are more: ``articles_history`` has every row with the stretch of time
``[valid_from, valid_until)`` that it was the current one, and ``articles_at(moment)`` the row of
each record that was current at a moment, never one from later. The row that is current has no
``valid_until``; one without an event time, from before the history was kept, no ``valid_from``.

Where a version's records were grouped (`storage.clusters`), ``articles_clusters`` says to which
cluster each belongs, and ``articles_cluster_sizes`` what each cluster is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from storage import cluster_rows, clusters, moments
from storage.database import fetch
from storage.model import StorageError, UsageError
from storage.schema import TABLES

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    import duckdb

    from storage.catalog import Catalog
    from storage.vectors import Vectors

CURRENT = "event_time DESC NULLS LAST, run_id DESC, content_hash"
"""Which of a record's rows is the current one: the latest, and of equal times the last written."""

HIDDEN = "vecmill"
"""The schema of what a session keeps for itself, which SHOW TABLES does not list."""

VALIDITY = ("valid_from", "valid_until")
"""The columns that a history has besides those of its table."""

_KEY = "record_id, event_time, content_hash"
_SAME = (
    "r.record_id = k.record_id AND r.content_hash = k.content_hash "
    "AND r.event_time IS NOT DISTINCT FROM k.event_time"
)


@dataclass(frozen=True)
class Shown:
    """A version as a session shows it.

    Attributes:
        run_id: the run that left it so.
        lance_version: of its table.
        away: why that state cannot be read, None where it can.
    """

    feature: str
    version: int
    live: bool
    history: bool
    run_id: str
    lance_version: int
    away: str | None = None

    @property
    def table(self) -> str:
        """The name of its view."""
        return f"{self.feature}_v{self.version}"

    @property
    def names(self) -> list[str]:
        """All names that it goes by."""
        return [self.table, self.feature] if self.live else [self.table]


def create(
    con: duckdb.DuckDBPyConnection, catalog: Catalog, vectors: Vectors, moment: datetime | None
) -> None:
    """Make the catalog's tables and all views in a session.

    Views that cannot be had are told of in the table ``vecmill.missing`` (name, why), those that
    are there in ``vecmill.shown``, with the columns of `Shown`.

    Args:
        con: the session, empty.
        catalog: copied, so that the session holds no lock.
        vectors: opened at published states only.
        moment: show the store as it was then; as it is now where none is given.
    """
    con.execute(
        f"CREATE SCHEMA {HIDDEN}; CREATE TABLE {HIDDEN}.missing (name VARCHAR, why VARCHAR);"
        f"CREATE TABLE {HIDDEN}.shown (feature VARCHAR, version INTEGER, live BOOLEAN, "
        "history BOOLEAN, run_id VARCHAR, lance_version BIGINT)"
    )
    con.execute(f"CREATE TABLE {HIDDEN}.store (path VARCHAR)")
    log = catalog.path.with_name(f"{catalog.path.name}.wal")  # replayed when it is opened next
    for place in (catalog.path, log, vectors.folder):
        if place is not None:
            con.execute(f"INSERT INTO {HIDDEN}.store VALUES (?)", [str(place.resolve())])
    # From the copy, so that views and catalog show the same moment. It lies out of the way, and
    # views go by the names of its tables: DuckDB then refuses whatever would change them.
    con.execute(f"SET search_path = '{HIDDEN}'")
    tables = catalog.tables()
    found = [Shown(**row) for row in moments.copy(con, tables, moment)]
    con.execute("RESET search_path")
    for name in tables:
        con.execute(f"CREATE VIEW {name} AS FROM {HIDDEN}.{name}")
    taken = {name for version in found for name in version.names} | {*TABLES}
    for version in found:
        away = version.away or _open(con, vectors, version, taken)
        for name in version.names if away else ():
            con.execute(f"INSERT INTO {HIDDEN}.missing VALUES (?, ?)", [name, away])
        if not away:
            row = [version.feature, version.version, version.live, version.history]
            row += [version.run_id, version.lance_version]
            con.execute(f"INSERT INTO {HIDDEN}.shown VALUES (?, ?, ?, ?, ?, ?)", row)
            _show_clusters(con, clusters.home(catalog), version, taken)


def shown(con: duckdb.DuckDBPyConnection) -> list[Shown]:
    """The versions that a session shows, oldest first."""
    rows = fetch(con, f"FROM {HIDDEN}.shown ORDER BY feature, version")
    return [Shown(**row) for row in rows]


def missing(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Names of views that a session does not have, and why."""
    return {row["name"]: row["why"] for row in fetch(con, f"FROM {HIDDEN}.missing")}


def _open(
    con: duckdb.DuckDBPyConnection, vectors: Vectors, version: Shown, taken: set[str]
) -> str | None:
    """Make the views of a version; why that cannot be, where it cannot."""
    from storage.pushed import Pushed  # which imports Arrow

    try:
        dataset = vectors.dataset(version.table, version.lance_version)
    except StorageError as error:
        # One table that is away must not keep the others from being read.
        return str(error)
    con.register(version.table, Pushed(dataset))
    if version.live:
        rows = current(version.table) if version.history else f"FROM {version.table}"
        con.execute(f"CREATE VIEW {version.feature} AS {rows}")
    for name in version.names if version.history else ():
        # A feature that is configured no more may be called what a history would be.
        if f"{name}_history" not in taken:
            con.execute(f"CREATE VIEW {name}_history AS {history(version.table)}")
        con.execute(f"CREATE MACRO {name}_at(moment) AS TABLE {_at(version.table)}")
    return None


def _show_clusters(
    con: duckdb.DuckDBPyConnection, home: Path, version: Shown, taken: set[str]
) -> None:
    """Make the views of a version's clusters, where it has any."""
    key = [version.feature, version.version]
    found = fetch(con, "SELECT clustering FROM clusterings WHERE feature = ? AND version = ?", *key)
    file = clusters.rows_file(home, version.table, found[0]["clustering"]) if found else None
    away = None if file is None else cluster_rows.why_away(file)
    for name in version.names if file is not None else ():
        # As with histories: who is configured no more may have been called so.
        if file is not None and f"{name}_clusters" not in taken:
            rows = current(version.table) if version.history else f"FROM {version.table}"
            if away is None:
                con.execute(f"CREATE VIEW {name}_clusters AS {cluster_rows.shown(file, rows)}")
            else:
                con.execute(
                    f"INSERT INTO {HIDDEN}.missing VALUES (?, ?)", [f"{name}_clusters", away]
                )
        if f"{name}_cluster_sizes" not in taken:
            con.execute(
                f"CREATE VIEW {name}_cluster_sizes AS SELECT cluster, size, share, words, "
                "kept_values, examples FROM clustering_groups WHERE feature = "
                f"'{version.feature}' AND version = {version.version} ORDER BY cluster"
            )


def choose(con: duckdb.DuckDBPyConnection, feature: str, number: int | None) -> Shown:
    """A version as a session shows it: that of a number, or the live one.

    Raises:
        UsageError: if the session shows no such version.
    """
    found = [view for view in shown(con) if view.feature == feature]
    for view in found:
        if view.version == number or (number is None and view.live):
            return view
    known = ", ".join(f"v{view.version}" for view in found) or "none"
    wanted = "live version" if number is None else f"version v{number}"
    away = missing(con).get(feature if number is None else f"{feature}_v{number}")
    why = f": {away}" if away else f" with anything published by then; there are: {known}"
    raise UsageError(f"{feature} has no {wanted} to be read{why}")


# Which rows are meant is found by their keys alone: a window function over whole rows would hold
# all vectors in memory.


def current(table: str) -> str:
    """A statement that gives the current row of each record of a table that keeps a history."""
    return f"SELECT r.* FROM {table} r SEMI JOIN ({_latest(table)}) k ON {_SAME}"


def history(table: str) -> str:
    """A statement that gives all rows of a table that keeps a history, with their validity.

    Of contents that a record had at one time, the last written counts.
    """
    keys = (
        f"SELECT {_KEY}, lead(event_time) OVER (PARTITION BY record_id ORDER BY event_time "
        f"NULLS FIRST) AS valid_until FROM (SELECT {_KEY} FROM {table} QUALIFY row_number() OVER "
        f"(PARTITION BY record_id, event_time ORDER BY {CURRENT}) = 1)"
    )
    return (
        f"SELECT r.*, r.event_time AS valid_from, k.valid_until FROM {table} r JOIN ({keys}) k "
        f"ON {_SAME}"
    )


def _at(table: str) -> str:
    latest = _latest(f"{table} WHERE event_time <= moment")
    return f"SELECT r.* FROM {table} r SEMI JOIN ({latest}) k ON {_SAME}"


def _latest(rows: str) -> str:
    """The keys of the current row of each record among some rows."""
    return (
        f"SELECT {_KEY} FROM {rows} QUALIFY row_number() OVER "
        f"(PARTITION BY record_id ORDER BY {CURRENT}) = 1"
    )
