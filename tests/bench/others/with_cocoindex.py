"""CocoIndex 1: a component and a memoised function for each record, a LanceDB table as the target.

After cocoindex.io/docs, "Processing component", "Postgres as a source" (one component a row) and
"Semantic search with LanceDB". It finds out by itself what changed. Its own state lies in LMDB;
since version 1 it needs no PostgreSQL.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cocoindex as coco  # type: ignore[import-not-found]
import numpy as np  # noqa: TC002 - CocoIndex reads the annotations of a row
from cocoindex.connectors import lancedb  # type: ignore[import-not-found]
from cocoindex.ops.sentence_transformers import (  # type: ignore[import-not-found]
    SentenceTransformerEmbedder,
)
from numpy.typing import NDArray  # noqa: TC002 - as above

from tests.bench.others._records import Job, command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.bench.others._records import Vectors

DATABASE = coco.ContextKey[lancedb.LanceAsyncConnection]("news_database")
EMBEDDER = coco.ContextKey[SentenceTransformerEmbedder]("embedder", detect_change=True)


@dataclass
class Row:
    """A row of the target."""

    id: str
    text: str
    vector: Annotated[NDArray[np.float32], EMBEDDER]


@coco.fn(memo=True)  # type: ignore[untyped-decorator]
async def embed(item: tuple[str, str], table: lancedb.TableTarget[Row]) -> None:
    """Declare the row of one record."""
    name, text = item
    vector = await coco.use_context(EMBEDDER).embed(text)
    table.declare_row(row=Row(id=name, text=text, vector=vector))


@coco.fn  # type: ignore[untyped-decorator]
async def pipeline(records: Path) -> None:
    """Declare the table, and mount a component for each record."""
    schema = await lancedb.TableSchema.from_class(Row, primary_key=["id"])
    table = await lancedb.mount_table_target(DATABASE, "news", schema)
    texts = Job(records, Path(), Path()).texts()
    await coco.mount_each(embed, [(name, (name, text)) for name, text in texts.items()], table)


def whole(job: Job) -> None:
    """Bring the table up to date."""
    os.environ["COCOINDEX_DB"] = str(job.store / "state")

    @coco.lifespan  # type: ignore[untyped-decorator]
    async def provide(builder: coco.EnvironmentBuilder) -> AsyncIterator[None]:
        builder.provide(DATABASE, await lancedb.connect_async(str(job.store / "lance")))
        builder.provide(EMBEDDER, SentenceTransformerEmbedder(str(job.model)))
        yield

    app = coco.App(coco.AppConfig(name="news"), pipeline, records=job.records)
    app.update_blocking()


def dump(job: Job) -> Vectors:
    """What the table holds."""

    async def read() -> list[dict[str, Any]]:
        connection = await lancedb.connect_async(str(job.store / "lance"))
        table = await (await connection.open_table("news")).to_arrow()
        return list(table.to_pylist())

    return {row["id"]: (row["text"], row["vector"]) for row in asyncio.run(read())}


if __name__ == "__main__":
    command(whole, dump)
