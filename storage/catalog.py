"""The catalog: features, versions, runs, manifests, dead letters and findings, in one DuckDB file.

Every call is one short transaction on that file (`storage.database`), so that no run holds it
while vectors are encoded and no reader while a result is looked at.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from storage.database import DatabaseFile, fetch, number
from storage.entries import (
    JSON_COLUMNS,
    PUBLISHED,
    code_version,
    drop_unpublished,
    insert,
    manifest_of,
    past_look,
    replace_dead_letters,
    set_live,
    version_of,
)
from storage.model import Counts, Cursor, Manifest, Pace, Version
from storage.schema import COUNTS, FIRST, MIGRATIONS, TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import duckdb
    import pyarrow as pa

    from storage.model import FindingRow, PastLook, Publication

_PUBLISHED_OF = f"SELECT * FROM ({PUBLISHED}) WHERE feature = ? AND version = ?"
_NEXT = "SELECT coalesce(max(version), 0) + 1 FROM versions WHERE feature = ?"
_CURSOR = "SELECT source, stamp, cursor FROM cursors WHERE feature = ? AND version = ?"
_WITHOUT_THOSE_THAT_FAILED = (
    "DELETE FROM occupancy WHERE run_id IN "
    "(SELECT run_id FROM runs WHERE status IN ('failed', 'crashed'))"
)


class Catalog:
    """The catalog in the DuckDB file at ``path``, made when it is first written to.

    Args:
        path: the file; its folder is made where it is missing.
        wait_seconds: how long a call waits for others before it gives up with `StorageError`.
        on_wait: told, in a sentence, when a call has to wait for more than a moment.
    """

    def __init__(
        self,
        path: Path,
        wait_seconds: float = 600.0,
        on_wait: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._file = DatabaseFile(Path(path), FIRST, MIGRATIONS, wait_seconds, on_wait)

    @property
    def path(self) -> Path:
        """The DuckDB file."""
        return self._file.path

    @contextmanager
    def transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """One transaction that is committed if the block ends, and leaves no trace if it raises.

        Keep it short: everybody else waits.
        """
        with self._file.write() as con:
            yield con

    def copies(self) -> list[Path]:
        """Copies of the file, each as it was before a release changed its schema."""
        return self._file.copies()

    def unfinished_copies(self) -> list[Path]:
        """What is left of copies whose process was killed."""
        return self._file.unfinished_copies()

    def is_outdated(self) -> bool:
        """Whether the file is of an earlier release, which the next call changes."""
        return self._file.is_outdated()

    def rewrite(self) -> None:
        """Write the file anew, so that nothing that was deleted from it is left in it."""
        self._file.rewrite()

    # --- versions -----------------------------------------------------------------------------

    def versions(self, feature: str) -> list[Version]:
        """All versions of a feature, oldest first."""
        rows = self._rows("SELECT * FROM versions WHERE feature = ? ORDER BY version", feature)
        return [version_of(row) for row in rows]

    def live(self, feature: str) -> Version | None:
        """The version that readers of the feature get, None before the first run is published."""
        return next((v for v in self.versions(feature) if v.standing == "live"), None)

    def add_version(self, version: Version) -> Version:
        """Register a version under the next free number (``version.version`` is ignored).

        A version with that fingerprint that is already there is returned as it is: two runs that
        start at once must not make two tables for one encoder.
        """
        with self._file.write() as con:
            old = fetch(
                con,
                "SELECT * FROM versions WHERE feature = ? AND fingerprint = ? "
                "AND dropped_at IS NULL",
                version.feature,
                version.fingerprint,
            )
            if old:
                return version_of(old[0])
            nth = number(con, _NEXT, version.feature)
            row = asdict(version) | {"version": nth, "created_at": datetime.now(UTC)}
            row |= {"code_version": code_version()}
            row |= {name: json.dumps(row[name]) for name in JSON_COLUMNS}
            insert(con, "versions", row)
            made = "SELECT * FROM versions WHERE feature = ? AND version = ?"
            return version_of(fetch(con, made, version.feature, nth)[0])

    def next_table(self, feature: str) -> str:
        """The table of the version that `add_version` would make."""
        with self._file.read() as con:
            return f"{feature}_v{number(con, _NEXT, feature)}"

    def set_params(self, version: Version) -> None:
        """Note the parameters that a version's encoder is built from now, where they are others.

        Only what is no part of the fingerprint can differ: where weights lie, the batch size.
        """
        new = json.dumps(version.params)
        old = self._rows(
            "SELECT params FROM versions WHERE feature = ? AND version = ?",
            version.feature,
            version.version,
        )
        if json.loads(cast("str", old[0]["params"])) == json.loads(new):
            return
        with self._file.write() as con:
            con.execute(
                "UPDATE versions SET params = ? WHERE feature = ? AND version = ?",
                [new, version.feature, version.version],
            )

    def keep_history(self, version: Version) -> None:
        """Note that a version keeps every content of its records from now on."""
        with self._file.write() as con:
            con.execute(
                "UPDATE versions SET history = true WHERE feature = ? AND version = ?",
                [version.feature, version.version],
            )

    # --- runs -----------------------------------------------------------------------------------

    def start_run(
        self,
        run_id: str,
        feature: str,
        version: int | None,
        kind: str = "run",
        window: tuple[datetime | None, datetime | None] = (None, None),
    ) -> None:
        """Note that a run has begun, of which kind, and over which event times (all if None).

        The version is None for a run that fails before it has one.
        """
        row: dict[str, object] = {"run_id": run_id, "feature": feature, "version": version}
        row |= {"status": "running", "kind": kind, "since": window[0], "until": window[1]}
        row |= {"code_version": code_version()}
        with self._file.write() as con:
            insert(con, "runs", row | {"started_at": datetime.now(UTC)})

    def fail_run(self, run_id: str, error: str) -> None:
        """Note that a run failed and published nothing."""
        with self._file.write() as con:
            con.execute(
                "UPDATE runs SET status = 'failed', error = ?, finished_at = now() "
                "WHERE run_id = ? AND status = 'running'",
                [error, run_id],
            )
            con.execute(_WITHOUT_THOSE_THAT_FAILED)

    def abandon_runs(self, feature: str) -> int:
        """Mark runs of the feature that were killed; call only while holding the feature's lock.

        Returns:
            How many there were.
        """
        with self._file.write() as con:
            killed = con.execute(
                "UPDATE runs SET status = 'crashed', finished_at = now(), "
                "error = 'the process ended before the run did' "
                "WHERE feature = ? AND status = 'running' RETURNING run_id",
                [feature],
            ).fetchall()
            con.execute(_WITHOUT_THOSE_THAT_FAILED)
            return len(killed)

    def pace(self, feature: str, version: int) -> Pace | None:
        """How fast the version's last encoding runs were, None if none did any."""
        rows = self._rows(
            "SELECT sum(encoded)::DOUBLE AS encoded, sum(encode_seconds) AS encode_seconds, "
            "median(seconds - encode_seconds) AS beside FROM ("
            "SELECT encoded, encode_seconds, seconds FROM runs WHERE feature = ? AND version = ? "
            "AND status = 'done' AND encoded > 0 ORDER BY finished_at DESC LIMIT 5)",
            feature,
            version,
        )
        found = cast("dict[str, float | None]", rows[0])
        if not found["encoded"] or not found["encode_seconds"]:
            return None
        return Pace(found["encode_seconds"] / found["encoded"], found["beside"] or 0.0)

    # --- manifests ------------------------------------------------------------------------------

    def published(self, version: Version) -> Manifest | None:
        """The manifest that readers of a version see, None before its first run is published."""
        rows = self._rows(_PUBLISHED_OF, version.feature, version.version)
        return manifest_of(rows[0]) if rows else None

    def manifests(self, version: Version) -> list[Manifest]:
        """All manifests of a version, oldest first."""
        rows = self._rows(
            "SELECT * FROM manifests WHERE feature = ? AND version = ? "
            # As in PUBLISHED, the other way round.
            "ORDER BY lance_version, published_at, run_id",
            version.feature,
            version.version,
        )
        return [manifest_of(row) for row in rows]

    def publish(self, publication: Publication) -> None:
        """Make a run's result public: manifest, dead letters, run and standing, or none of them.

        Publishing a run twice is publishing it once.
        """
        manifest = publication.manifest
        counts, cursor = asdict(manifest.counts), publication.cursor
        times = (publication.encode_seconds, publication.seconds)
        key = {"feature": manifest.feature, "version": manifest.version}
        with self._file.write() as con:
            if fetch(con, "SELECT 1 FROM manifests WHERE run_id = ?", manifest.run_id):
                return
            row = {k: v for k, v in asdict(manifest).items() if k != "counts"}
            insert(con, "manifests", row | counts)
            replace_dead_letters(con, key, manifest.run_id, publication.dead)
            cut = asdict(publication.cut)
            sets = ", ".join(f"{name} = ?" for name in (*COUNTS, *cut))
            con.execute(
                f"UPDATE runs SET status = 'done', {sets}, encode_seconds = ?, seconds = ?, "
                "finished_at = now() WHERE run_id = ?",
                [*counts.values(), *cut.values(), *times, manifest.run_id],
            )
            con.execute(
                "UPDATE versions SET types = $types, complete = complete OR $whole "
                "WHERE feature = $feature AND version = $version",
                key | {"types": json.dumps(dict(publication.types)), "whole": publication.whole},
            )
            live = "SELECT 1 FROM versions WHERE feature = ? AND standing = 'live'"
            if not fetch(con, live, manifest.feature):
                set_live(con, manifest.feature, manifest.version, "publish")
                # The moment of the one is that of the other: both are seen at once.
                con.execute(
                    "UPDATE standings SET changed_at = ? WHERE feature = ? AND version = ? "
                    "AND action = 'publish'",
                    [manifest.published_at, manifest.feature, manifest.version],
                )
            if cursor is not None:
                con.execute(
                    "DELETE FROM cursors WHERE feature = $feature AND version = $version", key
                )
                row = key | asdict(cursor) | {"run_id": manifest.run_id}
                insert(con, "cursors", row | {"noted_at": datetime.now(UTC)})
            if publication.profile is not None:
                row = key | {"run_id": manifest.run_id, "noted_at": datetime.now(UTC)}
                insert(con, "profiles", row | {"profile": json.dumps(publication.profile)})
            con.execute("DELETE FROM features WHERE feature = ?", [manifest.feature])
            row = {"feature": manifest.feature, "source": publication.source}
            row |= {"encoder": publication.encoder}
            insert(con, "features", row | {"updated_at": datetime.now(UTC)})

    # --- dead letters and findings ----------------------------------------------------------------

    def known_dead(self, version: Version) -> pa.Table:
        """Contents that the version's encoder could not encode: content_hash, reason."""
        return self.query(
            "SELECT content_hash, any_value(reason) AS reason, true AS lasting FROM dead_letters "
            "WHERE feature = ? AND version = ? AND stage = 'encode' AND published "
            "AND content_hash IS NOT NULL GROUP BY ALL",
            version.feature,
            version.version,
        )

    def dead_letters(self, version: Version) -> pa.Table:
        """The version's published dead letters, columns as `DeadLetter`."""
        return self.query(
            "SELECT record_id, place, reason, stage, content_hash FROM dead_letters "
            "WHERE feature = ? AND version = ? AND published",
            version.feature,
            version.version,
        )

    def keep_unpublished_dead(self, version: Version, run_id: str, dead: pa.Table) -> None:
        """Keep the dead letters of a run that failed of them, so that they can be looked at."""
        key = {"feature": version.feature, "version": version.version}
        with self._file.write() as con:
            drop_unpublished(con, key)
            con.register("current_dead", dead)
            con.execute(
                "INSERT INTO dead_letters BY NAME SELECT *, $feature AS feature, "
                "$version AS version, $run_id AS run_id, now() AS since, false AS published "
                "FROM current_dead",
                {**key, "run_id": run_id},
            )

    def cursor(self, version: Version) -> Cursor | None:
        """How far the version's runs have read its source, None before one has noted it."""
        rows = self._rows(_CURSOR, version.feature, version.version)
        return Cursor(**cast("dict[str, str]", rows[0])) if rows else None

    def last_read(self, version: Version) -> tuple[Manifest | None, Cursor | None]:
        """What `published` and `cursor` give, as of one moment."""
        key = version.feature, version.version
        with self._file.read() as con:
            published = fetch(con, _PUBLISHED_OF, *key)
            cursor = fetch(con, _CURSOR, *key) if published else []
        return (
            manifest_of(published[0]) if published else None,
            Cursor(**cursor[0]) if cursor else None,
        )

    def read_counts(self, version: Version) -> Counts:
        """What the run counted that noted the version's cursor; nothing where none has."""
        rows = self._rows(
            "SELECT m.* FROM cursors c JOIN manifests m USING (run_id) "
            "WHERE c.feature = ? AND c.version = ?",
            version.feature,
            version.version,
        )
        return manifest_of(rows[0]).counts if rows else Counts()

    def add_findings(
        self, feature: str, version: int, run_id: str, findings: Sequence[FindingRow]
    ) -> None:
        """Keep what monitors found over a run; a monitor's earlier finding over it gives way."""
        with self._file.write() as con:
            for finding in findings:
                con.execute(
                    "DELETE FROM findings WHERE feature = ? AND version = ? AND run_id = ? "
                    "AND monitor = ?",
                    [feature, version, run_id, finding.monitor],
                )
                row = asdict(finding) | {"feature": feature, "version": version, "run_id": run_id}
                # In their own letters, so that `erase` finds ids of any script in them.
                nested = ("detail", "parts", "series")
                row |= {name: json.dumps(row[name], ensure_ascii=False) for name in nested}
                row |= {"found_at": datetime.now(UTC), "alone": row["alone"] or row["verdict"]}
                insert(con, "findings", row | {"record_ids": list(finding.record_ids)})

    def looks(self, version: Version, before: str) -> list[PastLook]:
        """What monitors found over the runs of a version that began before one, oldest first."""
        rows = self._rows(
            "SELECT run_id, monitor, verdict, alone, p_value, effect_size, series FROM findings "
            "WHERE feature = ? AND version = ? AND run_id < ? ORDER BY run_id",
            *(version.feature, version.version, before),
        )
        return [past_look(row) for row in rows]

    # --- reading --------------------------------------------------------------------------------

    def query(self, sql: str, *parameters: object) -> pa.Table:
        """Run one SELECT over the catalog's tables (all empty before the first run)."""
        with self._file.read() as con:
            return con.sql(sql, params=list(parameters)).to_arrow_table()

    def tables(self) -> dict[str, pa.Table]:
        """A copy of every table, read in one transaction; a SQL session works on it.

        What monitors noted of a run that is not published yet, and may never be, is left out.
        """
        with self._file.read() as con:
            copied = {t: con.table(t).to_arrow_table() for t in TABLES}
            published = con.sql("FROM occupancy SEMI JOIN manifests USING (run_id)")
            return copied | {"occupancy": published.to_arrow_table()}

    def _rows(self, sql: str, *parameters: object) -> list[dict[str, object]]:
        with self._file.read() as con:
            return fetch(con, sql, *parameters)
