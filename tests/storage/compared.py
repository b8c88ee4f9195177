"""Small sources and tables to compare, told in a few words a row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds

from storage.staging import Staged, write_staged
from tests.storage.conftest import DIM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from storage.difference import Difference

    Compare = Callable[..., Difference]

LABEL = pa.schema([("label", pa.int64())])
CUT = pa.schema(
    [
        *(("parent_id", pa.string()), ("parent_hash", pa.string()), ("chunk", pa.int64())),
        *(("chunk_start", pa.int64()), ("chunk_end", pa.int64())),
    ]
)
OLD, NOW = datetime(2025, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
TIME = pa.timestamp("us", tz="UTC")


def day(number: int) -> datetime:
    """A day of January."""
    return datetime(2026, 1, number, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    """A row of a source or a table.

    Attributes:
        day: of its event time, 0 for none.
        run: that wrote it, in a table.
        of: where it is a part, the record, the record's content, and which part.
    """

    name: str
    content: str
    label: int | None = 0
    day: int = 0
    run: str = "old"
    of: tuple[str, str, int] | None = None


def parts(record: str, *contents: str) -> list[Row]:
    """A record in parts."""
    whole = "|".join(contents)
    return [Row(f"{record}#{n}", text, of=(record, whole, n)) for n, text in enumerate(contents)]


def source(*rows: Row, first: int = 0) -> pl.DataFrame:
    """Records as a source gives them; their places go on from the first's."""
    frame = pl.DataFrame(
        {
            "record_id": [row.name for row in rows],
            "place": [f"f:{first + at}" for at in range(len(rows))],
            "content": [row.content for row in rows],
            "content_hash": [f"hash {row.content}" for row in rows],
            "event_time": [_time(row) for row in rows],
        },
        {
            "record_id": pl.String, "place": pl.String, "content": pl.String,
            "content_hash": pl.String, "event_time": pl.Datetime("us", "UTC"),
        },
    )  # fmt: skip
    kept = pl.DataFrame(pl.from_arrow(_kept(rows)))
    return frame.hstack(kept)


def table(*rows: Row) -> ds.Dataset:
    """Published rows; the numbers of a row's vector are its place, from 0."""
    flat = np.repeat(np.arange(len(rows), dtype=np.float32), DIM)
    system = {
        "record_id": pa.array([row.name for row in rows], pa.string()),
        "vector": pa.FixedSizeListArray.from_arrays(pa.array(flat), DIM),
        "content_hash": pa.array([f"hash {row.content}" for row in rows], pa.string()),
        "event_time": pa.array([_time(row) for row in rows], TIME),
        "encoded_at": pa.array([OLD] * len(rows), TIME),
        "run_id": pa.array([row.run for row in rows], pa.string()),
    }
    kept = _kept(rows)
    return ds.dataset(pa.table(system | dict(zip(kept.column_names, kept.columns, strict=True))))


def staged(path: Path, vectors: dict[str, float], dead: dict[str, str] | None = None) -> Path:
    """A staged file: contents with the number that fills the vector of each, and failures."""
    values = np.repeat(np.array([*vectors.values()], np.float32)[:, None], DIM, axis=1)
    hashes = [f"hash {content}" for content in vectors]
    failed = {f"hash {content}": reason for content, reason in (dead or {}).items()}
    write_staged(path, Staged(hashes, values, failed, NOW))
    return path


def failures(
    contents: Sequence[str | None], reason: str = "no good", *, lasting: bool = True
) -> pa.Table:
    """Contents that could not be encoded."""
    hashes = [content if content is None else f"hash {content}" for content in contents]
    return pa.table(
        {
            "content_hash": pa.array(hashes, pa.string()),
            "reason": pa.array([reason] * len(hashes), pa.string()),
            "lasting": pa.array([lasting] * len(hashes), pa.bool_()),
        }
    )


def letters(difference: Difference) -> list[tuple[str, str, str]]:
    """Record, place and reason of each dead letter, in order."""
    found = difference.dead_letters().to_pylist()
    return sorted((row["record_id"], row["place"], row["reason"]) for row in found)


def _time(row: Row) -> datetime | None:
    return day(row.day) if row.day else None


def _kept(rows: Sequence[Row]) -> pa.Table:
    if not any(row.of for row in rows):
        return pa.table({"label": pa.array([row.label for row in rows], pa.int64())})
    told = [row.of for row in rows if row.of]
    return pa.table(
        {
            "parent_id": [record for record, _, _ in told],
            "parent_hash": [f"hash {whole}" for _, whole, _ in told],
            "chunk": [number for _, _, number in told],
            "chunk_start": [10 * number for _, _, number in told],
            "chunk_end": [10 * number + 9 for _, _, number in told],
        },
        CUT,
    )
