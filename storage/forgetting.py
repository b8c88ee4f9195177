"""Taking records out of the catalog's rows, and out of the texts that tell of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from storage.blotting import Blotter, holding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    import duckdb

    from storage.catalog import Catalog

_TEXTS = (
    ("runs", "error"), ("dead_letters", "reason"), ("dead_letters", "place"),
    ("findings", "summary"), ("standings", "reason"), ("snoozes", "reason"), ("alerts", "error"),
    ("backfill_windows", "error"),
)  # fmt: skip
_JSON = (("findings", "detail"), ("findings", "parts"), ("standings", "gates"), ("alerts", "about"))


_NAMED = "list_concat(record_ids, json_extract_string(parts, '$[*].record_ids[*]'))"
"""The records that a finding names, its parts' among them."""


def in_catalog(
    catalog: Catalog,
    feature: str,
    ids: Collection[str],
    hashes: Collection[str],
    parts: Collection[str] = (),
) -> dict[str, int]:
    """How many dead letters and findings of a feature tell of these records, or of their parts."""
    found = catalog.query(
        "SELECT (SELECT count(*) FROM dead_letters WHERE feature = $1 AND "
        "(list_contains($2, record_id) OR list_contains($3, content_hash))) AS letters, "
        "(SELECT count(*) FROM findings WHERE feature = $1 AND "
        f"list_has_any({_NAMED}, $4)) AS findings",
        feature,
        sorted(ids),
        sorted(hashes),
        sorted({*ids, *parts}),
    ).to_pylist()[0]
    return {"dead letters": found["letters"], "findings": found["findings"]}


def parts_in_findings(
    catalog: Catalog, feature: str, versions: Collection[int], ids: Collection[str]
) -> set[str]:
    """The parts of these records that findings name, of versions whose rows are parts."""
    found = catalog.query(
        f"SELECT DISTINCT part FROM (SELECT unnest({_NAMED}) AS part FROM findings "
        "WHERE feature = $1 AND list_contains($2::INTEGER[], version)) "
        "WHERE list_contains($3, regexp_replace(part, '#[0-9]+$', ''))",
        feature,
        sorted(versions),
        sorted(ids),
    )
    return set(found.column("part").to_pylist())


def reasons(catalog: Catalog, feature: str, ids: Collection[str]) -> set[str]:
    """What dead letters say of these records and of no other: it may quote them."""
    found = catalog.query(
        "SELECT DISTINCT reason FROM dead_letters WHERE feature = $1 "
        "AND list_contains($2, record_id) AND reason NOT IN (SELECT reason FROM dead_letters "
        "WHERE record_id IS NULL OR feature <> $1 OR NOT list_contains($2, record_id))",
        feature,
        sorted(ids),
    )
    return set(found.column("reason").to_pylist())


def quoting_errors(catalog: Catalog, feature: str) -> int:
    """How many failed runs of a feature have an error that may quote a record."""
    found = catalog.query(
        "SELECT count(*) AS n FROM runs WHERE feature = $1 AND status = 'failed' "
        "AND error IS NOT NULL",
        feature,
    )
    return int(found.column("n")[0].as_py())


_OF_THEM = (
    "(record_id IN (SELECT record_id FROM gone) "
    "OR content_hash IN (SELECT content_hash FROM gone_contents))"
)


def purge_catalog(
    catalog: Catalog,
    feature: str,
    ids: Collection[str],
    hashes: Collection[str],
    values: Collection[str],
    parts: Collection[str] = (),
    others: Collection[str] = (),
) -> dict[str, int]:
    """Take records out of the catalog's rows and texts, in one transaction.

    Args:
        catalog: the catalog.
        feature: whose dead letters and findings to clear.
        ids: the records.
        hashes: of their contents.
        values: of theirs; in texts, of whichever feature, ``[erased]`` takes the place of these and
            of the ids.
        parts: ids of rows that are parts of the records, as findings name them.
        others: ids that stay, and of which an id may be a part, beside those that findings and
            dead letters name.

    Returns:
        Rows removed or changed, by what they are.
    """
    named = {*ids, *parts}
    cleans = blotter(catalog, named, values, others)
    with catalog.transaction() as con:
        _ids_table(con, ids, hashes, named)
        letters = con.execute(
            f"DELETE FROM dead_letters WHERE feature = ? AND {_OF_THEM} RETURNING 1", [feature]
        ).fetchall()
        findings = con.execute(
            "UPDATE findings SET record_ids = list_filter(record_ids, lambda r: "
            "NOT list_contains(g.ids, r)) FROM (SELECT list(record_id) AS ids FROM gone_rows) g "
            "WHERE feature = ? AND list_has_any(record_ids, g.ids) RETURNING 1",
            [feature],
        ).fetchall()
        # The next run is to read the whole source: who left the record there is to see it return.
        # And a cursor may be such a value.
        cursors = con.execute(
            "DELETE FROM cursors WHERE feature = ? RETURNING 1", [feature]
        ).fetchall()
        texts = sum(_blot(con, table, column, cleans) for table, column in _TEXTS)
        texts += sum(_blot_json(con, table, column, cleans, feature) for table, column in _JSON)
    return {
        "dead letters": len(letters),
        "findings": len(findings),
        "cursors": len(cursors),
        "texts": texts,
    }


