"""The catalog: features, versions, runs, manifests, dead letters and findings, in one DuckDB file.

Every call is one short transaction on that file (`storage.database`), so that no run holds it
while vectors are encoded and no reader while a result is looked at.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from storage.database import DatabaseFile, fetch
from storage.model import Counts, Manifest, UsageError, Version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import duckdb
    import pyarrow as pa

    from storage.model import DeadLetter, FindingRow

SCHEMA_VERSION = 1

TABLES = (
    "features",
    "versions",
    "fits",
    "runs",
    "manifests",
    "dead_letters",
    "findings",
)

PUBLISHED = """
SELECT * FROM manifests QUALIFY row_number() OVER (PARTITION BY feature, version
    ORDER BY lance_version DESC, published_at DESC, run_id DESC) = 1
"""
"""The manifest of each version that readers see. By the clock last: it may be set back."""

_JSON_COLUMNS = ("recipe", "params", "types")
_COUNTS = [field.name for field in fields(Counts)]
_COUNT_COLUMNS = ", ".join(f"{name} BIGINT" for name in _COUNTS)
_SCHEMA = f"""
CREATE TABLE features (
    feature VARCHAR PRIMARY KEY, source VARCHAR, encoder VARCHAR, updated_at TIMESTAMPTZ);
CREATE TABLE versions (
    feature VARCHAR, version INTEGER, fingerprint VARCHAR, recipe JSON, kind VARCHAR, params JSON,
    modality VARCHAR, metric VARCHAR, dim INTEGER, state VARCHAR, types JSON,
    standing VARCHAR, created_at TIMESTAMPTZ, PRIMARY KEY (feature, version));
CREATE TABLE fits (
    feature VARCHAR, unfitted VARCHAR, state VARCHAR, records BIGINT, fitted_at TIMESTAMPTZ);
CREATE TABLE runs (
    run_id VARCHAR PRIMARY KEY, feature VARCHAR, version INTEGER, status VARCHAR, error VARCHAR,
    {_COUNT_COLUMNS}, encode_seconds DOUBLE, seconds DOUBLE, started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ);
CREATE TABLE manifests (
    feature VARCHAR, version INTEGER, run_id VARCHAR PRIMARY KEY, lance_version BIGINT,
    fingerprint VARCHAR, {_COUNT_COLUMNS}, rows BIGINT, published_at TIMESTAMPTZ);
CREATE TABLE dead_letters (
    feature VARCHAR, version INTEGER, record_id VARCHAR, place VARCHAR, reason VARCHAR,
    stage VARCHAR, content_hash VARCHAR, run_id VARCHAR, since TIMESTAMPTZ);
CREATE TABLE findings (
    feature VARCHAR, version INTEGER, run_id VARCHAR, reference_run VARCHAR, monitor VARCHAR,
    verdict VARCHAR, summary VARCHAR, statistic DOUBLE, threshold DOUBLE, p_value DOUBLE,
    effect_size DOUBLE, n_reference BIGINT, n_current BIGINT, record_ids VARCHAR[], detail JSON,
    found_at TIMESTAMPTZ);
