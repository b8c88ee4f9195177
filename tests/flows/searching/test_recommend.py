"""recommend: what is told is what the vectors say, without what was met, and misuse is told."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.cli import run_command
from flows.monitoring.samples import Samples
from flows.output.progress import Silent, listening
from flows.searching.asking import Asked, Titles, parse_items, parse_titles
from flows.searching.queries import SearchError
from flows.searching.recommend import recommend
from flows.searching.search import search
from flows.sources.base import SourceError
from flows.upkeep.erase import Eraser
from storage.model import UsageError
from tests.encoders import tastes
from tests.flows.project import Project, vector
from tests.flows.shop import Heard

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

HEADER = ("user", "item", "stars", "at")
USERS, ITEMS = 60, 40
TITLES = """
[sources.books]
kind = "table"
path = "books.csv"
id = "id"
content = "title"
keep = ["title"]

[features.books]
source = "books"
encoder = "words"

[encoders.words]
kind = "lsa"
min_texts = 1
max_share = 1.0
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has been run once."""
    project = shop_in(tmp_path_factory.mktemp("made"))
    project.write(bought(), HEADER)
    project.run()
    return project.root


@pytest.fixture
def shop(project: Project, made: Path) -> Project:
    """Users who bought items, run once; the feature is called ``notes`` as every project's."""
    shutil.copytree(made, project.root, dirs_exist_ok=True)
    return shop_in(project.root)


def shop_in(root: Path) -> Project:
    source = {
        "kind": "interactions", "path": "notes.csv", "user": "user", "item": "item",
        "weight": "stars", "time": "at", "combine": "last",
    }  # fmt: skip
    return Project(root, source, {"kind": "factors", "factors": 6, "iterations": 8})


def bought(*more: Sequence[object]) -> list[Sequence[object]]:
    drawn = tastes.drawn(np.random.default_rng(3), USERS, ITEMS, 12)
    stars = drawn.ratings.round(1).clip(1, 5)
    rows = zip(drawn.users, drawn.items, stars, range(len(drawn)), strict=True)
    return [*((u, i, s, f"2026-01-01T00:{n % 60:02d}") for u, i, s, n in rows), *more]


