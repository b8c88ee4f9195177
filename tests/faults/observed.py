"""What a store shows of itself, without what differs between two that were filled alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flows.config.configuration import load
from flows.config.stores import Stores
from storage import query

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from storage.catalog import Catalog
    from storage.model import Version

SUMMED = ("new", "changed", "updated", "deleted", "deduplicated")
"""Counts that, summed over the runs, say the same however often a run was broken off."""


def observe(root: Path) -> dict[str, Any]:
    """Rows, vectors, dead letters, standings, counts and findings of a project's feature.

    Runs go by their place among those that changed rows: their ids and times are always others,
    and a run that finds everything done may come between. Checks on the way what must always hold.
    """
    settings = load(root / "vecmill.toml")
    stores = Stores.of(settings)
    versions = {v.table: _version(stores.catalog, v) for v in stores.catalog.versions("notes")}
    with query.connect(stores.catalog, stores.vectors) as con:
        views = {name for (name,) in con.sql("SELECT name FROM (SHOW TABLES)").fetchall()}
        for table, version in versions.items():
            if table not in views:
                continue
            rows = con.sql(f"FROM {table}").to_arrow_table().to_pylist()
            version["rows"] = _rows(rows, version.pop("runs"))
            assert len(version["rows"]) == len(rows), "a record stands twice in a table"
            assert version["manifest_rows"] in {len(rows), None}, "a manifest counts other rows"
        live = "notes" in views
    for version in versions.values():
        version.pop("runs", None)
    staging = sorted(path.name for path in (root / "data/staging").rglob("*.*"))
    return {"versions": versions, "live": live, "staging": staging, "staged": _staged(root)}


def _version(catalog: Catalog, version: Version) -> dict[str, Any]:
    manifests = catalog.manifests(version)
    writing = [m for m in manifests if any(getattr(m.counts, name) for name in SUMMED)]
    runs = {m.run_id: n for n, m in enumerate(writing)}
    published = catalog.published(version)
    dead = catalog.dead_letters(version).to_pylist()
    found = catalog.query(
        "SELECT DISTINCT run_id, monitor FROM findings WHERE feature = ? AND version = ?",
        version.feature,
        version.version,
    ).to_pylist()
    return {
        "standing": version.standing,
        "fingerprint": version.fingerprint,
        "complete": version.complete,
        "runs": runs,
        "sums": {name: sum(getattr(m.counts, name) for m in manifests) for name in SUMMED},
        "made": sum(m.counts.encoded + m.counts.resumed for m in manifests),
        "manifest_rows": published.rows if published else None,
        "dead": sorted([d["place"], d["reason"], d["content_hash"] or ""] for d in dead),
        "findings": sorted([runs.get(f["run_id"], -1), f["monitor"]] for f in found),
    }


def _rows(rows: list[dict[str, Any]], runs: Mapping[str, int]) -> dict[str, Any]:
    return {
        row["record_id"]: [
            row["content_hash"],
            row["label"],
            [value.hex() for value in row["vector"]],
            runs.get(row["run_id"], -1),
        ]
        for row in rows
    }


def _staged(root: Path) -> list[str]:
    """The content hashes that have a receipt."""
    from storage.staging import staged_files, staged_hashes

    found = set[str]()
    for folder in (root / "data/staging").glob("*"):
        for rows in staged_hashes(staged_files(folder)):
            found.update(rows["content_hash"].to_list())
    return sorted(found)


def logged(root: Path) -> list[str]:
    """The texts that went through the encoder since this was last asked."""
    log = root / "encoded.jsonl"
    texts = log.read_text("utf-8").splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    # A process that was killed may have left half of a line.
    return [json.loads(text) for text in texts if text.endswith('"')]
