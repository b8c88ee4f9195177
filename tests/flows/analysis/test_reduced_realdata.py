"""What fewer bits and dimensions keep of the neighbours of news."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import pytest

from flows.analysis.reduced import FACTORS, measure
from flows.config.configuration import load
from flows.engines.engine import Direct
from flows.output.progress import Silent
from flows.pipeline import stages as pipeline

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.realdata]

ROWS = 1200
CONF = """
[sources.news]
kind = "table"
path = "news.csv"
id = "id"
content = ["title", "body"]

[encoders.topics]
kind = "lsa"
dim = 64

[encoders.int8]
kind = "quantize"

[encoders.bits]
kind = "quantize"
bits = 1

[encoders.half]
kind = "truncate"
dim = 32

[features.articles]
source = "news"
encoder = "topics"

[features.int8]
over = ["articles"]
encoder = "int8"

[features.bits]
over = ["articles"]
encoder = "bits"

[features.half]
over = ["articles"]
encoder = "half"

[features.eighth]
over = ["half"]
encoder = "int8"
"""


@pytest.fixture(scope="module")
def news(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    root = tmp_path_factory.mktemp("news")
    with (data / "text" / "ag_news.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[: ROWS + 1]
    with (root / "news.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    (root / "vecmill.toml").write_text(CONF, encoding="utf-8")
    settings = load(root / "vecmill.toml")
    for name in ("articles", "int8", "bits", "half", "eighth"):
        pipeline.embed(settings, name, Direct(), Silent())
    return settings


@pytest.mark.parametrize(
    ("name", "smaller", "least"),
    [
        ("int8", 4, (0.97, 0.999, 0.999, 0.999)),
        ("bits", 32, (0.35, 0.5, 0.65, 0.8)),
        ("half", 2, (0.5, 0.7, 0.82, 0.92)),
        ("eighth", 8, (0.5, 0.7, 0.82, 0.92)),
    ],
)
def test_neighbours_that_are_kept(
    news: Settings, name: str, smaller: float, least: tuple[float, ...]
) -> None:
    found = measure(news, name)
    assert found.whole.feature == "articles"
    assert found.queries == 200
    assert tuple(recall.factor for recall in found.recalls) == FACTORS
    means = [recall.mean for recall in found.recalls]
    assert all(mean >= bound for mean, bound in zip(means, least, strict=True)), means
    assert found.large.vector / found.small.vector == smaller
    assert found.large.total / found.small.total == pytest.approx(smaller, rel=0.02)