def told(project: Project, k: int = 5, **asked: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any of recommend
    who = Asked(**{key: asked.pop(key) for key in ("user", "items") if key in asked})
    return recommend(project.settings(), "notes", who, k, **asked)


def scores(project: Project, query: NDArray[np.float32]) -> dict[str, float]:
    """The dot product of every item with a vector, found without Vecmill's search."""
    rows = project.rows().values()
    return {r["entity"]: float(vector(r) @ query) for r in rows if r["side"] == "item"}


def test_the_best_items_come_first_without_those_already_met(shop: Project) -> None:
    met = {str(i) for u, i, *_ in bought() if u == 7}
    by_hand = scores(shop, vector(shop.rows()["user:7"]))
    left = sorted(set(by_hand) - met, key=lambda item: -by_hand[item])
    found = told(shop, user="7")
    assert [row["item"] for row in found] == left[:5]
    for row in found:
        assert row["score"] == pytest.approx(by_hand[row["item"]], abs=1e-5)
        assert row["met"] == shop.rows()[f"item:{row['item']}"]["met"]
    every = told(shop, k=100, user="7", with_seen=True)
    assert [row["item"] for row in every] == sorted(by_hand, key=lambda item: -by_hand[item])
    assert {row["item"] for row in told(shop, k=100, user="7")} == set(by_hand) - met


def test_a_run_encodes_whom_new_interactions_touch_and_nobody_else(shop: Project) -> None:
    before = shop.rows()
    new = [(7, "new", 5, "2027-01-01"), ("guest", 3, 4, ""), ("guest", 4, 5, "")]
    shop.write(bought(*new), HEADER)
    counts = shop.run().counts
    assert (counts.new, counts.changed, counts.encoded, counts.deleted) == (2, 3, 5, 0)
    after = shop.rows()
    touched = {k for k, row in after.items() if row["run_id"] != before.get(k, {}).get("run_id")}
    assert touched == {"user:7", "item:new", "user:guest", "item:3", "item:4"}
    assert after["user:7"]["event_time"].year == 2027
    # What the fit has never met tells nothing: as it stands in nobody's favour, so in no one's way.
    np.testing.assert_array_equal(vector(after["user:7"]), vector(before["user:7"]))
    assert vector(after["item:new"]).any(), "an item is told by users that the fit knows"
    assert vector(after["item:3"]).tolist() == vector(before["item:3"]).tolist()
    shop.write(bought(*new[:1]), HEADER)
    counts = shop.run().counts
    assert (counts.deleted, counts.encoded) == (1, 2)
    assert "user:guest" not in shop.rows()


def test_one_who_came_since_is_folded_in_from_the_source(shop: Project) -> None:
    known = [str(i) for u, i, *_ in bought() if u == 7]
    twin = [("twin", i, s, at) for u, i, s, at in bought() if u == 7]
    shop.write(bought(*twin), HEADER)
    listener = Heard()
    with listening(listener):
        found = told(shop, user="twin")
    assert "'twin' is not in notes_v1 yet, and was folded in by the" in listener.notes[0]
    expected = told(shop, user="7")
    assert [row["item"] for row in found] == [row["item"] for row in expected]
    stars = {str(i): s for u, i, s, _ in bought() if u == 7}
    by_items = told(shop, items={item: stars[item] for item in known})
    assert by_items == found
    shop.run()
    published = told(shop, user="twin")
    assert [row["item"] for row in published] == [row["item"] for row in expected]


def test_a_stranger_is_told_by_items(shop: Project) -> None:
    found = told(shop, k=ITEMS, items={"3": None, "9": 2.5})
    assert {"3", "9"} & {row["item"] for row in found} == set()
    assert len(found) == len(scores(shop, np.ones(6, np.float32))) - 2
    plain = told(shop, items={"3": 1.0, "9": 2.5})
    assert found[:5] == plain, "an item that is only named counts 1"
    shop.write(bought((7, "new", 5, "")), HEADER)
    shop.run()
    listener = Heard()
    with listening(listener):
        assert told(shop, items={"3": 1.0, "9": 2.5, "new": 5.0})
    assert "'new' is unknown to the fit of notes_v1, and left out of account" in listener.notes[0]
    with pytest.raises(
        SearchError, match="'new' is unknown to the fit of notes_v1, and there is no"
    ):
        told(shop, items={"new": 5.0})


def test_of_ratings_the_score_is_the_rating_expected(shop: Project) -> None:
    shop.encoder = {"kind": "factors", "feedback": "explicit", "factors": 3}
    shop.run()
    shop.promote(2)
    found = told(shop, k=ITEMS, user="7")
    assert all(1 < row["score"] < 6 for row in found)
    by_name = told(shop, items={"3": None})
    liked = told(shop, items={"3": 5.0})
    disliked = told(shop, items={"3": 1.0})
    assert disliked[0]["score"] < by_name[0]["score"] < liked[0]["score"]
    old = told(shop, user="7", target=1)
    assert old[0]["score"] < found[0]["score"], "version 1 tells no ratings"


def test_current_rows_of_a_history_are_what_counts(shop: Project) -> None:
    shop.feature = {"history": True}
    met = [i for u, i, *_ in bought() if u == 7]
    shop.write([row for row in bought() if row[0] != 7 or row[1] in met[:2]], HEADER)
    shop.run()
    shop.write(bought((7, 39, 5, "2027-01-01")), HEADER)
    shop.run()
    with shop.connect() as con:
        rows = con.sql("FROM notes_history WHERE record_id = 'user:7'").to_arrow_table()
        current = con.sql("FROM notes WHERE record_id = 'user:7'").to_arrow_table().to_pylist()
    assert len(rows) > 1
    assert len(current) == 1
    best = told(shop, user="7", with_seen=True)
    expected = scores(shop, vector(current[0]))
    assert best[0]["item"] == max(expected, key=lambda item: expected[item])


def test_search_ranks_by_dot_product(shop: Project) -> None:
    found = search(shop.settings(), "notes", "id", "user:7", 10).to_pylist()
    rows, query = shop.rows(), vector(shop.rows()["user:7"])
    expected = sorted(
        (k for k in rows if k != "user:7"), key=lambda k: (-float(vector(rows[k]) @ query), k)
    )
    assert [row["record_id"] for row in found] == expected[:10]
    assert {row["side"] for row in found} >= {"item"}
    with pytest.raises(SearchError, match=r"of another space\. Search it with --id$"):
        search(shop.settings(), "notes", "text", "anything", 3)


def test_monitors_know_that_users_may_be_alike(shop: Project) -> None:
    stores, [version] = shop.stores(), shop.versions()
    manifest = stores.catalog.published(version)
    assert manifest is not None
    samples = Samples.for_(stores, version, [])
    assert samples.pair(None, manifest, np.random.default_rng(0))[1].alike


def test_titles_stand_beside(shop: Project) -> None:
    shop.more = TITLES
    (shop.root / "books.csv").write_text(
        "id,title\n" + "".join(f"{n},Book {n}\n" for n in range(0, ITEMS, 2)), encoding="utf-8"
    )
    with pytest.raises(UsageError, match="nothing of books is published; run `vecmill run books`"):
        told(shop, user="7", titles=Titles("books", "title"))
    shop.run(name="books")
    found = told(shop, k=ITEMS, user="7", titles=Titles("books", "title"))
    for row in found:
        assert row["title"] == (None if int(row["item"]) % 2 else f"Book {row['item']}")
    with pytest.raises(SearchError, match="books has no column 'titel'; did you mean 'title'"):
        told(shop, user="7", titles=Titles("books", "titel"))
    with pytest.raises(SearchError, match=r"books holds text vectors.*there are: notes"):
        recommend(shop.settings(), "books", Asked("7"), 3)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (
            {"user": "777"},
            "there is no user '777' in notes_v1, nor in its source; the nearest name",
        ),
        (
            {"items": {"3": None, "399": None}},
            "there is no item '399' in notes_v1; the nearest",
        ),
        ({"items": {}}, "--items names no item"),
        ({}, "takes --user, or --items for somebody"),
        ({"user": "7", "items": {"3": None}}, "takes --user, or --items for somebody"),
        ({"items": {"3": float("nan")}}, "the weight of '3' must be a finite number, got nan"),
        ({"user": "7", "k": 0}, "-k must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_told_is_said(shop: Project, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(SearchError, match=words):
        told(shop, **asked)


def test_a_user_of_whom_nothing_is_known_gets_no_answer(shop: Project) -> None:
    shop.write(bought(("late", "new", 5, "")), HEADER)
    with pytest.raises(SearchError, match="nothing is known of user 'late' by which"):
        told(shop, user="late")
    shop.run()
    with pytest.raises(SearchError, match="nothing is known of user 'late' by which"):
        told(shop, user="late")
    shop.run(refit=True)
    assert told(shop, user="late", target=2)


def test_without_its_source_only_what_is_published_is_told(shop: Project) -> None:
    (shop.root / "notes.csv").unlink()
    with pytest.raises(SourceError, match=r"has met cannot be read: .*--with-seen ranks all items"):
        told(shop, user="7")
    assert told(shop, user="7", with_seen=True)
    with pytest.raises(SourceError, match=r"no file matches 'notes\.csv'"):
        told(shop, user="guest", with_seen=True)


def test_a_feature_without_vectors_is_told(project: Project) -> None:
    with pytest.raises(SearchError, match="notes has no live version yet; run `vecmill run notes`"):
        told(project, user="7")


def test_an_erased_user_is_in_no_file(shop: Project) -> None:
    marked = [("MARK-USER-7", i, s, at) for u, i, s, at in bought() if u == 7]
    shop.write(bought(*marked), HEADER)
    shop.run(refit=True)
    shop.run(target=1)
    shop.write(bought(), HEADER)
    receipt = Eraser(shop.settings(), "notes", ["user:MARK-USER-7"]).erase(Silent())
    assert receipt["proved"]
    assert receipt["still_in_source"]["records"] == 0
    files = [path for path in (shop.root / "data").rglob("*") if path.is_file()]
    assert not [path for path in files if b"MARK-USER-7" in path.read_bytes()]
    assert any("fitted state" in told for told in receipt["not_covered"])


def test_the_command_prints_rows(shop: Project, capsys: pytest.CaptureFixture[str]) -> None:
    shop.settings()
    conf = ["--conf", str(shop.root / "vecmill.toml")]
    assert run_command(["recommend", "notes", "--user", "7", "-k", "2", "--json", *conf]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows == told(shop, k=2, user="7")
    items = ["--items", "3,9=2.5", "--version", "1", "-k", "1"]
    assert run_command(["recommend", "notes", *items, *conf]) == 0
    assert "score" in capsys.readouterr().out
    assert run_command(["recommend", "notes", *conf]) == 2
    assert "takes --user, or --items" in capsys.readouterr().err


def test_items_are_read_as_they_are_written() -> None:
    assert parse_items("3, 7=4.5 ,,x") == {"3": None, "7": 4.5, "x": None}
    assert parse_items('{"a,b": 4, "c=d": null}') == {"a,b": 4.0, "c=d": None}
    for text in ("3=many", "a=b=1"):
        with pytest.raises(SearchError, match=r"takes ids, or ids with weights as 3=4\.5"):
            parse_items(text)
    for text in ('{"3": true}', '{"3": "5"}', '{"3":'):
        with pytest.raises(SearchError, match="takes a JSON object of weights"):
            parse_items(text)
    assert parse_titles("books:title") == Titles("books", "title")
    with pytest.raises(SearchError, match="takes FEATURE:COLUMN, such as books:title, got 'books'"):
        parse_titles("books")
