"""Daft: ``embed_text`` over a data frame, written as Parquet.

After docs.daft.ai, "Embed text" (the provider ``transformers``). A data frame is computed from
nothing each time, so what changed is found by two joins with what was written. Its checkpoints
(``CheckpointConfig``) skip keys that were seen, for appending sinks under its Ray runner; their
documentation says that they neither update nor delete.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import daft  # type: ignore[import-not-found]
from daft.functions import embed_text  # type: ignore[import-not-found]

from tests.bench.others._records import command

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.others._records import Job, Vectors


def whole(job: Job) -> None:
    """Embed all records and write them."""
    _embedded(daft.read_csv(str(job.records)), job).write_parquet(
        str(job.store / "news"), write_mode="overwrite"
    )


def changes(job: Job) -> None:
    """Keep what is the same, embed the rest, and put the new files in the place of the old."""
    old, new = job.store / "news", job.store / "new"
    held, wanted = daft.read_parquet(str(old)), daft.read_csv(str(job.records))
    kept = held.join(wanted, on=["id", "text"], how="semi")
    put = wanted.join(held, on=["id", "text"], how="anti")
    kept.concat(_embedded(put, job)).write_parquet(str(new), write_mode="overwrite")
    _replace(old, new)


def dump(job: Job) -> Vectors:
    """What was written."""
    rows = daft.read_parquet(str(job.store / "news")).to_pylist()
    return {row["id"]: (row["text"], row["vector"]) for row in rows}


def _embedded(frame: daft.DataFrame, job: Job) -> daft.DataFrame:
    vector = embed_text(daft.col("text"), provider="transformers", model=str(job.model))
    return frame.with_column("vector", vector)


def _replace(old: Path, new: Path) -> None:
    shutil.rmtree(old)
    new.rename(old)


if __name__ == "__main__":
    command(whole, dump, changes=changes)
