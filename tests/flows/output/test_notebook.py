"""Sessions and tables as notebooks show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

import flows
from flows.output.notebook import html, show_tables_as_html
from storage.query import QueryError

if TYPE_CHECKING:
    from tests.flows.project import Project


def test_a_table_is_rows_of_html_in_which_nothing_is_markup() -> None:
    webp = b"RIFF\0\0\0\0WEBPVP8 "
    columns = [["<b>", None], [0.25, 1e6], [[1.0, 2.0, 3.0, 4.0, 5.0], None], [webp, None]]
    table = pa.table(columns, ["a", "a", "vector", "thumbnail"])
    shown = html(table)
    assert "<td>&lt;b&gt;</td><td>0.25</td><td>[1, 2, 3, … of 5]</td>" in shown
    assert '<img src="data:image/webp;base64,UklGR' in shown
    assert shown.count("<th>a</th>") == 2
    assert shown.endswith("<p>2 rows</p>")


def test_of_many_rows_the_first_are_shown_and_of_long_texts_the_beginning() -> None:
    shown = html(pa.table({"n": range(1000), "text": ["x" * 5000] * 1000}))
    assert shown.count("<tr>") == 21
    assert len(shown) < 8000
    assert "the first 20 of 1,000 rows" in shown


def test_a_session_shows_what_can_be_asked_and_says_that_it_is_closed(project: Project) -> None:
    project.write([("a", "wheel", "x"), ("b", "grain", "y")])
    project.run()
    with flows.connect(project.settings().conf) as session:
        assert repr(session) == "<Vecmill session: notes; now>"
        assert "<td>notes</td><td>1</td><td>2</td><td>letters</td>" in session._repr_html_()
        session.refresh()
        assert "notes" in repr(session)
        found = session.search("notes", "wheel", 1)
    assert found["record_id"].to_pylist() == ["a"], "what it gave stays"
    assert repr(session) == session._repr_html_() == "<Vecmill session: closed; now>"
    with pytest.raises(QueryError, match="this session is closed"):
        session.sql("FROM notes")
    with pytest.raises(QueryError, match="this session is closed"):
        session.search("notes", "wheel")


def test_a_notebook_shows_tables_so() -> None:
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    notebook = shell.instance()
    try:
        show_tables_as_html()
        data, _ = notebook.display_formatter.format(pa.table({"n": [3]}))
    finally:
        shell.clear_instance()
    assert "<td>3</td>" in data["text/html"]
