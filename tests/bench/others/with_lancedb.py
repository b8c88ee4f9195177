"""LanceDB's embedding functions: a schema that names the text and the vector, and ``merge_insert``.

After docs.lancedb.com, "Managing embeddings" and "Update and modify table data": one upsert that
also deletes what the source no longer has. The function encodes every row that it is handed, so
what changed is looked up by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import lancedb
from lancedb.embeddings import get_registry
from lancedb.pydantic import LanceModel, Vector

from tests.bench.others._records import command, difference

if TYPE_CHECKING:
    from tests.bench.others._records import Job, Vectors


def whole(job: Job) -> None:
    """Make the table, or merge all records into it."""
    database = lancedb.connect(job.store)
    rows = _rows(job.texts())
    if "news" not in database.list_tables().tables:
        database.create_table("news", schema=_schema(job)).add(rows)
        return
    merge = database.open_table("news").merge_insert("id").when_matched_update_all()
    merge.when_not_matched_insert_all().when_not_matched_by_source_delete().execute(rows)


def changes(job: Job) -> None:
    """Compare with what the table holds, merge what changed, delete what is gone."""
    table = lancedb.connect(job.store).open_table("news")
    held = table.search().select(["id", "text"]).limit(None).to_list()
    found = difference({row["id"]: row["text"] for row in held}, job.texts())
    if found.put:
        merge = table.merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
        merge.execute(_rows(found.put))
    if found.gone:
        table.delete("id IN ({})".format(", ".join(f"'{name}'" for name in found.gone)))


def dump(job: Job) -> Vectors:
    """What the table holds."""
    rows = lancedb.connect(job.store).open_table("news").to_arrow().to_pylist()
    return {row["id"]: (row["text"], row["vector"]) for row in rows}


def _schema(job: Job) -> type[LanceModel]:
    registry: Any = get_registry()
    model = registry.get("sentence-transformers").create(name=str(job.model))

    class News(LanceModel):
        id: str
        text: str = model.SourceField()
        vector: Vector(model.ndims()) = model.VectorField()  # type: ignore[valid-type]

    return News


def _rows(texts: dict[str, str]) -> list[dict[str, str]]:
    return [{"id": name, "text": text} for name, text in texts.items()]


if __name__ == "__main__":
    command(whole, dump, changes=changes)
