"""That the table of a new version is not there yet.

A catalog that is lost, or left out of a container, begins with v1 again. Where the vectors lie in a
bucket its first run would write upon another catalog's table, and each would tidy up what readers
of the other see.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from storage.model import StorageError

if TYPE_CHECKING:
    from flows.config.stores import Stores


def check(feature: str, stores: Stores) -> None:
    """Refuse a new version whose table is there.

    Raises:
        StorageError: if it is.
    """
    number = 1 + max((version.version for version in stores.catalog.versions(feature)), default=0)
    table = f"{feature}_v{number}"
    is_there = False
    # Whoever writes says better why the store cannot be had; Lance's own errors are of three kinds.
    with suppress(StorageError, ValueError, OSError, RuntimeError):
        is_there = stores.vectors.is_there(table)
    if is_there:
        raise StorageError(
            f"[store] vectors has a table {table} already, and the catalog knows of no such "
            "version: it is another catalog's, or that of one that is lost. Nothing was written. "
            "Restore that catalog from a backup, or name another place in [store] vectors; only "
            "where nobody reads it any more, remove it with `vecmill gc --orphans --yes`"
        )
