"""Which indexes a table should have, and what is to be done so that it has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from storage.codes import codes_of
from storage.indexes import Index, indexes, of_column
from storage.indexing import LEAST_TRAINED, NAMES
from storage.parts import PARTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from flows.config.settings import IndexPolicy
    from storage.indexing import Kind
    from storage.model import Version
    from storage.vectors import Vectors

_ANEW = 0.5
"""The share of rows an index of vectors does not know, from which it is trained anew: its cells
were chosen for fewer rows than it would have to hold."""


@dataclass(frozen=True)
class Task:
    """What is to be done with the index of a column.

    Attributes:
        action: ``build`` it over all rows, ``extend`` it by those that it does not know, ``drop``
            it; ``keep`` where nothing pays, or nothing can be done.
        why: in words.
        index: what there is, None where there is none.
    """

    column: str
    kind: Kind | None
    action: Literal["build", "extend", "drop", "keep"]
    why: str
    index: Index | None = None


def tasks(
    vectors: Vectors, version: Version, lance_version: int, policy: IndexPolicy
) -> list[Task]:
    """What is to be done with the indexes of a version's published state.

    Args:
        vectors: where its table is.
        version: the version.
        lance_version: its published state.
        policy: what is wanted.
    """
    schema = vectors.state(version.table, lance_version).schema
    rows = vectors.rows(version.table, lance_version)
    there = indexes(vectors, version.table, lance_version)
    wanted = _wanted(version, schema, policy)
    found = [
        _task(column, kind, of_column(there, column), rows, policy)
        if column in schema.names
        else Task(column, kind, "keep", "no such column is kept; add it to keep in the source")
        for column, kind in wanted.items()
    ]
    for index in there:
        if index.column not in wanted:
            why = f"[features.{version.feature}.index] does not ask for it"
            found.append(Task(index.column, None, "drop", why, index))
    return found


def _wanted(version: Version, schema: pa.Schema, policy: IndexPolicy) -> Mapping[str, Kind]:
    """The columns to index, and how."""
    wanted: dict[str, Kind] = {"record_id": "scalar"}
    if version.chunked:
        wanted[PARTS.parent] = "scalar"
    wanted |= dict.fromkeys(policy.columns, "scalar")
    wanted |= dict.fromkeys(policy.words, "words")
    # Codes are compared by a scan of our own: Lance has no index of them.
    if policy.vector != "none" and codes_of(schema) is None:
        wanted["vector"] = policy.vector
    return wanted


def _task(column: str, kind: Kind, index: Index | None, rows: int, policy: IndexPolicy) -> Task:
    if index is None:
        return _new(column, kind, rows, policy)
    if NAMES.get(index.kind) != kind:
        return Task(column, kind, "build", f"it is {index.kind} and should be {kind}", index)
    share = index.unindexed / rows if rows else 0.0
    told = f"it knows all {rows:,} rows"
    if index.unindexed:
        told = f"{index.unindexed:,} of {rows:,} rows are not in it"
    if share >= _ANEW and column == "vector":
        return Task(column, kind, "build", told, index)
    lags = index.unindexed and share >= policy.stale
    return Task(column, kind, "extend" if lags else "keep", told, index)


def _new(column: str, kind: Kind, rows: int, policy: IndexPolicy) -> Task:
    """What is to be done where there is no index yet."""
    asked = column in policy.words
    if rows < (LEAST_TRAINED if column == "vector" else 1):
        return Task(column, kind, "keep", f"{rows:,} rows are too few")
    if rows < policy.rows and not asked:
        return Task(
            column, kind, "keep", f"it pays from {policy.rows:,} rows on, here are {rows:,}"
        )
    why = "asked for" if asked else f"it pays from {policy.rows:,} rows on"
    return Task(column, kind, "build", why)


def told(found: list[Task]) -> Iterator[str]:
    """What pays, in words; nothing where nothing does."""
    for task in found:
        if task.action == "build" and task.index is None:
            yield f"no index of {task.column}: {task.why}"
        elif task.action != "keep":
            yield f"index of {task.column}: {task.why}"
