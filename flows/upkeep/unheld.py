"""Published tables that are not where ``[store] vectors`` says: mostly since it is misspelt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.output import units

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.stores import Stores

_PUBLISHED = """
SELECT DISTINCT v.feature, v.version FROM versions v JOIN manifests m USING (feature, version)
WHERE v.standing <> 'retired' AND v.dropped_at IS NULL AND m.forgotten_at IS NULL
ORDER BY v.feature, v.version
"""


@dataclass(frozen=True)
class Unheld:
    """What the catalog knows, and the folder of vectors does not hold.

    Attributes:
        versions: features and the numbers of their versions, of those that readers or runs need.
        folder: where their tables should be.
        beside: a folder beside it that holds all of them; None where there is none.
    """

    versions: tuple[tuple[str, int], ...]
    folder: Path
    beside: Path | None

    def told(self) -> str:
        """In a sentence, with what to do."""
        tables = ", ".join(_table(*key) for key in self.versions)
        is_are = "is" if len(self.versions) == 1 else "are"
        where = f"{self.folder}" if self.folder.is_dir() else f"{self.folder}, which is no folder"
        named = units.several(len(self.versions), "published table")
        said = f"{named} ({tables}) {is_are} not in {where}"
        if self.beside is not None:
            it = "it" if len(self.versions) == 1 else "them"
            return f"{said}; {self.beside} holds {it}: is that what [store] vectors is to name?"
        return (
            f"{said}; where [store] vectors names another place than before, set it back; else "
            "`vecmill doctor` says how to go on"
        )


def unheld(stores: Stores) -> Unheld | None:
    """What is published and not there; no table is opened.

    Returns:
        None where nothing is amiss, and of an object store, which would have to be asked.

    Raises:
        StorageError: if the catalog cannot be read.
    """
    folder = stores.vectors.folder
    if folder is None:
        return None
    published = [
        (str(row["feature"]), int(row["version"]))
        for row in stores.catalog.query(_PUBLISHED).to_pylist()
    ]
    gone = tuple(key for key in published if not _holds(folder, key))
    if not gone:
        return None
    return Unheld(gone, folder, _beside(folder, gone))


def _table(feature: str, version: int) -> str:
    return f"{feature}_v{version}"


def _holds(folder: Path, key: tuple[str, int]) -> bool:
    try:
        return (folder / f"{_table(*key)}.lance").is_dir()
    except OSError:  # such as `lost+found`, which nobody may look into
        return False


def _beside(folder: Path, gone: tuple[tuple[str, int], ...]) -> Path | None:
    try:
        others = sorted(folder.parent.iterdir())
    except OSError:  # there is none, or it is not to be listed
        return None
    found = (o for o in others if o != folder and all(_holds(o, key) for key in gone))
    return next(found, None)
