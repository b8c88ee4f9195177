"""What columns are like, and which of them is what."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from flows.guessing.columns import described, nulls, snake
from flows.guessing.roles import change_column, id_column, roles, time_column

TEXT = "The central bank of {} has raised its rate again, to the surprise of few"
N = 30


def frame(**columns: Any) -> pl.DataFrame:  # noqa: ANN401 - lists of any values
    return pl.DataFrame(columns)


def numbered(word: str, n: int = N) -> list[str]:
    return [f"{word}{i}" for i in range(n)]


TEXTS = [TEXT.format(i) for i in range(N)]
GROUPS = [("sport", "world", "money")[i % 3] for i in range(N)]
NUMBERS = [float(i * i % 17) for i in range(N)]


@pytest.mark.parametrize(
    ("written", "read"),
    [("userId", "user_id"), ("ISBN13", "isbn13"), ("Pub Date", "pub_date"), ("_id", "id"),
     ("HTMLBody", "html_body"), ("title", "title")],
)  # fmt: skip
def test_names_are_read_by_their_words(written: str, read: str) -> None:
    assert snake(written) == read


def test_columns_are_described() -> None:
    day = datetime(2026, 1, 1, tzinfo=UTC)
    found = {
        c.name: c
        for c in described(
            frame(
                id=numbered("n"),
                text=TEXTS,
                link=[f"https://a.example/{i}" for i in range(N)],
                meta=['{"a": 1}'] * N,
                at=[day] * N,
                flag=[True] * N,
                bytes=[b"x"] * N,
                many=[[1]] * N,
                gap=[None, *range(N - 1)],
            )
        )
    }
    kinds = ["text", "text", "url", "nested", "time", "bool", "bytes", "nested", "int"]
    assert [c.kind for c in found.values()] == kinds
    assert found["id"].unique
    assert not found["gap"].unique
    assert (found["meta"].doubled, found["id"].doubled) == ('{"a": 1}', None)
    assert found["text"].words == len(TEXT.split())


@pytest.mark.parametrize("name", ["count", "value", "times", ""])
def test_a_column_may_have_any_name(name: str) -> None:
    [column] = described(pl.DataFrame({name: [1, 1, 2]}))
    assert (column.name, column.distinct, column.doubled) == (name, 2, "1")


def test_marks_for_no_value_are_found_among_numbers() -> None:
    assert nulls(frame(a=["1", "NA", "2"], b=["x", "y", "z"])) == ["NA"]
    assert nulls(frame(country=["NA", "BW", "ZA"])) == [], "NA is Namibia"
    assert nulls(frame(work=["Private", "?", "State"])) == ["?"]


class TestIds:
    def test_the_column_of_that_name_comes_first(self) -> None:
        columns = described(frame(isbn=numbered("i"), id=numbered("n"), text=TEXTS))
        assert id_column(columns)[0] == "id"

    def test_a_value_twice_makes_no_id_and_is_told(self) -> None:
        columns = described(frame(text=TEXTS, id=[*numbered("n", N - 1), "n0"]))
        assert id_column(columns) == (None, "'id' has 'n0' more than once")

    def test_a_missing_value_makes_no_id(self) -> None:
        columns = described(frame(text=TEXTS, id=[None, *numbered("n", N - 1)]))
        assert id_column(columns) == (None, "'id' is empty in some rows")

    def test_a_first_column_of_words_is_one_by_any_name(self) -> None:
        assert id_column(described(frame(node=list(range(N)), text=TEXTS)))[0] == "node"
        assert id_column(described(frame(paper=numbered("p"), text=TEXTS)))[0] == "paper"

    @pytest.mark.parametrize("name", ["index", "Unnamed: 0", "", "rowid"])
    def test_the_number_of_a_row_is_none(self, name: str) -> None:
        rows = pl.DataFrame({name: range(N), "text": TEXTS})
        assert id_column(described(rows))[0] is None

    def test_measurements_are_none(self) -> None:
        columns = described(frame(weight=[i * 1.5 for i in range(N)], size=NUMBERS))
        assert id_column(columns)[0] is None
        falling = described(frame(population=list(range(N, 0, -1)), size=NUMBERS))
        assert id_column(falling)[0] is None


class TestTimes:
    day = datetime(2026, 1, 1, tzinfo=UTC)

    def test_when_it_happened_comes_before_when_it_changed(self) -> None:
        columns = described(
            frame(birth_date=[self.day] * N, updated_at=[self.day] * N, published_at=[self.day] * N)
        )
        assert time_column(columns)[0] == "published_at"
        assert change_column(columns) == "updated_at"

    def test_seconds_since_1970_are_a_time_by_their_name_alone(self) -> None:
        seconds = [1_750_000_000 + i for i in range(N)]
        assert time_column(described(frame(created_at=seconds)))[0] == "created_at"
        assert time_column(described(frame(population=seconds)))[0] is None
        assert time_column(described(frame(time=list(range(N)))))[0] is None

    def test_a_birth_is_no_event(self) -> None:
        assert time_column(described(frame(date_of_birth=[self.day] * N)))[0] is None


class TestContents:
    def test_texts_are_encoded_and_categories_kept(self) -> None:
        found = roles(
            described(
                frame(id=numbered("n"), title=[f"On {t}" for t in numbered("rate ")], body=TEXTS,
                      section=GROUPS, price=NUMBERS, link=[f"http://a/{i}" for i in range(N)])
            )
        )  # fmt: skip
        assert (found.texts, found.content) == (True, ("title", "body"))
        assert (found.id, found.keep) == ("id", ("section", "title"))
        assert found.left == ("price", "link")

    def test_rows_are_numbers_and_categories_without_what_they_are_told_apart_by(self) -> None:
        found = roles(
            described(
                frame(age=NUMBERS, job=GROUPS, name=numbered("n"), income=["low", "high"] * 15)
            )
        )
        assert (found.texts, found.content, found.keep) == (False, ("age", "job"), ("income",))

    def test_words_beside_one_number_are_texts(self) -> None:
        found = roles(described(frame(word=numbered("w"), score=NUMBERS)))
        assert (found.texts, found.content) == (True, ("word",))

    def test_what_is_asked_for_is_found(self) -> None:
        columns = described(frame(id=numbered("n"), body=TEXTS, a=NUMBERS, b=GROUPS))
        assert roles(columns).texts
        assert roles(columns, texts=False).content == ("a", "b")

    def test_no_kept_column_is_called_as_one_that_every_record_has(self) -> None:
        found = roles(described(frame(id=numbered("n"), body=TEXTS, place=GROUPS)))
        assert found.keep == ()

    def test_bytes_and_nested_values_are_told(self) -> None:
        found = roles(described(frame(body=TEXTS, image=[b"x"] * N, meta=[[1]] * N)))
        assert found.content == ("body",)
        assert "'image' holds bytes" in found.notes[0]
        assert "'meta' is nested" in found.notes[1]
