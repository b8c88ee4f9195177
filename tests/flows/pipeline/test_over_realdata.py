"""Books by their titles and their numbers: what each part finds, and what both find together."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.config.configuration import load
from flows.config.stores import Stores
from flows.engines.engine import Direct
from flows.output.progress import Silent
from flows.pipeline import stages as pipeline
from flows.searching.search import search
from storage import query

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.realdata]

CONF = """
[sources.titles]
kind = "table"
path = "books.csv"
id = "book_id"
content = "title"
keep = ["authors", "original_publication_year"]

[sources.numbers]
kind = "table"
path = "books.csv"
id = "book_id"
content = [
    "original_publication_year", "average_rating", "ratings_count", "work_text_reviews_count",
    "language_code",
]

[encoders.words]
kind = "lsa"
dim = 64

[encoders.rows]
kind = "tabular"
dim = 16

[features.titles]
source = "titles"
encoder = "words"

[features.numbers]
source = "numbers"
encoder = "rows"
"""
FUSED = """
[encoders.{name}]
kind = "fuse"
weights = {{ titles = {titles}, numbers = {numbers} }}

[features.{name}]
over = ["titles", "numbers"]
encoder = "{name}"
"""
WEIGHTS = {"by_title": (1.0, 0.0), "books": (1.0, 0.25), "by_number": (0.0, 1.0)}
ROWS, ASKED, K = 4000, 400, 10


@pytest.fixture(scope="module")
def books(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    root = tmp_path_factory.mktemp("books")
    with (data / "text" / "books.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[: ROWS + 1]
    with (root / "books.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    fused = [FUSED.format(name=n, titles=t, numbers=m) for n, (t, m) in WEIGHTS.items()]
    (root / "vecmill.toml").write_text(CONF + "".join(fused), encoding="utf-8")
    settings = load(root / "vecmill.toml")
    for name in ("titles", "numbers", *WEIGHTS):
        pipeline.embed(settings, name, Direct(), Silent())
    return settings


def found(settings: Settings, name: str, record_id: str) -> dict[str, float]:
    table = search(settings, name, "id", record_id, K)
    return dict(zip(table["record_id"].to_pylist(), table["distance"].to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("fused", "part", "factor"), [("by_title", "titles", 2.0), ("by_number", "numbers", None)]
)
def test_with_all_weight_on_a_part_its_neighbours_are_found(
    books: Settings, fused: str, part: str, factor: float | None
) -> None:
    for record_id in ("1", "20", "333", "3999"):
        own, ours = found(books, part, record_id), found(books, fused, record_id)
        # Equal distances may come in any order, so distances are compared, and not ids alone.
        both = [(own[other], ours[other]) for other in own if other in ours]
        assert len(both) >= K - 2
        expected, got = np.array(both).T
        # A squared distance of norm 1 is twice that of cosine; of a table, by one factor for all.
        times = factor or float(np.median(got / expected))
        np.testing.assert_allclose(got, times * expected, rtol=1e-3, atol=1e-4)


def test_together_they_know_more_of_an_author_than_each_alone(books: Settings) -> None:
    stores = Stores.of(books)
    shares = {}
    for name in WEIGHTS:
        with query.connect(stores.catalog, stores.vectors) as con:
            rows: Any = con.sql(f"SELECT vector, authors FROM {name} ORDER BY record_id").pl()  # noqa: S608 - our own names
        vectors = rows["vector"].to_numpy().astype(np.float64)
        authors = np.array([names.split(",")[0] for names in rows["authors"]])
        asked = np.random.default_rng(0).choice(len(vectors), ASKED, replace=False)
        distances = (vectors**2).sum(axis=1) - 2 * vectors[asked] @ vectors.T
        distances[np.arange(ASKED), asked] = np.inf
        near = np.argpartition(distances, K, axis=1)[:, :K]
        shares[name] = float((authors[near] == authors[asked][:, None]).mean())
    assert shares["books"] > max(shares["by_title"], shares["by_number"])
