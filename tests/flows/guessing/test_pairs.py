"""Tables of interactions, and tables of nodes and edges."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from flows.guessing.columns import described
from flows.guessing.links import links
from flows.guessing.meetings import Meetings, meetings

USERS = [f"u{i % 7}" for i in range(40)]
ITEMS = [f"b{i % 11}" for i in range(40)]
REVIEWS = [f"A long word about it, number {i} and more" for i in range(40)]
STARS = [i % 5 + 1 for i in range(40)]


def found(**columns: Any) -> Meetings | None:  # noqa: ANN401 - lists of any values
    return meetings(described(pl.DataFrame(columns)))


def test_ratings_are_interactions() -> None:
    assert found(userId=USERS, movieId=ITEMS, rating=STARS) == Meetings(
        "userId", "movieId", "rating", rating=True
    )


def test_counts_and_times_are_seen() -> None:
    when = [1_750_000_000 + i for i in range(40)]
    assert found(customer=USERS, sku=ITEMS, quantity=STARS, timestamp=when) == Meetings(
        "customer", "sku", "quantity", "timestamp"
    )


@pytest.mark.parametrize(
    "columns",
    [
        {"user": [f"u{i}" for i in range(40)], "item": ITEMS},
        {"age": STARS, "item": ITEMS},
        {"user": USERS, "item": ITEMS, "review": REVIEWS},
        {"user": USERS, "item": ITEMS} | {f"n{i}": STARS for i in range(6)},
        {"user": [None, *USERS[1:]], "item": ITEMS},
    ],
    ids=["users once", "no user", "a text", "many columns", "users missing"],
)  # fmt: skip
def test_other_tables_are_none(columns: dict[str, list[Any]]) -> None:
    assert found(**columns) is None


NODES = pl.DataFrame({"paper": [f"p{i}" for i in range(20)], "topic": ["a", "b"] * 10})


def test_edges_are_known_by_their_names() -> None:
    edges = pl.DataFrame({"weight": [1.0, 2.0], "source": ["p1", "p2"], "target": ["p3", "x"]})
    seen = links(NODES, edges)
    assert seen is not None
    assert (seen.id, seen.ends, seen.weight, seen.known) == (
        "paper", ("source", "target"), "weight", 0.75,
    )  # fmt: skip


def test_or_by_what_they_lead_to() -> None:
    edges = pl.DataFrame({"who": ["p1", "p2"], "whom": ["p3", "p4"]})
    seen = links(NODES, edges)
    assert seen is not None
    assert seen.ends == ("who", "whom")


def test_other_pairs_of_tables_are_no_graph() -> None:
    assert links(NODES, pl.DataFrame({"who": ["x", "y"], "whom": ["z", "p1"]})) is None
    assert links(NODES, pl.DataFrame({"source": ["x"], "target": ["y"]})) is None
    assert links(pl.DataFrame({"a": [1.5, 1.5]}), NODES) is None