"""


class Catalog:
    """The catalog in the DuckDB file at ``path``, made when it is first written to.

    Args:
        path: the file; its folder is made where it is missing.
        wait_seconds: how long a call waits for others before it gives up with `StorageError`.
    """

    def __init__(self, path: Path, wait_seconds: float = 600.0) -> None:
        self._file = DatabaseFile(Path(path), _SCHEMA, SCHEMA_VERSION, wait_seconds)

    # --- versions -----------------------------------------------------------------------------

    def versions(self, feature: str) -> list[Version]:
        """All versions of a feature, oldest first."""
        rows = self._rows("SELECT * FROM versions WHERE feature = ? ORDER BY version", feature)
        return [_version(row) for row in rows]

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
                "SELECT * FROM versions WHERE feature = ? AND fingerprint = ?",
                version.feature,
                version.fingerprint,
            )
            if old:
                return _version(old[0])
            highest = "SELECT coalesce(max(version), 0) + 1 AS n FROM versions WHERE feature = ?"
            number = cast("int", fetch(con, highest, version.feature)[0]["n"])
            row = asdict(version) | {"version": number, "created_at": datetime.now(UTC)}
            row |= {name: json.dumps(row[name]) for name in _JSON_COLUMNS}
            _insert(con, "versions", row)
        return next(v for v in self.versions(version.feature) if v.version == number)

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

    def promote(self, feature: str, number: int) -> Version:
        """Make a published version the live one; the one that was live becomes retired.

        Raises:
            UsageError: if there is no such version, or it has no published run.
        """
        version = next((v for v in self.versions(feature) if v.version == number), None)
        if version is None:
            known = ", ".join(f"v{v.version}" for v in self.versions(feature)) or "none"
            raise UsageError(f"{feature} has no version v{number}; there are: {known}")
        if self.published(version) is None:
            raise UsageError(
                f"{version.table} has no published run, so readers would see nothing; "
                f"finish a run of {feature} first"
            )
        with self._file.write() as con:
            con.execute(
                "UPDATE versions SET standing = CASE WHEN version = $number THEN 'live' "
                "WHEN standing = 'live' THEN 'retired' ELSE standing END WHERE feature = $feature",
                {"number": number, "feature": feature},
            )
        return next(v for v in self.versions(feature) if v.version == number)

    # --- fitted encoders ------------------------------------------------------------------------

    def fits(self, feature: str, unfitted: str) -> list[str]:
        """The digests of what encoders of this unfitted fingerprint learned, newest first."""
        rows = self._rows(
            "SELECT state FROM fits WHERE feature = ? AND unfitted = ? ORDER BY fitted_at DESC",
            feature,
            unfitted,
        )
        return [cast("str", row["state"]) for row in rows]

    def add_fit(self, feature: str, unfitted: str, state: str, records: int) -> None:
        """Note what an encoder learned, and from how many records."""
        row = {"feature": feature, "unfitted": unfitted, "state": state, "records": records}
        with self._file.write() as con:
            _insert(con, "fits", row | {"fitted_at": datetime.now(UTC)})

    # --- runs -----------------------------------------------------------------------------------

    def start_run(self, run_id: str, feature: str, version: int) -> None:
        """Note that a run has begun."""
        row = {"run_id": run_id, "feature": feature, "version": version, "status": "running"}
        with self._file.write() as con:
            _insert(con, "runs", row | {"started_at": datetime.now(UTC)})

    def fail_run(self, run_id: str, error: str) -> None:
        """Note that a run failed and published nothing."""
        with self._file.write() as con:
            con.execute(
                "UPDATE runs SET status = 'failed', error = ?, finished_at = now() "
                "WHERE run_id = ? AND status = 'running'",
                [error, run_id],
            )

    def abandon_runs(self, feature: str) -> int:
        """Mark runs of the feature that were killed; call only while holding the feature's lock.

        Returns:
            How many there were.
        """
        with self._file.write() as con:
            return len(
                con.execute(
                    "UPDATE runs SET status = 'crashed', finished_at = now(), "
                    "error = 'the process ended before the run did' "
                    "WHERE feature = ? AND status = 'running' RETURNING run_id",
                    [feature],
                ).fetchall()
            )

    def encode_rate(self, feature: str, version: int) -> float | None:
        """Records a second that the version's last encoding runs reached, None if none did."""
        rows = self._rows(
            "SELECT sum(encoded) / nullif(sum(encode_seconds), 0) AS rate FROM ("
            "SELECT encoded, encode_seconds FROM runs WHERE feature = ? AND version = ? "
            "AND status = 'done' AND encoded > 0 ORDER BY finished_at DESC LIMIT 5)",
            feature,
            version,
        )
        return cast("float | None", rows[0]["rate"])

    # --- manifests ------------------------------------------------------------------------------

    def published(self, version: Version) -> Manifest | None:
        """The manifest that readers of a version see, None before its first run is published."""
        rows = self._rows(
            f"SELECT * FROM ({PUBLISHED}) WHERE feature = ? AND version = ?",
            version.feature,
            version.version,
        )
        return _manifest(rows[0]) if rows else None

    def manifests(self, version: Version) -> list[Manifest]:
        """All manifests of a version, oldest first."""
        rows = self._rows(
            "SELECT * FROM manifests WHERE feature = ? AND version = ? "
            # As in PUBLISHED, the other way round.
            "ORDER BY lance_version, published_at, run_id",
            version.feature,
            version.version,
        )
        return [_manifest(row) for row in rows]

    def publish(
        self,
        manifest: Manifest,
        dead: pa.Table,
        *,
        types: Mapping[str, str],
        encode_seconds: float,
        seconds: float,
        source: str,
        encoder: str,
    ) -> None:
        """Make a run's result public: manifest, dead letters, run and standing, or none of them.

        Publishing a run twice is publishing it once.

        Args:
            manifest: what readers see from now on.
            dead: all dead letters of the version as of this run, columns as `DeadLetter`.
            types: what the source's columns were read as, for the next runs to keep to.
            encode_seconds: time spent encoding, for predictions.
            seconds: time since the run began.
            source: the name of the feature's source in the configuration.
            encoder: the name of its encoder there.
        """
        counts = asdict(manifest.counts)
        key = {"feature": manifest.feature, "version": manifest.version}
        with self._file.write() as con:
            if fetch(con, "SELECT 1 FROM manifests WHERE run_id = ?", manifest.run_id):
                return
            row = {k: v for k, v in asdict(manifest).items() if k != "counts"}
            _insert(con, "manifests", row | counts)
            _replace_dead_letters(con, key, manifest.run_id, dead)
            sets = ", ".join(f"{name} = ?" for name in _COUNTS)
            con.execute(
                f"UPDATE runs SET status = 'done', {sets}, encode_seconds = ?, seconds = ?, "
                "finished_at = now() WHERE run_id = ?",
                [*counts.values(), encode_seconds, seconds, manifest.run_id],
            )
            con.execute(
                "UPDATE versions SET types = $types WHERE feature = $feature "
                "AND version = $version",
                key | {"types": json.dumps(dict(types))},
            )
            con.execute(
                "UPDATE versions SET standing = 'live' WHERE feature = $feature "
                "AND version = $version AND NOT EXISTS (SELECT 1 FROM versions "
                "WHERE feature = $feature AND standing = 'live')",
                key,
            )
            con.execute("DELETE FROM features WHERE feature = ?", [manifest.feature])
            row = {"feature": manifest.feature, "source": source, "encoder": encoder}
            _insert(con, "features", row | {"updated_at": datetime.now(UTC)})

    # --- dead letters and findings ----------------------------------------------------------------

    def known_dead(self, version: Version) -> pa.Table:
        """Contents that the version's encoder could not encode: content_hash, reason."""
        return self.query(
            "SELECT content_hash, any_value(reason) AS reason, true AS lasting FROM dead_letters "
            "WHERE feature = ? AND version = ? AND stage = 'encode' "
            "AND content_hash IS NOT NULL GROUP BY ALL",
            version.feature,
            version.version,
        )

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
                row |= {"detail": json.dumps(row["detail"]), "found_at": datetime.now(UTC)}
                _insert(con, "findings", row | {"record_ids": list(finding.record_ids)})

    # --- reading --------------------------------------------------------------------------------

    def query(self, sql: str, *parameters: object) -> pa.Table:
        """Run one SELECT over the catalog's tables (all empty before the first run)."""
        with self._file.read() as con:
            return con.sql(sql, params=list(parameters)).to_arrow_table()

    def tables(self) -> dict[str, pa.Table]:
        """A copy of every table, read in one transaction; a SQL session works on it."""
        with self._file.read() as con:
            return {t: con.table(t).to_arrow_table() for t in TABLES}

    def _rows(self, sql: str, *parameters: object) -> list[dict[str, object]]:
        with self._file.read() as con:
            return fetch(con, sql, *parameters)


