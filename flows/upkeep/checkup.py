"""The doctor's look into the store: each published table opened, and what was left lying about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.config.stores import Stores
from flows.monitoring import references
from flows.output import units
from flows.upkeep.doctor import Check
from flows.upkeep.lying import due, lying
from storage import cleaning, upkeep
from storage.locks import is_free
from storage.model import StorageError
from storage.states import States

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.config.settings import Settings
    from storage.model import Manifest, Version

_AFRESH = (
    "without one, `vecmill run --refit` or another change to the encoder makes a fresh version, "
    "which encodes all records again"
)
_ONE_BACKUP = f"restore the catalog and the vectors from one backup; {_AFRESH}"


def look(settings: Settings) -> Iterator[Check]:
    """Open what is published, and tell of what runs and erasures have left.

    Raises:
        StorageError: if the catalog cannot be read.
    """
    stores = Stores.of(settings)
    tables = set(stores.vectors.tables())
    known: set[str] = set()
    for feature in cleaning.features(stores.catalog):
        for version in stores.catalog.versions(feature):
            known.add(version.table)
            if version.dropped_at is None:
                yield from _version(stores, version)
                yield from _state(stores, version)
                yield from _upkeep(settings, stores, version)
        yield from _reference(settings, stores, feature)
        yield from _runs(stores, feature)
    for table in sorted(tables - known):
        found = "the catalog does not know it; is the catalog older than the vectors?"
        advice = "restore both from one backup, or remove it with `vecmill gc --orphans --yes`"
        yield Check(f"table {table}", "note", found, advice)
    yield from _leftovers(settings, stores)


def _version(stores: Stores, version: Version) -> Iterator[Check]:
    manifests = stores.catalog.manifests(version)
    readable = [m for m in manifests if m.forgotten_at is None]
    if not readable:
        return
    name = f"table {version.table}"
    try:
        faults = upkeep.faults(stores.vectors, version, readable[-1])
        missing = _missing(stores, version, readable)
    except StorageError as error:
        told = str(error)
        yield Check(name, "broken", told, _AFRESH if "one backup" in told else _ONE_BACKUP)
        return
    if faults:
        yield Check(name, "broken", "; ".join(faults), _ONE_BACKUP)
        return
    yield Check(
        name,
        "fine",
        f"{units.several(readable[-1].rows, 'row')}, as published ({version.standing})",
    )
    if missing:
        yield Check(
            f"earlier states of {version.table}",
            "note",
            f"{missing} that the catalog names are not there",
            "readers do not need them, only looking back and monitors may; if nothing but Vecmill "
            "writes to the vectors, restore them from a backup",
        )


def _state(stores: Stores, version: Version) -> Iterator[Check]:
    """What an encoder learned and cannot encode without, where it is not there."""
    if version.state is None or (path := States(stores.states).missing(version.state)) is None:
        return
    yield Check(
        f"encoder of {version.table}",
        "broken",
        f"what it learned is missing: {path}",
        f"restore it from a backup; until then runs of v{version.version} and searches by content "
        f"fail, and its vectors can be read. {_AFRESH[0].upper()}{_AFRESH[1:]}",
    )


def _upkeep(settings: Settings, stores: Stores, version: Version) -> Iterator[Check]:
    """What makes reading a table slow, or the store larger than it must be."""
    manifests = stores.catalog.manifests(version)
    feature = settings.features.get(version.feature)
    try:
        found = lying(stores, version, manifests, settings.gc, feature)
        todo = [] if found is None else due(settings, stores, version, found)
    except StorageError:
        return  # as `_version` has told
    if todo:
        advice = f"`vecmill maintain {version.feature} --yes` mends it; put it on a schedule"
        yield Check(f"upkeep of {version.table}", "note", "; ".join(todo), advice)


def _reference(settings: Settings, stores: Stores, name: str) -> Iterator[Check]:
    """A run that monitors are to compare with, and that is not there."""
    feature, live = settings.features.get(name), stores.catalog.live(name)
    manifests = stores.catalog.manifests(live) if live else []
    if feature is None or not manifests:
        return
    try:
        references.find(feature.reference, manifests, manifests[-1])
    except LookupError as error:
        advice = f"mend reference in [features.{name}]; until then its monitors fail"
        yield Check(f"reference of {name}", "broken", str(error.args[0]), advice)


def _missing(stores: Stores, version: Version, readable: list[Manifest]) -> int:
    there = set(cleaning.physical(stores.vectors, version.table).versions)
    return len({m.lance_version for m in readable[:-1]} - there)


def _runs(stores: Stores, feature: str) -> Iterator[Check]:
    found = stores.catalog.query(
        "SELECT run_id FROM runs WHERE feature = ? AND status = 'running'", feature
    )
    if not len(found):
        yield from _failed(stores, feature)
    elif is_free(stores.locks / f"{feature}.lock"):
        yield Check(
            f"runs of {feature}",
            "note",
            f"{len(found)} ended without a word, as a killed process does",
            f"nothing is lost: the next `vecmill run {feature}` goes on from what is staged",
        )
    else:
        yield Check(f"runs of {feature}", "fine", "one is under way")


def _failed(stores: Stores, feature: str) -> Iterator[Check]:
    last = stores.catalog.query(
        "SELECT run_id, status, error FROM runs WHERE feature = ? ORDER BY started_at DESC LIMIT 1",
        feature,
    ).to_pylist()
    if last and last[0]["status"] == "failed":
        found = f"the last one failed: {last[0]['error']}"
        yield Check(f"runs of {feature}", "note", found, f"see `vecmill logs {last[0]['run_id']}`")


def _leftovers(settings: Settings, stores: Stores) -> Iterator[Check]:
    for journal in sorted((settings.catalog.parent / "erasures").glob("*.json")):
        name = journal.stem
        found = f"one of {name} was broken off; {journal} names what it has yet to erase"
        advice = f"run `vecmill erase {name}` again with the same records"
        yield Check(f"erasure of {name}", "broken", found, advice)
    staged = list(cleaning.files_under(stores.staging))
    if staged:
        size = sum(file.stat().st_size for file in staged)
        yield Check(
            "staging",
            "note",
            f"{units.several(len(staged), 'file')} of runs that are under way or ended early, "
            f"{units.size(size)}",
            "the next run uses them; `vecmill gc` says which are of no use any more",
        )
