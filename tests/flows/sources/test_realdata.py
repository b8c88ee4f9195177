"""Public data sets come through whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from flows.sources import table
from tests.flows.sources.reading import Everything, Value, everything, read_files

if TYPE_CHECKING:
    from flows.sources.base import Modality

pytestmark = pytest.mark.realdata


@pytest.fixture
def data() -> Path:
    folder = os.environ.get("VECMILL_TEST_DATA")
    if not folder:
        pytest.skip("VECMILL_TEST_DATA is not set: it names the folder of public data sets")
    return Path(folder).resolve()


def read_table(data: Path, modality: Modality, **params: Value) -> Everything:
    return everything(table.open(table.Params(**params), data, modality))


def test_ag_news(data: Path) -> None:
    found = read_table(
        data, "text", path="text/ag_news.csv", id="id", content=["title", "body"], keep=["label"]
    )
    assert len(found.records) == 6000
    assert not found.rejects
    assert found.records["record_id"].n_unique() == 6000
    assert found.records["label"].n_unique() == 4


def test_adult(data: Path) -> None:
    found = read_table(
        data, "tabular", path="tabular/adult.csv", null_values=["?"], keep=["income"]
    )
    assert len(found.records) == 32_561
    assert not found.rejects
    content = found.records["content"].struct.unnest()
    assert content.schema["age"] == pl.Int64
    assert content["workclass"].null_count() == 1836
    assert content["age"].null_count() == 0


def test_books(data: Path) -> None:
    found = read_table(
        data, "text", path="text/books.csv", id="book_id", content=["title", "authors"],
        keep=["isbn", "average_rating", "original_publication_year", "ratings_count"],
    )  # fmt: skip
    assert len(found.records) == 10_000
    assert not found.rejects
    kept = found.records.columns[5:]
    assert found.records.select(kept).dtypes == [pl.String, pl.Float64, pl.Float64, pl.Int64]


def test_sts_without_a_header(data: Path) -> None:
    found = read_table(
        data, "text", path="text/stsb_dev.csv", header=False, columns=["a", "b", "score"],
        content="a", keep=["b", "score"],
    )  # fmt: skip
    assert len(found.records) == 1500
    assert not found.rejects
    assert found.records["score"].is_between(0, 5).all()


def test_cifar10(data: Path) -> None:
    found = read_files(
        data, "image", path="image/cifar10/*/*/*.jpg", pattern="{split}/{label}/{name}.jpg"
    )
    assert not found.rejects
    counts = found.records["split"].value_counts(sort=True).rows()
    assert counts == [("train", 2000), ("test", 500)]
    assert found.records["label"].n_unique() == 10
    assert found.ids[0] == "test/airplane/0000.jpg"


def test_spoken_digits(data: Path) -> None:
    found = read_files(
        data, "audio", path="audio/fsdd/*.wav", pattern="{digit}_{speaker}_{take}.wav",
        types={"digit": "int", "take": "int"},
    )  # fmt: skip
    assert len(found.records) == 2000
    assert not found.rejects
    assert found.records["digit"].unique().sort().to_list() == list(range(10))
    assert found.records["speaker"].n_unique() == 4
