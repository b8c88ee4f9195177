"""The catalog's tables, and how a catalog of an earlier schema becomes one of this.

A catalog is meant to outlive many releases, so a change of the schema is a step in `MIGRATIONS`,
carried out in the first transaction that writes, and never a reason to begin anew.
"""

from __future__ import annotations

from dataclasses import fields

from storage.model import Counts

VERSION = 6
"""The schema that this release reads and writes."""

TABLES = (
    "features",
    "versions",
    "standings",
    "fits",
    "runs",
    "manifests",
    "cursors",
    "dead_letters",
    "findings",
    "backfills",
    "backfill_windows",
    "exports",
    "erasures",
    "clusterings",
    "clustering_groups",
    "profiles",
    "occupancy",
    "alerts",
    "snoozes",
)
"""All tables, as a SQL session sees them."""

COUNTS = tuple(field.name for field in fields(Counts))
"""The columns of `runs` and `manifests` that hold `storage.model.Counts`."""

_COUNT_COLUMNS = ", ".join(f"{name} BIGINT" for name in COUNTS)

FIRST = f"""
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
"""Schema 1, as release 0.1 wrote it; the tests make old catalogs with it."""

_SECOND = """
ALTER TABLE versions ADD COLUMN history BOOLEAN DEFAULT false;
ALTER TABLE versions ADD COLUMN complete BOOLEAN DEFAULT true;
ALTER TABLE versions ADD COLUMN code_version VARCHAR;
ALTER TABLE versions ADD COLUMN dropped_at TIMESTAMPTZ;
ALTER TABLE runs ADD COLUMN kind VARCHAR DEFAULT 'run';
ALTER TABLE runs ADD COLUMN since TIMESTAMPTZ;
ALTER TABLE runs ADD COLUMN until TIMESTAMPTZ;
ALTER TABLE runs ADD COLUMN code_version VARCHAR;
ALTER TABLE manifests ADD COLUMN kind VARCHAR DEFAULT 'run';
ALTER TABLE manifests ADD COLUMN forgotten_at TIMESTAMPTZ;
ALTER TABLE manifests ADD COLUMN forgotten_by VARCHAR;
ALTER TABLE dead_letters ADD COLUMN published BOOLEAN DEFAULT true;
CREATE TABLE standings (
    feature VARCHAR, version INTEGER, standing VARCHAR, action VARCHAR, forced BOOLEAN,
    reason VARCHAR, gates JSON, changed_at TIMESTAMPTZ);
INSERT INTO standings SELECT feature, version, standing, 'publish', false, NULL, NULL, created_at
    FROM versions WHERE standing <> 'candidate';
CREATE TABLE cursors (
    feature VARCHAR, version INTEGER, run_id VARCHAR, source VARCHAR, stamp VARCHAR,
    cursor VARCHAR, noted_at TIMESTAMPTZ, PRIMARY KEY (feature, version));
CREATE TABLE backfills (
    backfill_id VARCHAR PRIMARY KEY, feature VARCHAR, version INTEGER, since TIMESTAMPTZ,
    until TIMESTAMPTZ, every VARCHAR, record_limit BIGINT, status VARCHAR, started_at TIMESTAMPTZ,
    finished_at TIMESTAMPTZ);
CREATE TABLE backfill_windows (
    backfill_id VARCHAR, since TIMESTAMPTZ, until TIMESTAMPTZ, status VARCHAR, run_id VARCHAR,
    error VARCHAR, predicted_records BIGINT, predicted_encoded BIGINT, predicted_seconds DOUBLE,
    predicted_cost DOUBLE, currency VARCHAR, records BIGINT, encoded BIGINT, seconds DOUBLE,
    cost DOUBLE, PRIMARY KEY (backfill_id, since));
CREATE TABLE exports (
    feature VARCHAR, version INTEGER, run_id VARCHAR, path VARCHAR, form VARCHAR, rows BIGINT,
    exported_at TIMESTAMPTZ);
CREATE TABLE erasures (
    erasure_id VARCHAR PRIMARY KEY, feature VARCHAR, records BIGINT, receipt JSON,
    erased_at TIMESTAMPTZ);
"""

_THIRD = """
ALTER TABLE versions ADD COLUMN chunked BOOLEAN DEFAULT false;
ALTER TABLE fits ADD COLUMN wanted BIGINT;
ALTER TABLE fits ADD COLUMN since TIMESTAMPTZ;
ALTER TABLE fits ADD COLUMN until TIMESTAMPTZ;
ALTER TABLE fits ADD COLUMN figures JSON;
ALTER TABLE fits ADD COLUMN seconds DOUBLE;
ALTER TABLE fits ADD COLUMN version INTEGER;
ALTER TABLE runs ADD COLUMN cut_texts BIGINT DEFAULT 0;
ALTER TABLE runs ADD COLUMN cut_tokens BIGINT DEFAULT 0;
ALTER TABLE runs ADD COLUMN text_tokens BIGINT DEFAULT 0;
"""

_FOURTH = """
CREATE TABLE clusterings (
    feature VARCHAR, version INTEGER, clustering VARCHAR, method VARCHAR, settings JSON,
    figures JSON, run_id VARCHAR, rows BIGINT, noise BIGINT, made_at TIMESTAMPTZ,
    assigned_at TIMESTAMPTZ);
CREATE TABLE clustering_groups (
    feature VARCHAR, version INTEGER, cluster INTEGER, size BIGINT, share DOUBLE, words VARCHAR[],
    kept_values VARCHAR[], examples VARCHAR[], assigned_at TIMESTAMPTZ);
"""

_FIFTH = """
ALTER TABLE findings ADD COLUMN parts JSON DEFAULT '[]';
ALTER TABLE findings ADD COLUMN blocks VARCHAR DEFAULT 'promotion';
ALTER TABLE findings ADD COLUMN reference VARCHAR;
ALTER TABLE findings ADD COLUMN alone VARCHAR;
ALTER TABLE findings ADD COLUMN series JSON;
CREATE TABLE profiles (
    feature VARCHAR, version INTEGER, run_id VARCHAR, profile JSON, noted_at TIMESTAMPTZ);
CREATE TABLE occupancy (
    feature VARCHAR, version INTEGER, run_id VARCHAR, basis VARCHAR, cell INTEGER,
    contents BIGINT, noted_at TIMESTAMPTZ);
CREATE TABLE alerts (
    alert_id VARCHAR PRIMARY KEY, feature VARCHAR, version INTEGER, monitor VARCHAR,
    run_id VARCHAR, channel VARCHAR, verdict VARCHAR, status VARCHAR, error VARCHAR,
    sent_at TIMESTAMPTZ);
CREATE TABLE snoozes (
    feature VARCHAR, monitor VARCHAR, until TIMESTAMPTZ, reason VARCHAR, snoozed_at TIMESTAMPTZ);
"""

_SIXTH = """
ALTER TABLE alerts ADD COLUMN about JSON;
"""

MIGRATIONS = {1: _SECOND, 2: _THIRD, 3: _FOURTH, 4: _FIFTH, 5: _SIXTH}
"""What makes the next schema of each."""