def _replace_dead_letters(
    con: duckdb.DuckDBPyConnection, key: Mapping[str, object], run_id: str, dead: pa.Table
) -> None:
    """Put the current dead letters in the place of the old, keeping since when each is one."""
    con.register("current_dead", dead)
    con.execute(
        "CREATE TEMP TABLE next_dead AS SELECT $feature AS feature, $version AS version, "
        "c.record_id, c.place, c.reason, c.stage, c.content_hash, "
        "coalesce(o.run_id, $run_id) AS run_id, coalesce(o.since, now()) AS since "
        "FROM current_dead c LEFT JOIN (SELECT place, reason, content_hash, min(run_id) AS run_id, "
        "min(since) AS since FROM dead_letters WHERE feature = $feature AND version = $version "
        "GROUP BY ALL) o ON c.place = o.place AND c.reason = o.reason "
        "AND c.content_hash IS NOT DISTINCT FROM o.content_hash",
        {**key, "run_id": run_id},
    )
    con.execute("DELETE FROM dead_letters WHERE feature = $feature AND version = $version", key)
    con.execute("INSERT INTO dead_letters FROM next_dead")


def _insert(con: duckdb.DuckDBPyConnection, table: str, row: Mapping[str, object]) -> None:
    names = ", ".join(row)
    marks = ", ".join("?" for _ in row)
    con.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values()))


def _version(row: Mapping[str, Any]) -> Version:
    known = {f.name: row[f.name] for f in fields(Version)}
    known |= {name: json.loads(row[name]) for name in _JSON_COLUMNS}
    return Version(**known)


def _manifest(row: Mapping[str, Any]) -> Manifest:
    counts = Counts(**{name: row[name] for name in _COUNTS})
    known = {f.name: row[f.name] for f in fields(Manifest) if f.name != "counts"}
    return Manifest(**known, counts=counts)


def dead_table(letters: Sequence[DeadLetter]) -> pa.Table:
    """Dead letters as an Arrow table, typed also when there are none."""
    import pyarrow as pa

    names = ("record_id", "place", "reason", "stage", "content_hash")
    schema = pa.schema([(name, pa.string()) for name in names])
    return pa.Table.from_pylist([asdict(letter) for letter in letters], schema=schema)
