"""A store with a table in it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from storage.catalog import Catalog
from storage.difference import Difference
from storage.entries import dead_table
from storage.model import Counts, DeadLetter, Manifest, Publication, Version
from storage.vectors import Vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DIM = 4


def matrix(n: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n, DIM)).astype(np.float32)


def reader(ids: Sequence[str], seed: int = 0, run_id: str = "run") -> pa.RecordBatchReader:
    """Rows as a run hands them to be committed."""
    n = len(ids)
    flat = pa.array(matrix(n, seed).reshape(-1))
    table = pa.table(
        {
            "record_id": pa.array(ids, pa.string()),
            "vector": pa.FixedSizeListArray.from_arrays(flat, DIM),
            "content_hash": pa.array([f"hash {i}" for i in ids], pa.string()),
            "event_time": pa.nulls(n, pa.timestamp("us", tz="UTC")),
            "encoded_at": pa.array([NOW] * n, pa.timestamp("us", tz="UTC")),
            "run_id": pa.array([run_id] * n, pa.string()),
            "label": pa.array(range(n), pa.int64()),
        }
    )
    return table.to_reader()


def places(vectors: Vectors, table: str, version: int, ids: Iterable[str]) -> list[int]:
    """Where the rows of these records are, as a commit takes them."""
    rows = vectors.dataset(table, version).to_table(columns=["record_id"])["record_id"].to_pylist()
    wanted = {*ids}
    return [place for place, record_id in enumerate(rows) if record_id in wanted]


@dataclass
class Store:
    """A catalog and vectors, and short ways to put something there."""

    catalog: Catalog
    vectors: Vectors
    path: Path

    def version(self, fingerprint: str = "f1", feature: str = "notes") -> Version:
        empty: dict[str, str] = {}
        return self.catalog.add_version(
            Version(
                *(feature, 0, fingerprint, {"a": 1}, "letters", empty, "text", "cosine"),
                *(DIM, None, {"n": "int"}, "candidate"),
            )
        )

    def publish(
        self,
        version: Version,
        run_id: str,
        lance_version: int,
        dead: Sequence[DeadLetter] = (),
        at: datetime | None = None,
    ) -> Manifest:
        counts = Counts(records=3 + len(dead), new=3, encoded=3, dead=len(dead))
        manifest = Manifest(
            *(version.feature, version.version, run_id, lance_version, version.fingerprint),
            *(counts, 3, at or datetime.now(UTC)),
        )
        self.catalog.publish(
            Publication(manifest, dead_table(dead), version.types, "notes", "mill", 1.5, 2.0)
        )
        return manifest


def begun(folder: Path, catalog: Path | None = None) -> Store:
    """A store in a folder, whose catalog begins as a copy of another; with none it has no file."""
    path = folder / "new" / "catalog.duckdb"
    if catalog is not None:
        path.parent.mkdir(parents=True)
        shutil.copyfile(catalog, path)
    return Store(Catalog(path, 5.0), Vectors(str(folder / "vectors")), path)


@pytest.fixture
def unwritten(tmp_path: Path) -> Store:
    """A store of which there is no file yet."""
    return begun(tmp_path)


@pytest.fixture
def store(tmp_path: Path, empty_catalog: Path) -> Store:
    return begun(tmp_path, empty_catalog)


@pytest.fixture
def compare(tmp_path: Path) -> Iterator[Callable[..., Difference]]:
    """Begins a difference, to be closed when the test ends; takes what it takes but the scratch."""
    made: list[Difference] = []

    def begin(*given: Any, **more: Any) -> Difference:  # noqa: ANN401 - as `Difference` has them
        made.append(Difference(tmp_path / f"scratch-{len(made)}", *given, **more))
        return made[-1]

    yield begin
    for difference in made:
        difference.close()
