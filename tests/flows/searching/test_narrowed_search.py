"""Searches that are narrowed, by words, or both: the right rows, in the right order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from flows.output.progress import Silent, listening
from flows.searching.asked import Asked, answer
from flows.searching.hybrid import fused
from flows.searching.narrowing import ANY, Narrow
from flows.searching.queries import SearchError
from flows.searching.rescoring import search as rescored
from flows.searching.search import search
from flows.searching.unfound import why
from flows.upkeep.gc import Collector
from storage.model import UsageError
from tests.flows.chunked import cut
from tests.flows.plugins.letters import vector_of

if TYPE_CHECKING:
    from tests.flows.project import Project
    from tests.flows.shop import Shop

WORDS = ["wheel", "grain", "flour", "stone", "water", "miller", "sack", "wind"]
ROWS = [(n, f"{WORDS[n % 8]} {WORDS[n // 8 % 8]} {n}", f"label {n % 5}") for n in range(60)]


@pytest.fixture
def filled(project: Project) -> Project:
    project.source = {"keep": ["label", "text"]}
    project.write(ROWS)
    project.run()
    return project


class Hearing(Silent):
    """Keeps what is said."""

    def __init__(self, heard: list[str]) -> None:
        self.heard = heard

    def note(self, message: str) -> None:
        """Keep it."""
        self.heard.append(message)


def ids(project: Project, asked: Asked) -> list[str]:
    found: list[str] = answer(project.settings(), "notes", asked)["record_id"].to_pylist()
    return found


def by_distance(query: str) -> list[int]:
    x = np.array([vector_of(text) for _, text, _ in ROWS])
    q = vector_of(query)
    return [int(n) for n in np.argsort(1 - x @ q / np.linalg.norm(x, axis=1) / np.linalg.norm(q))]


def test_a_condition_holds_before_the_nearest_are_chosen(filled: Project) -> None:
    narrow = Narrow("label = 'label 3' AND record_id <> '8'")
    found = ids(filled, Asked({"text": "a question"}, 4, narrow=narrow))
    true = [n for n in by_distance("a question") if n % 5 == 3 and n != 8]
    assert found == [str(n) for n in true[:4]]
    like = ids(filled, Asked({"id": "7"}, 3, narrow=narrow))
    assert like == [str(n) for n in by_distance(ROWS[7][1]) if n % 5 == 3 and n != 8][:3]


def test_a_condition_over_what_is_not_kept_says_what_is(filled: Project) -> None:
    with pytest.raises(UsageError, match="did you mean 'label'"):
        ids(filled, Asked({"text": "a"}, narrow=Narrow("lable = 'x'")))


def test_words_find_the_texts_that_have_them(filled: Project) -> None:
    found = answer(filled.settings(), "notes", Asked(words="miller sack", column="text", k=60))
    have = [n for n, text, _ in ROWS if {"miller", "sack"} & {*text.split()}]
    assert sorted(map(int, found["record_id"].to_pylist())) == have
    score = found["score"].to_numpy()
    assert (np.diff(score) <= 0).all()
    first = {ROWS[int(n)][1] for n in found["record_id"].to_pylist()[:2]}
    assert all({"miller", "sack"} <= {*text.split()} for text in first)
    assert found.column_names[:2] == ["record_id", "score"]
    narrowed = ids(filled, Asked(words="miller", column="text", narrow=Narrow("label = 'label 0'")))
    assert sorted(map(int, narrowed)) == [
        n for n, text, _ in ROWS if "miller" in text and n % 5 == 0
    ]


@pytest.mark.parametrize("indexed", [False, True], ids=["no index", "an index"])
def test_words_are_the_same_with_an_index_and_without(project: Project, indexed: bool) -> None:  # noqa: FBT001 - a parameter
    project.source = {"keep": ["label", "text"]}
    project.more = '[features.notes.index]\nwords = ["text"]\n' if indexed else ""
    texts = ["Oil prices rise", "the price of OIL", "cafés", "runners running", "The the", ""]
    project.write([(n, text, f"label {n}") for n, text in enumerate(texts)])
    project.run()
    if indexed:
        settings = project.settings()
        Collector(settings, settings.gc, indexes=True).collect(["notes"], Silent())

    def scores(words: str, narrow: Narrow = ANY) -> dict[str, float]:
        asked = Asked(words=words, column="text", narrow=narrow)
        rows = answer(project.settings(), "notes", asked).to_pylist()
        return {row["record_id"]: round(row["score"], 3) for row in rows}

    assert scores("oil") == scores("Oil") == {"1": 0.693, "0": 0.575}
    assert scores("PRICE") == {"1": 0.693, "0": 0.575}
    assert {*scores("cafe")} == {"2"}
    assert {*scores("run")} == {"3"}
    assert scores("the") == {}
    # How rare a word is does not depend on the condition.
    assert scores("oil", Narrow("label = 'label 1'")) == {"1": 0.693}


def test_words_are_looked_for_in_all_texts_unless_one_is_named(project: Project) -> None:
    project.source = {"keep": ["label", "text"]}
    project.write([(1, "wheel", "x"), (2, "grain", "wheel"), (3, "wheel", "wheel"), (4, "a", "b")])
    project.run()
    heard: list[str] = []
    with listening(Hearing(heard)):
        assert sorted(ids(project, Asked(words="wheel"))) == ["1", "2", "3"]
        assert sorted(ids(project, Asked(words="wheel", column="label"))) == ["2", "3"]
    assert heard == ["looking for any of the words in label, text; name one to look in it alone"]
    best = answer(project.settings(), "notes", Asked(words="wheel", k=1))
    assert len(best) == 1


@pytest.mark.parametrize(
    "asked",
    [
        Asked({"text": "a question"}, narrow=Narrow("lable = 'x'")),
        Asked({"text": "a question"}, narrow=Narrow("label = ")),
        Asked({"text": "a question"}, narrow=Narrow("label > 3 AND label < now() - 4")),
        Asked({"text": "a question"}, words="x", column="txt"),
    ],
)
def test_what_narrows_a_search_is_checked_before_anything_is_encoded(
    filled: Project, asked: Asked
) -> None:
    filled.encoded()
    with pytest.raises((UsageError, SearchError)):
        ids(filled, asked)
    assert filled.encoded() == []


def test_a_condition_out_of_range_is_told_the_range(project: Project) -> None:
    project.source = {"keep": ["size"], "types": {"size": "float"}}
    project.write([("a", "x", 1.5), ("b", "y", 20), ("c", "z", "")], ("id", "text", "size"))
    project.run()
    asked = Asked({"text": "x"}, narrow=Narrow("size > 100"))
    assert why(project.settings(), "notes", asked).endswith("; size is from 1.5 to 20")


def test_whoever_finds_no_word_is_told_what_is_not_looked_in(project: Project) -> None:
    project.source = {"content": ["title", "body"], "keep": ["title"]}
    project.write([("a", "wheel", "a rocket"), ("b", "grain", "x")], ("id", "title", "body"))
    project.run()
    told = why(project.settings(), "notes", Asked(words="rocket"))
    assert told.endswith(
        "; not kept, and so not looked in: body; add it to keep in [sources.notes]"
    )
    assert "not kept" not in why(project.settings(), "notes", Asked(words="rocket", column="title"))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (Asked(words="zzz"), "none of the 60 rows of notes has any of the words 'zzz' in label, t"),
        (Asked({"text": "a"}, narrow=Narrow("label = 'y'")), "none of the 60 .* label = 'y'"),
        (
            Asked({"text": "a"}, narrow=Narrow("Label = 'Lable 2'")),
            r"; label holds (label \d, ){4}label \d \(did you mean 'label 2'\?\)$",
        ),
        (
            Asked(
                {"text": "a"}, narrow=Narrow("text = 'x' AND event_time > TIMESTAMP '2026-01-01'")
            ),
            r"; event_time holds nothing; text holds 60 different values, such as \w+ \w+ \d+, ",
        ),
        (
            Asked(words="zzz", column="text", narrow=Narrow("label = 'label 0'")),
            "none of the 12 of 60 rows of notes that meet the condition .* in text;",
        ),
        (Asked({"id": "0"}, narrow=Narrow("record_id = '0'")), "but the record itself among"),
    ],
)
def test_it_is_told_why_nothing_was_found(filled: Project, asked: Asked, told: str) -> None:
    assert ids(filled, asked) == []
    assert re.search(told, why(filled.settings(), "notes", asked))


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (lambda: Asked(words="x", column="txt"), "keeps no text 'txt'; did you mean 'text'"),
        (lambda: Asked(words=" ", column="text"), "the words to search for are empty"),
        (lambda: Asked(column="text"), "--in says where to look for --words"),
        (lambda: Asked(words="x", per_record=True), "cannot be together with --words"),
        (lambda: Asked(words="x", k=0), "-k must be at least 1"),
    ],
)
def test_words_that_cannot_be_looked_for(
    filled: Project,
    asked: object,
    told: str,
) -> None:
    with pytest.raises(SearchError, match=told):
        ids(filled, asked())  # type: ignore[operator] # one of the above


def test_words_need_a_text_that_is_kept(project: Project) -> None:
    project.source = {"keep": []}
    project.write(ROWS[:3])
    project.run()
    with pytest.raises(SearchError, match=r"keeps no text that could be .* keep = \[...\]"):
        ids(project, Asked(words="x"))


def test_both_rankings_are_put_together_by_their_ranks(filled: Project) -> None:
    asked = Asked({"text": "a question"}, 60, "miller", "text")
    found = answer(filled.settings(), "notes", asked)
    near = {str(n): place for place, n in enumerate(by_distance("a question"), 1)}
    worded = ids(filled, Asked(words="miller", column="text", k=60))
    sums = {
        name: 1 / (60 + place) + (1 / (61 + worded.index(name)) if name in worded else 0)
        for name, place in near.items()
    }
    true = sorted(sums, key=lambda name: (-sums[name], name))
    assert found["record_id"].to_pylist() == true
    np.testing.assert_allclose(found["fused"].to_numpy(), sorted(sums.values(), reverse=True))
    scored = {row["record_id"] for row in found.to_pylist() if row["score"] is not None}
    assert scored == {*worded}
    assert found["distance"].null_count == 0
    assert {"label", "text", "run_id"} <= {*found.column_names}


def test_the_record_that_is_searched_by_is_in_neither_ranking(filled: Project) -> None:
    found = ids(filled, Asked({"id": "7"}, 60, words=WORDS[7], column="text"))
    assert sorted(map(int, found)) == [n for n in range(60) if n != 7]


def test_a_row_of_one_ranking_alone_is_found_with_its_columns() -> None:
    keys = {"content_hash": ["h", "i"], "event_time": [None, None]}
    near = pa.table({"record_id": ["a", "b"], "distance": [0.1, 0.2], **keys, "kept": [1, 2]})
    more = {"content_hash": ["i", "j"], "event_time": [None, None]}
    worded = pa.table({"record_id": ["b", "c"], "score": [3.0, 1.0], **more, "kept": [2, 3]})
    found = fused(near, worded, 5).to_pylist()
    assert [row["record_id"] for row in found] == ["b", "a", "c"]
    assert [row["kept"] for row in found] == [2, 1, 3]
    assert [(row["distance"], row["score"]) for row in found] == [
        (0.2, 3.0), (0.1, None), (None, 1.0),
    ]  # fmt: skip


def test_chunks_are_narrowed_and_their_own_record_left_out(project: Project) -> None:
    cut(project)
    project.write([(n, f"{text} and more of it", label) for n, text, label in ROWS])
    project.run()
    narrow = Narrow("label = 'label 2'")
    found = search(project.settings(), "notes", "id", "7", 9, narrow=narrow, per_record=True)
    assert set(found["label"].to_pylist()) == {"label 2"}
    assert found["parent_id"].to_pylist() == [*dict.fromkeys(found["parent_id"].to_pylist())]
    assert len(found) == 9


def test_no_chunk_of_the_record_that_is_searched_by_is_found_by_words(project: Project) -> None:
    project.source = {"keep": ["label", "text"]}
    cut(project)
    project.write(ROWS)
    project.run()
    for query in ("7", "7#0"):
        found = ids(project, Asked({"id": query}, 60, words=WORDS[7], column="text"))
        assert found
        assert not [row for row in found if row.startswith("7#")]


def test_a_history_is_searched_as_it_is_now(project: Project) -> None:
    project.source = {"event_time": "at", "keep": ["label", "text"]}
    project.feature = {"history": True}
    header = ("id", "text", "label", "at")
    project.write([(1, "wheel", "x", "2026-01-01"), (2, "grain", "y", "2026-01-01")], header)
    project.run()
    project.write([(1, "flour", "x", "2026-01-02"), (2, "grain", "y", "2026-01-01")], header)
    project.run()
    assert ids(project, Asked(words="wheel", column="text")) == []
    assert ids(project, Asked(words="flour", column="text")) == ["1"]
    assert ids(project, Asked({"text": "wheel"}, 5, narrow=Narrow("label = 'x'"))) == ["1"]


def test_parts_and_candidates_are_narrowed_too(shop: Shop) -> None:
    shop.bring_up("notes", "photos", "products")
    narrow = Narrow("label <> 'x'")
    settings = shop.settings()
    whole = answer(settings, "products", Asked({"id": "a"}, 5, narrow=narrow))
    part = answer(settings, "products", Asked({"text": "wheel"}, 5, narrow=narrow))
    assert {*whole["label"].to_pylist()} == {*part["label"].to_pylist()} == {"y"}


def test_candidates_are_chosen_among_what_meets_the_condition(project: Project) -> None:
    project.more = (
        '[encoders.small]\nkind = "quantize"\n\n[features.small]\nover = ["notes"]\n'
        'encoder = "small"\n'
    )
    project.write(ROWS)
    project.run()
    project.run(name="small")
    narrow = Narrow("label = 'label 1'")
    found = rescored(project.settings(), "small", {"text": "a question"}, 4, 3, narrow)
    true = [str(n) for n in by_distance("a question") if n % 5 == 1]
    assert found["record_id"].to_pylist() == true[:4]
