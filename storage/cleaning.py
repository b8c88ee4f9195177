"""What a store can do without, and how it goes: states of tables, tables, files beside the catalog.

Everything here is called while the feature's lock is held, so that no run is under way. Readers
hold no lock; they are kept out of harm's way by the order: first the catalog forgets a state, then
its files go. Whatever is killed between the two is finished by the next call, since a Lance version
that no manifest names is nobody's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from storage.database import fetch
from storage.ids import new_run_id
from storage.model import Counts, StorageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from storage.catalog import Catalog
    from storage.model import Manifest, Version
    from storage.vectors import Vectors

Cause = Literal["gc", "erase"]

FRAGMENT_ROWS = 262_144
"""Rows that compaction puts into one fragment: 400 MB of 384 floats each."""


@dataclass(frozen=True)
class Physical:
    """A table as it lies there, whatever the catalog says of it.

    Attributes:
        head: its newest Lance version.
        versions: all its Lance versions, oldest first.
        tags: Lance version to the user's tag that pins it.
        fragments: how many pieces a state lies in.
        small_fragments: how many of them hold fewer rows than they might.
        deleted_rows: how many rows of that state are deleted, but still lie in a data file.
    """

    head: int
    versions: tuple[int, ...]
    tags: Mapping[int, str]
    fragments: int
    small_fragments: int
    deleted_rows: int


def physical(vectors: Vectors, table: str, lance_version: int | None = None) -> Physical:
    """Look at a table.

    Args:
        vectors: where it is.
        table: its name.
        lance_version: the state to count fragments of; its head where none is given.

    Raises:
        StorageError: if it cannot be opened.
    """
    dataset = vectors.head(table)
    state = dataset if lance_version is None else vectors.state(table, lance_version)
    fragments = state.get_fragments()
    return Physical(
        head=dataset.version,
        versions=tuple(sorted(v["version"] for v in dataset.versions())),
        tags={tag["version"]: name for name, tag in dataset.tags.list().items()},
        fragments=len(fragments),
        small_fragments=sum(f.count_rows() < FRAGMENT_ROWS for f in fragments),
        deleted_rows=sum(f.num_deletions for f in fragments),
    )


def size_of_states(vectors: Vectors, table: str, lance_versions: Collection[int]) -> int:
    """The bytes that `remove_states` would free, and leftovers of failed writes with them."""
    if not lance_versions:
        return 0
    told = vectors.head(table).explain_cleanup_old_versions(
        versions=sorted(lance_versions), delete_unverified=True, error_if_tagged_old_versions=False
    )
    return cast("int", told.stats.bytes_removed)


def size_of_leftovers(vectors: Vectors, table: str, lance_versions: Collection[int]) -> int:
    """As `size_of_states`, and of failed writes where no state is to go either.

    While a run writes to the table its files are among them.
    """
    return size_of_states(vectors, table, lance_versions or {vectors.head(table).version})


def remove_states(vectors: Vectors, table: str, lance_versions: Collection[int]) -> int:
    """Remove Lance versions of a table, with all files that no other version names.

    The head and what a tag pins stay. Files of failed writes go too: the lock says they are
    nobody's.

    Returns:
        The bytes freed.
    """
    # Lance refuses an empty list; a version that is not there has it sweep failed writes alone.
    dataset = vectors.head(table)
    chosen = sorted(lance_versions) or [dataset.version]
    freed = dataset.cleanup_old_versions(
        versions=chosen, delete_unverified=True, error_if_tagged_old_versions=False
    )
    return cast("int", freed.bytes_removed)


def restore(vectors: Vectors, table: str, lance_version: int) -> None:
    """Make a state the head of its table, where it is not; what stood above is nobody's then."""
    if vectors.head(table).version != lance_version:
        vectors.state(table, lance_version).restore()


def compact(vectors: Vectors, table: str, *, purge: bool = False) -> int:
    """Put the small fragments of a table's head together; its rows stay the same.

    Args:
        vectors: where the table is.
        table: its name.
        purge: leave no deleted row in any data file, however few there are of them.

    Returns:
        The Lance version of the new head.
    """
    dataset = vectors.head(table)
    before = dataset.count_rows()
    dataset.optimize.compact_files(
        target_rows_per_fragment=FRAGMENT_ROWS,
        materialize_deletions=True,
        materialize_deletions_threshold=0.0 if purge else 0.1,
    )
    after = vectors.head(table)
    if after.count_rows() != before:
        raise StorageError(
            f"compaction made {after.count_rows()} rows of the {before} in {table}; nothing of it "
            "is published. Run again; if it stays so, please report it"
        )
    return cast("int", after.version)


