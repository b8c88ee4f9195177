"""The version that a version over one feature was made of: whole vectors beside smaller ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.pipeline import over
from storage.model import UsageError
from storage.picked import texts, vectors_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from flows.config.settings import Settings
    from flows.config.stores import Stores
    from storage.model import Manifest, Version


@dataclass(frozen=True)
class Whole:
    """A published version, and how records of what is over it find their rows there.

    Attributes:
        key: the column that holds the id of the record that a row belongs to.
    """

    version: Version
    manifest: Manifest
    key: str

    @property
    def state(self) -> tuple[str, int]:
        """Its table, and the Lance version that is published."""
        return self.version.table, self.manifest.lance_version

    def vectors(self, stores: Stores, ids: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors ``(dim,)`` of records of what is over it, of those that are there."""
        history = self.version.history
        return vectors_of(stores.vectors, self.state, ids, self.key, history=history)

    def blocks(self, stores: Stores, size: int) -> Iterator[pa.Table]:
        """All rows, so many at a time: the id in what is over it, and the vector."""
        columns, history = [self.key, "vector"], self.version.history
        for rows in stores.vectors.blocks(*self.state, columns, size, history=history):
            yield rows.set_column(0, "record_id", [texts(rows[self.key])])


def whole_of(settings: Settings, stores: Stores, version: Version) -> Whole:
    """What a version was made of: that of the fingerprint which its encoder names.

    Where that was made of one feature itself, what it was made of; and so on to the first that was
    not, or whose rows are found by other ids.

    Raises:
        UsageError: if it is not over exactly one feature, or that can be read no more.
    """
    found = _step(settings, stores, version)
    while found.key == "record_id" and len(over.parts_of(found.version)) == 1:
        found = _step(settings, stores, found.version)
    return found


def _step(settings: Settings, stores: Stores, version: Version) -> Whole:
    """The version that a version was made of."""
    parts = over.parts_of(version)
    if len(parts) != 1:
        told = " and ".join(part.feature for part in parts) or "a source"
        raise UsageError(
            f"{version.feature} is over {told}, and only what is over one feature can be held "
            "against the vectors of that"
        )
    [part] = parts
    made = over.version_of(part, stores.catalog)
    manifest = None if made is None else stores.catalog.published(made)
    if made is None or manifest is None:
        raise UsageError(
            f"{version.table} was made of the version of {part.feature} with the fingerprint "
            f"{part.fingerprint[:12]}, which can be read no more; `vecmill run {version.feature}` "
            "makes a version of what is live now"
        )
    named = settings.feature(version.feature).over
    keys = {one.feature: one.id for one in named.parts} if named is not None else {}
    return Whole(made, manifest, keys.get(part.feature) or "record_id")
