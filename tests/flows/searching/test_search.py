"""Search: the true nearest, in the version's own space, or an error that says why not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.searching.queries import SearchError
from flows.searching.search import search
from flows.sources.base import SourceError
from tests.encoders.conftest import save_sentence_model
from tests.flows.plugins.letters import vector_of
from tests.flows.topics import texts, topical

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.flows.project import Project

ROWS = [(n, f"text {n}", f"label {n}") for n in range(40)]


def distances(metric: str, query: str) -> NDArray[np.float64]:
    """Distances of all rows to a query, as `storage.vectors.Vectors.nearest` defines them."""
    x = np.array([vector_of(text) for _, text, _ in ROWS], np.float64)
    q = vector_of(query).astype(np.float64)
    if metric == "l2":
        return np.asarray(((x - q) ** 2).sum(axis=1))
    if metric == "dot":
        return np.asarray(1 - x @ q)
    return np.asarray(1 - x @ q / np.linalg.norm(x, axis=1) / np.linalg.norm(q))


@pytest.mark.parametrize("metric", ["cosine", "l2", "dot"])
def test_the_nearest_come_first_and_exactly(project: Project, metric: str) -> None:
    project.encoder = {"metric": metric}
    project.write(ROWS)
    project.run()
    found = search(project.settings(), "notes", "text", "a question", 7)
    true = distances(metric, "a question")
    assert found["record_id"].to_pylist() == [str(n) for n in np.argsort(true)[:7]]
    np.testing.assert_allclose(found["distance"].to_numpy(), np.sort(true)[:7], atol=1e-5)
    assert found.column_names[:2] == ["record_id", "distance"]
    assert {"label", "content_hash"} <= {*found.column_names}
    assert "vector" not in found.column_names
    like = search(project.settings(), "notes", "id", "11", 50)["record_id"].to_pylist()
    order = [str(n) for n in np.argsort(distances(metric, "text 11")) if n != 11]
    assert like == order


def test_a_record_leaves_itself_out_but_not_its_twins(project: Project) -> None:
    project.write([("it's", "wheel", "x"), ("b", "wheel", "x"), ("c", "grain", "x")])
    project.run()
    found = search(project.settings(), "notes", "id", "it's", 2)
    assert found["record_id"].to_pylist() == ["b", "c"]


def test_a_kept_column_may_be_called_distance(project: Project) -> None:
    project.write([("a", "wheel", 3), ("b", "grain", 4)], ("id", "text", "distance"))
    project.source = {"keep": ["distance"]}
    project.run()
    found = search(project.settings(), "notes", "text", "wheel", 2)
    assert found["distance"][0].as_py() == pytest.approx(0, abs=1e-6)
    assert found["distance_1"].to_pylist() == [3, 4]


def test_an_empty_table_has_nothing_near(project: Project) -> None:
    project.write([])
    project.run()
    assert len(search(project.settings(), "notes", "text", "wheel", 3)) == 0


@pytest.mark.parametrize(
    ("modality", "query", "k", "told"),
    [
        ("text", "wheel", 0, "-k must be at least 1, got 0"),
        ("image", "a.jpg", 3, "holds text vectors .* another space. Search it with --text or --id"),
        ("row", "{}", 3, "query by row would be of another space"),
        ("text", " \n", 3, "the query text is empty"),
        ("text", "NAN", 3, "the encoder returned NaN or infinity"),
        ("id", "nobody", 3, "notes has no record 'nobody'"),
        ("id", "' OR ''='", 3, "has no record"),
    ],
)
def test_a_query_that_does_not_fit_is_refused(
    project: Project, modality: str, query: str, k: int, told: str
) -> None:
    project.write(ROWS[:3])
    project.run()
    with pytest.raises(SearchError, match=told):
        search(project.settings(), "notes", modality, query, k)


def test_nothing_is_searched_before_it_is_published(project: Project) -> None:
    project.write(ROWS)
    with pytest.raises(SearchError, match="no live version yet; run `vecmill run notes`"):
        search(project.settings(), "notes", "text", "wheel", 3)
    project.source = {"path": "gone.csv"}
    with pytest.raises(SourceError, match="no file matches"):
        project.run()
    [run] = project.runs()
    told = "notes has no live version yet: its last run failed just now: no file matches "
    with pytest.raises(SearchError, match=f"{told}.*; see `vecmill logs {run['run_id']}`"):
        search(project.settings(), "notes", "text", "wheel", 3)


def test_an_encoder_that_has_changed_is_named_and_refused(project: Project) -> None:
    project.write(ROWS[:3])
    project.run()
    with project.stores().catalog._file.write() as con:  # noqa: SLF001 - a change behind our back
        con.execute("UPDATE versions SET params = json_merge_patch(params, '{\"revision\": 2}')")
    with pytest.raises(SearchError, match=r"notes_v1 was made by .*: revision was 1, is 2"):
        search(project.settings(), "notes", "text", "wheel", 3)
    assert len(search(project.settings(), "notes", "id", "1", 3)) == 2


def test_a_row_finds_itself(project: Project) -> None:
    project.source = {"content": ["size", "day"], "keep": []}
    project.encoder = {"kind": "tabular"}
    rows = [(n, n * 1.5, f"2026-01-{n + 1:02}") for n in range(20)]
    project.write(rows, ("id", "size", "day"))
    project.run()
    query = json.dumps({"size": 6, "day": "2026-01-05"})
    found = search(project.settings(), "notes", "row", query, 1)
    assert found.to_pylist()[0]["record_id"] == "4"
    assert found["distance"][0].as_py() == pytest.approx(0, abs=1e-9)
    for wrong in ("[1]", "{", "3"):
        with pytest.raises(SearchError, match="--row takes a JSON object"):
            search(project.settings(), "notes", "row", wrong, 1)
    with pytest.raises(SearchError, match="column 'day' wants date, got 'soon'"):
        search(project.settings(), "notes", "row", '{"size": 1, "day": "soon"}', 1)
    with pytest.raises(SearchError, match=r"does not fit notes_v1: there is no column 'day'"):
        search(project.settings(), "notes", "row", '{"size": 1}', 1)


def asking(project: Project, prompt: str) -> dict[str, str]:
    return {"kind": "asking", "log": str(project.root / "log"), "query_prompt": prompt}


def nearest(project: Project, query: str) -> str:
    found: str = search(project.settings(), "notes", "text", query, 1)["record_id"][0].as_py()
    return found


def test_a_query_is_encoded_as_one(project: Project) -> None:
    project.encoder = asking(project, "text ")
    project.write(ROWS)
    project.run()
    assert nearest(project, "17") == "17"
    assert search(project.settings(), "notes", "text", "17", 1)["distance"][0].as_py() < 1e-6


def test_another_prompt_for_queries_counts_at_once_and_encodes_nothing(project: Project) -> None:
    project.encoder = asking(project, "another ")
    project.write(ROWS)
    project.run()
    project.encoder = asking(project, "text ")
    assert nearest(project, "17") == "17"
    assert project.plan().counts.encoded == 0
    assert project.run().counts.encoded == 0
    assert len(project.versions()) == 1


def test_queries_of_an_older_version_keep_its_prompt(project: Project) -> None:
    project.encoder = asking(project, "text ")
    project.write(ROWS)
    project.run()
    project.encoder = asking(project, "another ") | {"dim": "4"}
    assert nearest(project, "17") == "17"


def test_an_encoder_as_configured_that_is_not_here_stops_no_search(project: Project) -> None:
    project.encoder = {"kind": "sentence", "model": "sentence-tiny"}
    project.write([("a", "the mill", "x"), ("b", "a cat", "x")])
    save_sentence_model(project.root / "sentence-tiny")
    project.run()
    project.encoder = {"kind": "sentence", "model": "./gone"}
    assert nearest(project, "mill") == "a"


def test_a_query_of_unknown_words_has_no_place(project: Project) -> None:
    topical(project, texts(30)).run()
    settings = project.settings()
    assert len(search(settings, "notes", "text", "milla", 3)) == 3
    with pytest.raises(SearchError, match=r"none of the query's words is known to notes_v1 \('lsa"):
        search(settings, "notes", "text", "rocket moon", 3)
