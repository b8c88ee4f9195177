"""One small instance of each kind of source, for the contract tests.

A new kind adds a function with its name here; the contract tests then run on it.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from flows.sources import files, graph, interactions, lance, query, table

if TYPE_CHECKING:
    from pathlib import Path

    from flows.sources.base import Modality


@dataclass(frozen=True)
class Example:
    """A source with some records and at least one that is broken.

    Attributes:
        params: of the kind's ``Params``.
        modality: to open it for.
        n: how many records there are, good and broken.
        broken: the places of the broken ones.
    """

    params: object
    modality: Modality
    n: int
    broken: frozenset[str]


def table_example(root: Path) -> Example:
    root.joinpath("a.csv").write_text(
        'id,body,label,when\n1,one,x,2024-01-01\n2,"two\nlines",y,\n3,"broken,z,\n4,four,x,\n'
    )
    root.joinpath("b.csv").write_text("id,body,label,when\n5,five,x,yesterday\n6,six,x,\n")
    params = table.Params(path="*.csv", id="id", content="body", keep=["label"], event_time="when")
    return Example(params, "text", 6, frozenset({"a.csv:5", "b.csv:2"}))


def files_example(root: Path) -> Example:
    for name, content in {"cat/1.jpg": b"c1", "cat/2.jpg": b"", "dog/1.jpg": b"d1"}.items():
        root.joinpath(name).parent.mkdir(exist_ok=True)
        root.joinpath(name).write_bytes(content)
    params = files.Params(path="**/*.jpg", pattern="{label}/{name}.jpg", event_time="mtime")
    return Example(params, "image", 3, frozenset({"cat/2.jpg"}))


def query_example(root: Path) -> Example:
    rows = [
        (1, "one", "x", "2024-01-01"),
        (2, b"\xff", "x", None),
        (3, "three", None, "2024-01-03"),
    ]
    with closing(sqlite3.connect(root / "a.db")) as con, con:
        con.execute("CREATE TABLE notes (id INTEGER, body, label TEXT, at TEXT)")
        con.executemany("INSERT INTO notes VALUES (?, ?, ?, ?)", rows)
    params = query.Params(
        url="sqlite:///a.db",
        table="notes",
        id="id",
        content="body",
        keep=["label"],
        event_time="at",
        cursor="at",
    )
    return Example(params, "text", 3, frozenset({"notes#1"}))


def lance_example(root: Path) -> Example:
    import lancedb

    rows = {
        "id": [1, 2, 3],
        "body": ["one", None, "three"],
        "label": ["x", "y", None],
        "at": [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2, 3)],
    }
    lancedb.connect(str(root / "vectors")).create_table("notes", data=pa.table(rows))
    params = lance.Params(
        uri="vectors",
        table="notes",
        id="id",
        content="body",
        keep=["label"],
        event_time="at",
        cursor="at",
    )
    return Example(params, "text", 3, frozenset({"notes#1"}))


def interactions_example(root: Path) -> Example:
    root.joinpath("stars.csv").write_text(
        "who,what,stars,at\na,x,5,2024-01-02\nb,x,3,\na,y,many,\n,y,2,\na,y,4,2024-01-03\n"
    )
    params = interactions.Params(
        path="stars.csv", user="who", item="what", weight="stars", time="at", combine="last"
    )
    return Example(params, "interactions", 6, frozenset({"stars.csv:4", "stars.csv:5"}))


def graph_example(root: Path) -> Example:
    root.joinpath("people.csv").write_text(
        "id,age,label,when\na,31,x,2024-01-01\nb,,y,\nc,old,x,\nd,50,,2024-01-03\n"
    )
    root.joinpath("calls.csv").write_text("from,to,times\na,b,2\nb,d,1\nd,zoe,1\na,d,-1\n")
    params = graph.Params(
        nodes="people.csv",
        edges="calls.csv",
        id="id",
        ends=["from", "to"],
        weight="times",
        features=["age"],
        types={"age": "int"},
        keep=["label"],
        event_time="when",
    )
    return Example(params, "graph", 6, frozenset({"people.csv:4", "calls.csv:4", "calls.csv:5"}))


EXAMPLES = {
    "graph": graph_example,
    "interactions": interactions_example,
    "table": table_example,
    "files": files_example,
    "query": query_example,
    "lance": lance_example,
}
