"""The proof of an erasure: everything is read again, and a receipt says what was found."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from flows.output import units
from flows.reports import kept as kept_reports
from storage import cluster_removal, erasure, forgetting
from storage.entries import code_version
from storage.exported import count_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from flows.upkeep.holdings import Holdings
    from flows.upkeep.journal import Journal
    from flows.upkeep.sought import Source

MOST_TERMS = 500
"""So many ids and values are searched for byte by byte; beyond, an even part of them."""

_NOT_COVERED = (
    "Prefect's own database and its logs",
    "backups of the store, and blocks that the file system or the disk has not yet written over",
    "copies of vectors or files made outside the store",
)


def prove(
    holdings: Holdings,
    journal: Journal,
    source: Source,
    removed: Mapping[str, int],
    unreachable: Sequence[str],
) -> dict[str, Any]:
    """Look for erased records wherever the store may hold them.

    Args:
        holdings: what there is of the feature.
        journal: what was erased.
        source: whether the records still stand in the source.
        removed: what was removed, by what it is.
        unreachable: what could not be looked into, and why.

    Returns:
        The receipt, plain values. It holds no id or value: ids are hashed with BLAKE2b and a salt.
    """
    catalog = holdings.stores.catalog
    named = [*journal.ids, *journal.parts]
    # An id may be a part of another's, and then stands in files with good reason.
    cleans = forgetting.blotter(catalog, named, journal.values, holdings.holding(journal.ids))
    shared = holdings.shared(journal.ids, journal.terms)
    shared |= forgetting.within_others(catalog, cleans, journal.terms)
    telling = sorted(set(journal.terms) - shared)
    hits = erasure.search(holdings.files(), some(telling))
    elsewhere = forgetting.elsewhere(catalog, holdings.feature, named)
    states = [path for path in hits if str(holdings.stores.states) in path]
    explained = {*states, str(holdings.settings.catalog)} if elsewhere else set(states)
    left = {path: n for path, n in hits.items() if path not in explained}
    known = len(journal.ids) + len(journal.values)
    how = f"byte search for {len(some(telling))} of {known} ids and values"
    in_catalog = forgetting.in_catalog(
        catalog, holdings.feature, journal.ids, journal.hashes, journal.parts
    )
    quoting, _ = holdings.quoting_logs(some(journal.terms))
    proof = [
        *_tables(holdings, journal),
        *_maps(holdings, journal),
        *_sketches(holdings, journal),
        *_canaries(holdings, journal),
        *_exports(holdings, journal),
        _check("kept reports", "read again", _reports(holdings, journal)),
        _check("logs of runs", "looked for", len(holdings.stores.logs.files(holdings.feature))),
        _check("logs of runs of other features", how, len(quoting)),
        _check("files of the store", how, sum(left.values())),
        *(_check(path, "byte search", n) for path, n in left.items()),
        *(_check(what, "read again", n) for what, n in in_catalog.items()),
    ]
    receipt = {
        "erasure": journal.erasure,
        "feature": holdings.feature,
        "vecmill": code_version(),
        "begun": journal.begun,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "records": len(journal.ids),
        **_salted(journal.ids),
        "found": {what: n for what, n in journal.found.items() if n},
        "removed": {what: n for what, n in removed.items() if n},
        "proof": proof,
        "proved": not any(check["found"] for check in proof),
        "still_in_source": asdict(source),
        "not_covered": [*unreachable, *_not_covered(holdings, states, elsewhere), *_NOT_COVERED],
    }
    cleaned: dict[str, Any] = cleans.json(receipt, named=False)
    return cleaned


def some(terms: Sequence[str]) -> Sequence[str]:
    """The terms to search for: all, or an even part of very many."""
    return terms[:: max(1, -(-len(terms) // MOST_TERMS))]


def _check(place: str, how: str, found: int) -> dict[str, Any]:
    return {"place": place, "how": how, "found": found}


def _tables(holdings: Holdings, journal: Journal) -> Iterator[dict[str, Any]]:
    for version in holdings.with_table():
        by = holdings.by(version)
        states, rows = erasure.rows_left(holdings.stores.vectors, version.table, journal.ids, by)
        how = f"read again, deleted rows too, in {units.several(states, 'state')}"
        yield _check(version.table, how, rows)
        yield _check(version.table, "other states", states - 1)
        grouped = cluster_removal.count(holdings.stores.catalog, version, journal.ids)
        yield _check(f"clusters of {version.table}", "read again", grouped)


def _maps(holdings: Holdings, journal: Journal) -> Iterator[dict[str, Any]]:
    for version in holdings.mapped():
        found = holdings.stores.maps.count(version.table, journal.ids, chunked=version.chunked)
        yield _check(f"maps of {version.table}", "read again", found)


def _sketches(holdings: Holdings, journal: Journal) -> Iterator[dict[str, Any]]:
    """Sums name nobody, so what counts is that each was made of rows that were there afterwards."""
    begun = datetime.fromisoformat(journal.begun).timestamp()
    for version in holdings.sketched():
        found = holdings.stores.sketches.older(version.table, begun)
        yield _check(f"sketches of {version.table}", "made before the erasure", found)


def _canaries(holdings: Holdings, journal: Journal) -> Iterator[dict[str, Any]]:
    for version in holdings.with_canaries():
        kept = holdings.stores.canaries
        found = kept.count(version.table, journal.ids, chunked=version.chunked)
        yield _check(f"canaries of {version.table}", "read again", found)


def _exports(holdings: Holdings, journal: Journal) -> Iterator[dict[str, Any]]:
    for export in holdings.exports():
        if export.path.exists():
            found = count_in(export.path, export.form, journal.ids, export.by)
            if found is not None:
                yield _check(str(export.path), "read again", found)


def _reports(holdings: Holdings, journal: Journal) -> int:
    return kept_reports.naming(holdings.settings, holdings.feature, journal.ids)


def _not_covered(
    holdings: Holdings, states: Sequence[str], elsewhere: Sequence[str]
) -> Iterator[str]:
    for version in holdings.stores.catalog.versions(holdings.feature):
        if version.state is not None:
            yield (
                f"the fitted state {version.state} of {version.table}, which may have learned "
                "from the records; `vecmill run --refit` makes a version that has not"
            )
    failed = forgetting.quoting_errors(holdings.stores.catalog, holdings.feature)
    if failed:
        yield (
            f"the errors of {failed} failed runs, where these quote contents that the store does "
            "not know any more: see `error` in the table runs"
        )
    for path in states:
        yield f"{path}, a fitted state that holds an id or value as it is"
    for name in elsewhere:
        yield f"the feature {name}, where dead letters or findings name the ids: --all-features"


def _salted(ids: Collection[str]) -> dict[str, Any]:
    """The ids so that one can be shown to be among them, but none can be read from them."""
    salt = secrets.token_bytes(16)
    hashed = [
        blake2b(i.encode("utf-8", "surrogatepass"), salt=salt, digest_size=32).hexdigest()
        for i in ids
    ]
    return {"salt": salt.hex(), "ids_blake2b": sorted(hashed)}