def elsewhere(catalog: Catalog, feature: str, ids: Collection[str]) -> list[str]:
    """Other features whose dead letters or findings name these ids."""
    found = catalog.query(
        "SELECT DISTINCT feature FROM dead_letters WHERE list_contains($2, record_id) "
        "AND feature <> $1 UNION SELECT feature FROM findings "
        f"WHERE list_has_any({_NAMED}, $2) AND feature <> $1 ORDER BY feature",
        feature,
        sorted(ids),
    )
    return list(found.column("feature").to_pylist())


def keep_receipt(catalog: Catalog, erasure_id: str, feature: str, records: int,
                 receipt: str) -> None:  # fmt: skip
    """Keep the receipt (JSON) of an erasure."""
    with catalog.transaction() as con:
        con.execute(
            "INSERT OR REPLACE INTO erasures VALUES (?, ?, ?, ?, now())",
            [erasure_id, feature, records, receipt],
        )


def _ids_table(
    con: duckdb.DuckDBPyConnection, ids: Iterable[str], hashes: Iterable[str], rows: Iterable[str]
) -> None:
    import pyarrow as pa

    for name, column, values in (
        ("gone", "record_id", ids),
        ("gone_contents", "content_hash", hashes),
        ("gone_rows", "record_id", rows),
    ):
        given = pa.table({column: pa.array(sorted(values), pa.string())})
        con.register("given", given)
        con.execute(f"CREATE TEMP TABLE {name} AS FROM given")
        con.unregister("given")


def blotter(
    catalog: Catalog, named: Collection[str], values: Collection[str], others: Collection[str]
) -> Blotter:
    """What takes records out of texts.

    Args:
        catalog: where findings and dead letters name ids of which one that goes may be a part.
        named: the records, and rows that are parts of them.
        values: of theirs.
        others: further ids that stay.
    """
    known = {*others, *holding(_named_ids(catalog), named)}
    return Blotter(frozenset(named), frozenset(values), frozenset(known.difference(named)))


def within_others(catalog: Catalog, cleans: Blotter, terms: Collection[str]) -> set[str]:
    """Those of some terms that stand in the catalog as parts of ids or words of others."""
    left, met = set(terms), set()
    for text in (*cleans.others, *_texts(catalog)):
        if cleans.text(text) == text:
            met |= {term for term in left if term in text}
            left -= met
    return met


def _named_ids(catalog: Catalog) -> set[str]:
    """All ids that findings and dead letters name."""
    found = catalog.query(
        f"SELECT unnest({_NAMED}) AS named FROM findings "
        "UNION SELECT record_id FROM dead_letters WHERE record_id IS NOT NULL"
    )
    return set(found.column("named").to_pylist()) - {None}


def _texts(catalog: Catalog) -> Iterator[str]:
    for table, column in (*_TEXTS, *_JSON):
        found = catalog.query(
            f"SELECT DISTINCT {column}::VARCHAR AS told FROM {table} WHERE {column} IS NOT NULL"
        )
        yield from found.column("told").to_pylist()


def _blot(con: duckdb.DuckDBPyConnection, table: str, column: str, cleans: Blotter) -> int:
    """Clean the texts of a column; how many rows had anything."""
    found = con.execute(
        f"SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL"
    ).fetchall()
    changed = 0
    for (text,) in found:
        if (blotted := cleans.text(text)) != text:
            changed += len(
                con.execute(
                    f"UPDATE {table} SET {column} = ? WHERE {column} = ? RETURNING 1",
                    [blotted, text],
                ).fetchall()
            )
    return changed


def _blot_json(
    con: duckdb.DuckDBPyConnection, table: str, column: str, cleans: Blotter, feature: str
) -> int:
    """As `_blot`, of JSON; the ids that it lists go where it is about the feature."""
    found = con.execute(
        f"SELECT DISTINCT {column}::VARCHAR, feature = ? FROM {table} WHERE {column} IS NOT NULL",
        [feature],
    ).fetchall()
    changed = 0
    for text, own in found:
        value = json.loads(text)
        blotted = cleans.json(value, named=own)
        if blotted != value:
            changed += len(
                con.execute(
                    f"UPDATE {table} SET {column} = ? WHERE {column}::VARCHAR = ? "
                    "AND (feature = ?) = ? RETURNING 1",
                    [json.dumps(blotted, ensure_ascii=False), text, feature, own],
                ).fetchall()
            )
    return changed