def publish_state(
    catalog: Catalog, before: Manifest, lance_version: int, rows: int, cause: Cause
) -> None:
    """Publish a state that no run made: from now on readers see it, all else stays as it is.

    With ``erase`` all earlier states of the version are forgotten in the same moment.
    """
    row = asdict(before) | asdict(Counts()) | {"run_id": new_run_id(), "kind": cause}
    row |= {"lance_version": lance_version, "rows": rows, "published_at": datetime.now(UTC)}
    del row["counts"]
    names, marks = ", ".join(row), ", ".join("?" for _ in row)
    with catalog.transaction() as con:
        if cause == "erase":
            con.execute(
                "UPDATE manifests SET forgotten_at = now(), forgotten_by = 'erase' "
                "WHERE feature = ? AND version = ? AND forgotten_at IS NULL",
                [before.feature, before.version],
            )
        con.execute(f"INSERT INTO manifests ({names}) VALUES ({marks})", list(row.values()))


def forget_states(
    catalog: Catalog, version: Version, lance_versions: Collection[int], cause: Cause
) -> None:
    """Mark the manifests of states as forgotten: readers will not try them any more."""
    if not lance_versions:
        return
    chosen = ", ".join(str(int(v)) for v in lance_versions)
    with catalog.transaction() as con:
        con.execute(
            "UPDATE manifests SET forgotten_at = now(), forgotten_by = ? WHERE feature = ? "
            f"AND version = ? AND forgotten_at IS NULL AND lance_version IN ({chosen})",
            [cause, version.feature, version.version],
        )


def drop_version(catalog: Catalog, version: Version, cause: Cause) -> None:
    """Note that a version's table is gone; what the catalog says of the version stays.

    Raises:
        StorageError: if the version is live, whatever was thought when this was planned.
    """
    key = [version.feature, version.version]
    with catalog.transaction() as con:
        found = fetch(con, "SELECT standing FROM versions WHERE feature = ? AND version = ?", *key)
        if found and found[0]["standing"] == "live":
            raise StorageError(f"{version.table} is live now, so its table stays; run again")
        con.execute(
            "UPDATE versions SET dropped_at = now() WHERE feature = ? AND version = ? "
            "AND dropped_at IS NULL",
            key,
        )
        con.execute(
            "UPDATE manifests SET forgotten_at = now(), forgotten_by = ? WHERE feature = ? "
            "AND version = ? AND forgotten_at IS NULL",
            [cause, *key],
        )


def retired_since(catalog: Catalog, version: Version) -> datetime | None:
    """Since when a version is retired, or since its last run if that was later; None if unknown."""
    found = catalog.query(
        "SELECT max(moment) AS moment FROM ("
        "SELECT max(changed_at) AS moment FROM standings WHERE feature = $1 AND version = $2 "
        "UNION ALL SELECT max(published_at) FROM manifests WHERE feature = $1 AND version = $2)",
        version.feature,
        version.version,
    )
    return cast("datetime | None", found.to_pylist()[0]["moment"])


def features(catalog: Catalog) -> list[str]:
    """All features that the catalog knows, whether they are still configured or not."""
    found = catalog.query("SELECT DISTINCT feature FROM versions ORDER BY feature")
    return cast("list[str]", found.column("feature").to_pylist())


def states_in_use(catalog: Catalog) -> set[str]:
    """The digests of fitted states that a version or a fit names."""
    found = catalog.query(
        "SELECT state FROM versions WHERE state IS NOT NULL UNION SELECT state FROM fits"
    )
    return set(found.column("state").to_pylist())


def exports(catalog: Catalog, feature: str | None = None) -> list[dict[str, Any]]:
    """The exports that the catalog knows of, one row a path (of a feature, or of all)."""
    found = catalog.query(
        "SELECT DISTINCT feature, version, path, form FROM exports e "
        "WHERE $1 IS NULL OR feature = $1 ORDER BY path",
        feature,
    )
    return cast("list[dict[str, Any]]", found.to_pylist())


def files_under(folder: Path) -> Iterator[Path]:
    """All files in a folder and the folders in it; links are not followed."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() or path.is_symlink():
            yield path


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files in a folder; 0 where there is none."""
    if path.is_dir():
        return sum(file.lstat().st_size for file in files_under(path))
    return path.lstat().st_size if path.exists() else 0


def size_of_table(vectors: Vectors, table: str) -> int:
    """The bytes of a table with all its states; 0 in an object store, where nobody has counted."""
    return 0 if vectors.folder is None else size_of(vectors.folder / f"{table}.lance")
