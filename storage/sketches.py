"""Sketches: sums over what runs wrote, kept so that no row is looked at again to watch for drift.

What there is of a version lies in ``sketches/TABLE/`` beside the catalog, an npz file each: the
``basis`` that sketches are taken over, one of each run by its id, and some of whole states. They
hold sums and counts and name no record. They are a cache and nothing else: what is missing or
cannot be read is made anew from the rows.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from storage import cleaning, swaps

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from storage.catalog import Catalog
    from storage.model import Version

    Kept = tuple[dict[str, NDArray[Any]], dict[str, Any]]

BASIS = "basis"
STATE = "STATE-"
"""How the name of a whole state's begins; its Lance version follows."""

_META = "meta"


class Sketches:
    """The sketches of all versions, a folder each.

    Who writes or erases some holds a lock of the feature's sketches; reading needs none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, table: str, name: str) -> Kept | None:
        """The arrays and the meta of a kept file; None where there is none that can be read."""
        try:
            # np.load leaves a file open that it finds damaged
            with self._path(table, name).open("rb") as stream:
                arrays = dict(np.load(stream, allow_pickle=False))
            meta = json.loads(str(arrays.pop(_META)))
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
            return None  # only a cache, so the rows tell
        return arrays, meta

    def save(
        self, table: str, name: str, arrays: Mapping[str, NDArray[Any]], meta: Mapping[str, Any]
    ) -> None:
        """Keep arrays under a name in the place of those before, whole or not at all."""
        path = self._path(table, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        packed: dict[str, Any] = {**arrays, _META: np.array(json.dumps(dict(meta)))}
        with swaps.whole(path, durable=True) as fresh, fresh.open("wb") as file:
            np.savez(file, allow_pickle=False, **packed)

    def names(self, table: str) -> list[str]:
        """What is kept of a version."""
        return sorted(path.stem for path in (self._folder / table).glob("*.npz"))

    def states(self, table: str) -> list[int]:
        """The Lance versions of the states that are kept whole, in order."""
        found = (name.removeprefix(STATE) for name in self.names(table) if name.startswith(STATE))
        return sorted(int(number) for number in found if number.isdecimal())

    def runs(self, table: str) -> list[str]:
        """The runs that are kept."""
        return [n for n in self.names(table) if n != BASIS and not n.startswith(STATE)]

    def remove(self, table: str, names: Collection[str]) -> None:
        """Remove some of what is kept; what is not there is no fault."""
        for name in names:
            self._path(table, name).unlink(missing_ok=True)

    def drop(self, table: str) -> None:
        """Remove all that is kept of a version; none is no fault."""
        shutil.rmtree(self._folder / table, ignore_errors=True)

    def tables(self) -> list[str]:
        """The tables of the versions that have any."""
        return sorted(folder.name for folder in self._folder.glob("*/"))

    def leftovers(self, table: str) -> list[Path]:
        """Files whose writing was broken off."""
        return sorted((self._folder / table).glob("*.tmp"))

    def older(self, table: str, moment: float) -> int:
        """How many of a version's files were last written before a moment, in seconds."""
        files = cleaning.files_under(self._folder / table)
        return sum(path.stat().st_mtime < moment for path in files)

    def path(self, table: str, name: str) -> Path:
        """Where something of a version is kept."""
        return self._path(table, name)

    def size(self, table: str) -> int:
        """The bytes that all of a version's take."""
        return cleaning.size_of(self._folder / table)

    def _path(self, table: str, name: str) -> Path:
        return self._folder / table / f"{name}.npz"


def note_occupancy(
    catalog: Catalog, version: Version, run_id: str, basis: str, contents: Collection[int]
) -> None:
    """Note in the table ``occupancy`` how many contents of a run lie in each cell.

    What was noted of it before gives way. That of a run that comes to nothing goes when the run
    does, and until a run is published no SQL session shows it (`storage.catalog.Catalog.tables`).

    Args:
        catalog: the catalog.
        version: which the run wrote to.
        run_id: the run.
        basis: the digest of the basis, to whose cells the counts belong.
        contents: a count a cell.
    """
    import pyarrow as pa

    cells = pa.table({"cell": pa.array(range(len(contents)), pa.int32()),
                      "contents": pa.array(contents, pa.int64())})  # fmt: skip
    key = [version.feature, version.version, run_id]
    with catalog.transaction() as con:
        con.execute("DELETE FROM occupancy WHERE feature = ? AND version = ? AND run_id = ?", key)
        con.register("cells", cells)
        con.execute(
            "INSERT INTO occupancy SELECT ?, ?, ?, ?, cell, contents, now() FROM cells",
            [*key, basis],
        )
        con.unregister("cells")
