"""Pixeltable: a table with a primary key and a computed column, kept by ``batch_update``.

After docs.pixeltable.com, "Computed columns" and "Table": computed columns follow inserts and
updates. An update computes again for every row that it names, changed or not, and deletes none, so
what changed is looked up by hand. A computed column holds the vectors in float32; an embedding
index would hold them in half precision and cost an HNSW graph besides.

Its database server is set up before the first step and runs on between the steps, as it does on a
user's machine; what it costs in a step counts.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

from tests.bench.others._records import command, difference

if TYPE_CHECKING:
    from tests.bench.others._records import Job, Vectors


def prepare(job: Job) -> None:
    """Make the database."""
    _pixeltable(job).init()


def close(job: Job) -> None:
    """Stop the database server; the first line of its file is its process."""
    file = job.store / "home/pgdata/postmaster.pid"
    if file.exists():
        os.kill(int(file.read_text().splitlines()[0]), signal.SIGINT)


def whole(job: Job) -> None:
    """Make the table, or update all its rows."""
    pxt = _pixeltable(job)
    rows = _rows(job.texts())
    if "news" in pxt.list_tables():
        pxt.get_table("news").batch_update(rows, if_not_exists="insert")
        return
    from pixeltable.functions.huggingface import (  # type: ignore[import-not-found]
        sentence_transformer,
    )

    table = pxt.create_table(
        "news", {"id": pxt.Required[pxt.String], "text": pxt.String}, primary_key="id"
    )
    table.add_computed_column(vector=sentence_transformer(table.text, model_id=str(job.model)))
    table.insert(rows)


def changes(job: Job) -> None:
    """Compare with what the table holds, update what changed, delete what is gone."""
    table = _pixeltable(job).get_table("news")
    held = {row["id"]: row["text"] for row in table.select(table.id, table.text).collect()}
    found = difference(held, job.texts())
    if found.put:
        table.batch_update(_rows(found.put), if_not_exists="insert")
    if found.gone:
        table.delete(where=table.id.isin(found.gone))


def dump(job: Job) -> Vectors:
    """What the table holds."""
    table = _pixeltable(job).get_table("news")
    rows = table.select(table.id, table.text, table.vector).collect()
    return {row["id"]: (row["text"], row["vector"]) for row in rows}


def _pixeltable(job: Job) -> Any:  # noqa: ANN401 - a module that is only there beside this
    os.environ["PIXELTABLE_HOME"] = str(job.store / "home")
    import pixeltable  # type: ignore[import-not-found]

    return pixeltable


def _rows(texts: dict[str, str]) -> list[dict[str, str]]:
    return [{"id": name, "text": text} for name, text in texts.items()]


if __name__ == "__main__":
    command(whole, dump, changes=changes, prepare=prepare, close=close)
