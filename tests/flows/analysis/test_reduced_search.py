"""Smaller vectors of a feature, searched and rescored by the whole ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.analysis import reduced
from flows.cli import run_command
from flows.lifecycle import promotion as lifecycle
from flows.output.progress import Silent, listening
from flows.pipeline.scope import Scope
from flows.searching import rescoring
from flows.searching.queries import SearchError
from flows.searching.search import search
from flows.upkeep.gc import Collector
from storage.model import UsageError
from tests.flows.analysis.reducing import (
    NONE_STAYS,
    REDUCED,
    WIDE,
    N,
    brute,
    configure,
    found,
    ids,
    texts,
)
from tests.flows.shop import Heard

if TYPE_CHECKING:
    from tests.flows.project import Project


@pytest.mark.parametrize("name", REDUCED)
def test_a_query_goes_through_the_parents_encoder_and_then_through_its_own(
    notes: Project, name: str
) -> None:
    by_text = found(search(notes.settings(), name, "text", "text 7", N))
    assert by_text[0][0] == "r07"
    assert by_text[0][1] == pytest.approx(0, abs=2e-4)
    by_id = found(search(notes.settings(), name, "id", "r07", N))
    assert [one for _, one in by_id] == pytest.approx([one for _, one in by_text[1:]], abs=2e-4)
    assert len(by_id) == N - 1


@pytest.mark.parametrize("name", REDUCED)
@pytest.mark.parametrize("query", [{"text": "another text"}, {"id": "r07"}])
def test_rescored_over_all_a_search_is_that_of_the_whole_vectors(
    notes: Project, name: str, query: dict[str, str]
) -> None:
    [(modality, asked)] = query.items()
    expected = found(search(notes.settings(), "notes", modality, asked, 12))
    with listening(heard := Heard()):
        table = rescoring.search(notes.settings(), name, query, 12, N)
    rescored = found(table)
    assert [one for one, _ in rescored] == [one for one, _ in expected]
    np.testing.assert_allclose([d for _, d in rescored], [d for _, d in expected], atol=1e-6)
    assert heard.notes == ["distances are those of notes_v1, by cosine"]
    plain = search(notes.settings(), name, modality, asked, 12)
    assert table.schema.names == plain.schema.names
    assert table["run_id"].to_pylist() == [notes.rows(name)["r01"]["run_id"]] * 12


def test_rows_that_go_by_other_ids_end_the_way_down(project: Project) -> None:
    project.write([(f"r{i}", f"text {i}", f"name {i}") for i in range(20)])
    project.encoder |= {"dim": WIDE}
    over = '["notes"]\nencoder = "first"'
    named = '[{ feature = "notes", id = "label" }]\nencoder = "first"'
    again = '[{ feature = "short", id = "label" }]\nencoder = "bits"'
    for short, shortest, whole in ((named, '["short"]\nencoder = "bits"', "notes_v1"),
                                   (over, again, "short_v1")):  # fmt: skip
        configure(project)
        project.more = project.more.replace(over, short)
        project.more = project.more.replace('["short"]\nencoder = "bits"', shortest)
        for name in ("notes", "short", "shortest"):
            project.run(name=name, scope=Scope(allow_deletes=True))
        with listening(heard := Heard()):
            table = rescoring.search(project.settings(), "shortest", {"text": "text 3"}, 20, 1)
        assert heard.notes == [f"distances are those of {whole}, by cosine"]
        assert ids(table)[0] == "name 3"
        assert sorted(ids(table)) == sorted(f"name {i}" for i in range(20))


def test_rescoring_puts_candidates_in_order_and_adds_none(notes: Project) -> None:
    candidates = ids(search(notes.settings(), "tiny", "text", "text 3", 10))
    order = ids(search(notes.settings(), "notes", "text", "text 3", N))
    some = rescoring.search(notes.settings(), "tiny", {"text": "text 3"}, 5, 2)
    assert ids(some) == [one for one in order if one in set(candidates)][:5]


def test_rescoring_goes_by_the_vectors_that_the_version_was_made_of(notes: Project) -> None:
    old = found(search(notes.settings(), "notes", "text", "text 3", 5))
    notes.encoder |= {"revision": 2}
    notes.run()
    lifecycle.promote(notes.settings(), "notes", 2)
    assert found(search(notes.settings(), "notes", "text", "text 3", 5)) != old
    rescored = found(rescoring.search(notes.settings(), "tiny", {"text": "text 3"}, 5, N))
    assert [one for one, _ in rescored] == [one for one, _ in old]
    np.testing.assert_allclose([d for _, d in rescored], [d for _, d in old], atol=1e-6)
    lifecycle.retire(notes.settings(), "notes", 1)
    Collector(notes.settings(), NONE_STAYS).collect(["notes"], Silent())
    assert len(rescoring.search(notes.settings(), "tiny", {"id": "r03"}, 4, N)) == 4


def test_records_that_are_gone_from_the_whole_are_left_out(notes: Project) -> None:
    notes.write(texts()[:-3])
    notes.run()
    table = rescoring.search(notes.settings(), "tiny", {"text": "x"}, N, 1)
    assert sorted(ids(table)) == [one for one, _, _ in texts()[:-3]]
    with pytest.raises(SearchError, match="notes has no record 'r59'"):
        rescoring.search(notes.settings(), "tiny", {"id": "r59"}, 3, 4)
    with pytest.raises(SearchError, match="tiny has no record 'r99'"):
        rescoring.search(notes.settings(), "tiny", {"id": "r99"}, 3, 4)


@pytest.mark.parametrize(("kind", "history"), [("str", False), ("int", True), ("date", False)])
def test_records_that_go_by_a_column_of_the_parent(
    project: Project,
    kind: str,
    history: bool,  # noqa: FBT001 - a parameter
) -> None:
    values = {
        "str": lambda i: f"name {i}",
        "int": lambda i: str(1000 - i),
        "date": lambda i: f"2026-01-{1 + i:02d}",
    }
    project.source |= {"keep": ["Part of"], "types": {"Part of": kind}, "event_time": "at"}
    project.feature |= {"history": history}
    header = ("id", "text", "Part of", "at")
    configure(project, '{ feature = "notes", id = "Part of" }')
    for day, text in ((1, "was"), (2, "text")):
        rows = [(f"r{i}", f"{text} {i}", values[kind](i), f"2026-02-{day:02d}") for i in range(20)]
        project.write(rows, header)
        project.run()
    project.run(name="tiny")
    expected = found(search(project.settings(), "notes", "text", "text 3", 5))
    names = {f"r{i}": values[kind](i) for i in range(20)}
    rescored = found(rescoring.search(project.settings(), "tiny", {"text": "text 3"}, 5, 20))
    assert [one for one, _ in rescored] == [names[one] for one, _ in expected]
    like = rescoring.search(project.settings(), "tiny", {"id": values[kind](3)}, 4, 20)
    assert ids(like) == [names[one] for one, _ in expected[1:]]
    measured = reduced.measure(project.settings(), "tiny")
    assert measured.queries == 20
    assert measured.recalls[-1].mean == 1


def test_of_a_history_what_records_are_now_counts(project: Project) -> None:
    project.source |= {"event_time": "label"}
    project.feature |= {"history": True}
    configure(project)
    for day, revised in ((1, "text"), (2, "other")):
        project.write([(f"r{i:02d}", f"{revised} {i}", f"2026-01-{day:02d}") for i in range(20)])
        project.run()
    project.run(name="tiny")
    expected = found(search(project.settings(), "notes", "text", "other 3", 20))
    rescored = found(rescoring.search(project.settings(), "tiny", {"text": "other 3"}, 20, 1))
    assert [one for one, _ in rescored] == [one for one, _ in expected]
    np.testing.assert_allclose([d for _, d in rescored], [d for _, d in expected], atol=1e-6)
    measured = reduced.measure(project.settings(), "tiny").recalls
    assert measured[-1].mean == 1
    assert measured[0].mean == pytest.approx(brute(project, "tiny", "notes", 1), abs=0.05)


def test_what_cannot_be_rescored(notes: Project, capsys: pytest.CaptureFixture[str]) -> None:
    settings = notes.settings()
    with pytest.raises(UsageError, match="notes is over a source, and only what is over one"):
        rescoring.search(settings, "notes", {"text": "x"}, 3, 4)
    with pytest.raises(SearchError, match="--rescore must be at least 1, got 0"):
        rescoring.search(settings, "tiny", {"text": "x"}, 3, 0)
    with pytest.raises(SearchError, match="notes takes no such query; search by --id"):
        rescoring.search(settings, "tiny", {}, 3, 4)
    with pytest.raises(SearchError, match=r"no part .* by row; its parts: short \(--text\)"):
        rescoring.search(settings, "shortest", {"row": "{}"}, 3, 4)
    conf = ["--conf", str(settings.conf)]
    asked = ["search", "tiny", "--id", "r01", "--of", "small", "--rescore", "4"]
    assert run_command([*asked, *conf]) == 2
    assert "leave --of out" in capsys.readouterr().err
