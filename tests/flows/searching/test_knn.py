"""knn() in SQL, and sessions in Python: searches as tables, over one published moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import flows
from flows.searching.narrowing import ANY, Narrow
from flows.searching.queries import SearchError
from flows.searching.search import search
from storage.model import UsageError
from storage.query import QueryError
from tests.flows.plugins.letters import vector_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.flows.project import Project

ROWS = [(n, f"text {n}", f"label {n % 4}") for n in range(40)]


@pytest.fixture
def session(project: Project) -> Iterator[flows.Session]:
    project.source = {"keep": ["label", "text"]}
    project.write(ROWS)
    project.run()
    with flows.connect(project.settings().conf) as session:
        yield session


def nearest(project: Project, k: int, narrow: Narrow = ANY) -> list[str]:
    rows = search(project.settings(), "notes", "text", "a question", k, narrow=narrow)
    found: list[str] = rows["record_id"].to_pylist()
    return found


def ids(session: flows.Session, statement: str) -> list[str]:
    found: list[str] = session.sql(statement)["record_id"].to_pylist()
    return found


@pytest.mark.parametrize(
    "call",
    [
        "FROM knn('notes', 'a question', 5)",
        "SELECT knn.* FROM knn('notes', 'a question', k := 5) ORDER BY knn.distance",
        "SELECT k.record_id FROM knn('notes', text := 'a question', k := 2 + 3) AS k",
        "select n.record_id from \"KNN\" ('notes_v1', 'a question', 5) n -- knn(\nlimit 5",
        "WITH near AS (FROM Knn('notes', /* knn(' */ 'a question', 5)) FROM near",
        "CREATE TEMP TABLE kept AS FROM knn('notes', 'a question', 5); FROM kept ORDER BY distance",
    ],
)
def test_a_call_is_a_table_of_what_a_search_finds(
    project: Project, session: flows.Session, call: str
) -> None:
    assert ids(session, call) == nearest(project, 5)


def test_queries_may_be_vectors_records_words_and_narrowed(
    project: Project, session: flows.Session
) -> None:
    vector = "(SELECT vector FROM notes WHERE record_id = '7')"
    assert ids(session, f"FROM knn('notes', {vector}, 1)") == ["7"]
    assert "7" not in ids(session, "FROM knn('notes', id := '7', k := 39)")
    assert ids(session, "FROM knn('notes', words := '17', field := 'text')") == ["17"]
    narrow = Narrow("label = 'label 2'")
    call = "FROM knn('notes', 'a question', 3, filter := 'label = ''label 2''')"
    assert ids(session, call) == nearest(project, 3, narrow)


def test_it_joins_features_the_catalog_and_files_of_ones_own(
    session: flows.Session, tmp_path: Path
) -> None:
    pl.DataFrame({"id": ["7", "8"], "price": [3, 4]}).write_csv(tmp_path / "prices.csv")
    pl.DataFrame({"id": ["7", "9"], "stock": [1, 0]}).write_parquet(tmp_path / "stock.parquet")
    found = session.polars(
        f"""SELECT k.record_id, n.label, p.price, s.stock, r.status, o.record_id AS other
        FROM knn('notes', 'text 7', 40) k JOIN notes n USING (record_id)
        JOIN '{tmp_path}/prices.csv' p ON p.id::VARCHAR = k.record_id
        LEFT JOIN '{tmp_path}/stock.parquet' s ON s.id = k.record_id
        JOIN runs r ON r.run_id = n.run_id
        JOIN knn('notes', 'text 8', 1) o ON o.record_id <> k.record_id
        ORDER BY k.distance"""  # noqa: S608 - ours
    )
    assert found.to_dicts() == [
        {
            "record_id": "7",
            "label": "label 3",
            "price": 3,
            "stock": 1,
            "status": "done",
            "other": "8",
        }
    ]


def test_conditions_reach_the_scan_beside_a_call(session: flows.Session) -> None:
    plan = session.sql(
        "EXPLAIN SELECT n.label FROM knn('notes', 'a', 3) k, notes n WHERE n.record_id = '3'"
    )["explain_value"][0].as_py()
    assert "\"record_id\"='3'" in plan.replace(" ", "")
    assert "vector" not in plan


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("FROM knn('notse', 'a')", "knn\\(\\) finds no vectors of 'notse'; did you mean 'notes'"),
        ("FROM knn('notes')", "knn\\(\\) needs a query"),
        ("FROM knn('notes', 'a', 0)", "-k must be at least 1, got 0"),
        ("FROM knn('notes', image := 'a.png')", "holds text vectors"),
        ("FROM knn('notes', [1, 2, 3])", r"8 wide, the query of knn\(\) has the shape \(3,\)"),
        ("FROM knn('notes', [['a']])", "takes a text or a vector"),
        ("FROM knn('notes', 'a', 'b')", "takes a whole number as its k, got 'b'"),
        ("FROM knn('notes', 'a', k := NULL)", "takes a whole number as its k, got None"),
        ("FROM knn('notes', 'a', filter := 3)", "takes a text as its filter, got 3"),
        ("FROM knn('notes', words := 3)", "takes a text as its words, got 3"),
        ("FROM knn('notes', 'a', exact := 'no')", "takes true or false as its exact, got 'no'"),
    ],
)
def test_a_call_that_cannot_be_answered(session: flows.Session, statement: str, told: str) -> None:
    with pytest.raises(SearchError, match=told):
        session.sql(statement)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("FROM knn('notes', filtre := 'b')", r"knn\('notes', filtre := 'b'\) cannot be called: "),
        ("FROM knn('notes', filtre := 'b')", "no argument 'filtre'; did you mean 'filter'"),
        ("FROM knn('notes', filtre := 'b')", r"\nIt takes knn\(feature, query, k := 10, filter, "),
        ("FROM knn('notes', 'a', k = 3)", "an argument is named with :=, as in k := "),
        ("FROM knn('notes', nope)", "'nope' stands there as a column, .* wants quotes: 'nope'"),
        ("FROM knn()", r"knn\(\) cannot be called: it needs a feature"),
        ("FROM knn('notes', 'a', k := 1, k := 2)", "cannot be called: "),
        (f"FROM knn({', '.join('1' * 15)})", "it takes 14 arguments at most"),
        ("SELECT knn.lable FROM knn('notes', 'a')", "no column 'lable' .*; did you mean 'label'"),
        ("SELECT a.lable FROM notes a", "no column 'lable' .*; did you mean 'label'"),
        ("FROM knn('notes', 'a'", "Parser Error"),
        ("SELECT knn('notes', 'a')", "is a table and stands where tables do"),
        ("FROM knn('notes', 'a', filter := 'lable = 1')", "did you mean 'label'"),
    ],
)
def test_a_call_that_makes_no_sense(session: flows.Session, statement: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        session.sql(statement)


def test_no_name_of_ours_is_told_of_or_listed(session: flows.Session) -> None:
    session.sql("FROM knn('notes', 'a')")
    names = session.sql("SHOW TABLES")["name"].to_pylist()
    assert {"notes", "notes_v1", "runs"} <= {*names}
    assert not [name for name in names if name.startswith(("vecmill", "knn"))]
    with pytest.raises(QueryError) as refused:
        session.sql("SELECT nope + 1 FROM knn('notes', 'a') JOIN knn('notes', 'b') b ON nope")
    assert "vecmill" not in str(refused.value)


def test_a_view_over_a_call_stays_what_it_is(session: flows.Session) -> None:
    session.sql("CREATE VIEW near AS FROM knn('notes', id := '7', k := 3)")
    before = session.sql("FROM near").to_pylist()
    assert session.sql("FROM knn('notes', id := '8', k := 3)").to_pylist() != before
    assert session.sql("FROM near").to_pylist() == before


def test_what_is_called_like_it_is_left_alone(session: flows.Session) -> None:
    statement = "SELECT 'knn(''notes'')' AS a, knn FROM (VALUES (1)) t(knn) -- knn("
    assert session.sql(statement).to_pylist() == [{"a": "knn('notes')", "knn": 1}]


def test_a_session_shows_one_moment_until_it_is_refreshed(
    project: Project, session: flows.Session
) -> None:
    project.write([*ROWS, (99, "a question", "new")])
    project.run()
    assert ids(session, "FROM knn('notes', 'a question', 1)") == nearest(project, 2)[1:]
    assert session.search("notes", "a question", 1)["record_id"].to_pylist() != ["99"]
    session.refresh()
    assert ids(session, "FROM knn('notes', 'a question', 1)") == ["99"]
    first = project.runs()[0]["run_id"]
    with flows.connect(project.settings().conf, as_of=first) as before:
        assert ids(before, "FROM knn('notes', 'a question', 1)") == nearest(project, 2)[1:]


def test_rows_come_as_arrow_and_as_polars_without_a_copy(session: flows.Session) -> None:
    table = session.sql("SELECT record_id, vector FROM notes ORDER BY record_id::INTEGER")
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 8)
    frame = session.polars("SELECT vector FROM notes ORDER BY record_id::INTEGER")
    assert frame.schema["vector"] == pl.Array(pl.Float32, 8)
    np.testing.assert_array_equal(frame["vector"].to_numpy()[3], vector_of("text 3"))
    whole = table.combine_chunks().column("vector").chunk(0).flatten()
    address = pl.Series(whole).to_arrow().buffers()[1].address
    assert address == whole.buffers()[1].address, "Polars has copied the vectors"


def test_a_search_in_python_takes_what_knn_takes(project: Project, session: flows.Session) -> None:
    found = session.search("notes", "a question", 4, filter="label = 'label 1'")
    assert found["record_id"].to_pylist() == nearest(project, 4, Narrow("label = 'label 1'"))
    assert session.search("notes", vector_of("text 9"), 1)["record_id"].to_pylist() == ["9"]
    with pytest.raises(TypeError, match="search takes no 'filtre'; did you mean 'filter'"):
        session.search("notes", "a", filtre="x")


def test_a_row_that_fails_is_told_of_in_our_words(session: flows.Session) -> None:
    with pytest.raises(QueryError, match="Conversion Error"):
        session.sql("SELECT label::INTEGER FROM notes")
