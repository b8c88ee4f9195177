"""The version that a command is about: one by its number, or the live one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.lifecycle.compare import published
from storage.model import UsageError
from storage.standings import no_version
from storage.vectors import SYSTEM_COLUMNS, THUMBNAIL

if TYPE_CHECKING:
    from flows.config.settings import Settings
    from flows.config.stores import Stores
    from storage.model import Manifest, Version


def chosen(settings: Settings, stores: Stores, name: str, number: int | None) -> Version:
    """The version of a number, or the live one.

    Raises:
        UsageError: if there is no such version.
    """
    known = {version.version: version for version in stores.catalog.versions(name)}
    if not known:
        settings.feature(name)
    if number is not None and number not in known:
        raise UsageError(no_version(name, number, known))
    found = stores.catalog.live(name) if number is None else known[number]
    if found is None:
        from flows.lifecycle.unlive import unlive

        raise UsageError(unlive(settings, name))
    return found


def readable(
    settings: Settings, stores: Stores, name: str, number: int | None = None
) -> tuple[Version, Manifest]:
    """As `chosen`, and the state of it that readers see.

    Raises:
        UsageError: if there is none.
    """
    version = chosen(settings, stores, name, number)
    return version, published(stores.catalog, version)


def kept_columns(stores: Stores, version: Version, manifest: Manifest) -> list[str]:
    """The columns of a version beside those that every table has."""
    names = stores.vectors.dataset(version.table, manifest.lance_version).schema.names
    return [name for name in names if name not in {*SYSTEM_COLUMNS, THUMBNAIL}]


def check_kept(version: Version, kept: list[str], option: str, column: str) -> None:
    """Refuse a column that a version does not keep.

    Raises:
        UsageError: with the columns that it keeps.
    """
    if column not in kept:
        there = ", ".join(map(repr, kept)) or "none; name some as keep in its source"
        raise UsageError(
            f"{option}: {version.table} has no kept column {column!r}; the kept columns are: "
            f"{there}"
        )
