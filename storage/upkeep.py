"""Whether a published table is what its manifest says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage.codes import dim_of
from storage.damage import reading
from storage.vectors import SYSTEM_COLUMNS

if TYPE_CHECKING:
    from storage.model import Manifest, Version
    from storage.vectors import Vectors


def faults(vectors: Vectors, version: Version, manifest: Manifest) -> list[str]:
    """What is wrong with a published table, as sentences; nothing where it is sound.

    The first and the last row of every fragment are read, so that files that are missing or cut
    off are found. Lance keeps no checksums: a flipped bit within a vector cannot be seen.

    Raises:
        StorageError: if the table or one of its files cannot be read.
    """
    with reading(version.table):
        dataset = vectors.state(version.table, manifest.lance_version)
        found = [*_schema_faults(dataset, version)]
        rows = dataset.count_rows()
        if rows != manifest.rows:
            found.append(f"it has {rows:,} rows, its manifest says {manifest.rows:,}")
        dataset.validate()
        for fragment in dataset.get_fragments():
            last = fragment.count_rows() - 1
            if last >= 0:
                fragment.take(sorted({0, last}))
    return found


def _schema_faults(dataset: Any, version: Version) -> list[str]:  # noqa: ANN401 - pylance ships no types
    missing = [name for name in SYSTEM_COLUMNS if name not in dataset.schema.names]
    if missing:
        return [f"it has no column {', '.join(missing)}"]
    width = dim_of(dataset.schema)
    if width != version.dim:
        return [f"its vectors are {width} wide, the catalog says {version.dim}"]
    return []
