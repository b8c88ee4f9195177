"""Which records of features over others are made of some records of these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.config.stores import Stores
from flows.pipeline.held import with_those_over
from flows.pipeline.over import side_of
from storage.aligned import ids_by
from storage.cleaning import physical
from storage.damage import misses_a_file
from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Collection

    from flows.config.settings import PartOf, Settings


def derived(settings: Settings, given: dict[str, Collection[str]]) -> dict[str, set[str]]:
    """Records, and all that is made of them.

    A part whose rows name the record that they belong to is asked for it in all states of each of
    its versions: a row may name another now than when something was made of it. What a row was
    erased from can tell no more.

    Args:
        settings: the configuration.
        given: feature by feature the ids of records.

    Returns:
        Feature by feature the ids, what is over another before that other.
    """
    found: dict[str, set[str]] = {name: set(ids) for name, ids in given.items()}
    order = with_those_over(settings, given)
    for name in reversed(order):  # parts first
        feature = settings.features.get(name)
        for part in feature.over.parts if feature and feature.over else ():
            if part.feature in found:
                found.setdefault(name, set()).update(_under(settings, part, found[part.feature]))
    return {name: found[name] for name in order if found.get(name)}


def _under(settings: Settings, part: PartOf, own: Collection[str]) -> set[str]:
    """The ids under which some records of a part are joined."""
    if part.id is None:
        return set(own)
    stores = Stores.of(settings)
    ids: set[str] = set()
    for version in stores.catalog.versions(part.feature):
        manifest = stores.catalog.published(version)
        if version.dropped_at is not None or manifest is None:
            continue
        for lance_version in physical(stores.vectors, version.table).versions:
            side = side_of(part, version, lance_version)
            try:
                ids |= ids_by(stores.vectors, side, sorted(own))
            except StorageError as error:
                if lance_version == manifest.lance_version or not misses_a_file(error):
                    raise
                # As in `storage.erasure.traces`: a clean-up was killed there.
    return ids
