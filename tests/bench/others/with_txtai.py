"""txtai: an embeddings database with content, ``index``, then ``upsert`` and ``delete``.

After neuml.github.io/txtai, "Index guide". An upsert encodes every record that it is handed and
deletes none, so what changed is looked up by hand in the content that the database keeps. Its
``checkpoint`` goes on with an index that was interrupted, batch by batch in the same order; it does
not look at what changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from txtai import Embeddings  # type: ignore[import-not-found]

from tests.bench.others._records import command, difference

if TYPE_CHECKING:
    from tests.bench.others._records import Job, Vectors


def whole(job: Job) -> None:
    """Index all records, or upsert them."""
    embeddings = Embeddings(path=str(job.model), content=True)
    if embeddings.exists(str(job.store / "index")):
        embeddings.load(str(job.store / "index"))
        embeddings.upsert(job.texts().items())
    else:
        embeddings.index(job.texts().items())
    embeddings.save(str(job.store / "index"))


def changes(job: Job) -> None:
    """Compare with the content that is held, upsert what changed, delete what is gone."""
    embeddings = _load(job)
    held = embeddings.search("SELECT id, text FROM txtai", limit=embeddings.count())
    found = difference({row["id"]: row["text"] for row in held}, job.texts())
    if found.put:
        embeddings.upsert(found.put.items())
    if found.gone:
        embeddings.delete(found.gone)
    if found.put or found.gone:
        embeddings.save(str(job.store / "index"))


def dump(job: Job) -> Vectors:
    """What the database holds; up to 5,000 records lie in a flat index."""
    import faiss  # type: ignore[import-not-found]

    embeddings = _load(job)
    backend = embeddings.ann.backend
    places = {name: at for at, name in enumerate(faiss.vector_to_array(backend.id_map).tolist())}
    vectors = backend.index.reconstruct_n(0, backend.ntotal)
    rows = embeddings.search("SELECT indexid, id, text FROM txtai", limit=backend.ntotal + 1)
    return {row["id"]: (row["text"], vectors[places[row["indexid"]]]) for row in rows}


def _load(job: Job) -> Embeddings:
    embeddings = Embeddings()
    embeddings.load(str(job.store / "index"))
    return embeddings


if __name__ == "__main__":
    command(whole, dump, changes=changes)
