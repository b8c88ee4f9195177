"""A feature in Apple's Embedding Atlas (Ren et al. 2025), where that is installed.

It is a program of its own that serves a page on this machine. It is given a Parquet file in a
folder that goes with it: the vectors, the kept columns, and the places of a map where one is kept;
without one it makes its own, by UMAP.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.config.stores import Stores
from flows.lifecycle.chosen import chosen
from flows.lifecycle.compare import published
from flows.maps.drawing import kept_places
from flows.output import units
from flows.output.codes import FINE
from flows.output.progress import listener
from storage import current_rows, query
from storage.model import UsageError
from storage.parts import PARTS
from storage.vectors import THUMBNAIL

if TYPE_CHECKING:
    import pyarrow as pa

    from flows.config.settings import Settings
    from storage.maps import KeptMap
    from storage.model import Version

X, Y = "map_x", "map_y"
"""The columns of the places."""

_NAME = "embedding-atlas"
_LEFT = ("content_hash", "encoded_at", "run_id", PARTS.whole, THUMBNAIL)


def explore(
    settings: Settings, name: str, *, number: int | None = None, size: int, port: int
) -> int:
    """Open a feature in Embedding Atlas; comes back when it was stopped.

    Args:
        settings: the configuration.
        name: the feature.
        number: the version; the live one where none is given.
        size: how many records, at most; where a map is kept those on it.
        port: where it serves.

    Returns:
        Its exit code.

    Raises:
        UsageError: if it is not installed, or there is no such version.
    """
    stores = Stores.of(settings)
    version = chosen(settings, stores, name, number)
    published(stores.catalog, version)
    program = command()
    kept = kept_places(settings, version)
    rows = _rows(settings, version, None if kept is None else kept[1], size)
    if not len(rows):
        raise UsageError(f"{version.table} has no record to show; run `vecmill run {name}` first")
    told = "with the places of its map" if kept else "without a map: it makes its own, by UMAP"
    listener().note(
        f"{units.several(len(rows), 'record')} of {version.table} {told}; Ctrl-C ends it"
    )
    # In the store, where erasing and collecting garbage find what a kill left.
    home = settings.catalog.parent
    with tempfile.TemporaryDirectory(prefix=".vecmill-explore-", dir=home) as folder:
        file = write(rows, Path(folder) / f"{version.table}.parquet")
        options = arguments(rows, version.metric, port)
        try:
            return subprocess.run([*program, str(file), *options], check=False).returncode  # noqa: S603 - our own words
        except KeyboardInterrupt:
            return FINE


def command() -> list[str]:
    """How to start Embedding Atlas: from this environment, or whichever comes first.

    Raises:
        UsageError: if it is not installed.
    """
    if find_spec("embedding_atlas") is not None:
        return [sys.executable, "-m", "embedding_atlas.cli"]
    found = shutil.which(_NAME)
    if found is None:
        raise UsageError(
            f"Embedding Atlas is not installed; `pip install {_NAME}` does so, best in an "
            f"environment of its own: `pipx install {_NAME}`, or `uv tool install {_NAME}`. "
            "`vecmill map` draws a page without it"
        )
    return [found]


def arguments(rows: pa.Table, metric: str, port: int) -> list[str]:
    """What it is told of a file of these rows."""
    found = ["--port", str(port), "--vector", "vector"]
    if X in rows.column_names:
        found += ["--x", X, "--y", Y]
    else:
        found += ["--umap-metric", "euclidean" if metric == "l2" else "cosine"]
        found += ["--umap-random-state", "0"]
    text = _text(rows)
    return found if text is None else [*found, "--text", text]


def write(rows: pa.Table, file: Path) -> Path:
    """The rows as Parquet, with vectors as plain lists, and texts that a byte search finds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    vectors = rows["vector"].cast(pa.list_(pa.float32()))
    place = rows.column_names.index("vector")
    rows = rows.set_column(place, "vector", vectors)
    pq.write_table(rows, file, compression="none", use_dictionary=False)
    return file


def _rows(settings: Settings, version: Version, kept: KeptMap | None, size: int) -> pa.Table:
    """Rows with their vectors and, where a map is kept, those on it alone, with their places."""
    import pyarrow as pa

    stores = Stores.of(settings)
    with query.connect(stores.catalog, stores.vectors) as con:
        ids = list(current_rows.keys(con, version))
        if kept is not None:
            known = set(kept.ids)
            ids = [i for i in ids if i in known]
        table = current_rows.some(con, version, ids[:size])
    table = table.drop_columns([name for name in _LEFT if name in table.column_names])
    if kept is None:
        return table
    at = {i: row for row, i in enumerate(kept.ids)}
    places = kept.places[[at[i] for i in table["record_id"].to_pylist()]]
    for name, column in ((X, 0), (Y, 1)):
        table = table.append_column(name, pa.array(places[:, column], pa.float32()))
    return table


def _text(rows: pa.Table) -> str | None:
    """The column whose texts say most; None where there is none but ids."""
    import pyarrow.compute as pc
    from pyarrow import types

    lengths: dict[str, Any] = {
        field.name: pc.mean(pc.utf8_length(rows[field.name])).as_py() or 0.0
        for field in rows.schema
        if types.is_string(field.type) or types.is_large_string(field.type)
    }
    lengths = {name: size for name, size in lengths.items() if name not in {"record_id", "path"}}
    return max(lengths, key=lambda name: lengths[name]) if lengths else None
