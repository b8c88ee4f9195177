"""Statements in processes of their own, which are ended at their time and leave nothing behind."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from flows.ui.processes import Asked, BrokenAnswerError, Processes
from storage.guarded import Limits
from storage.model import UsageError
from storage.query import QueryError
from tests.processes import python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from storage.guarded import Rows

    Ask = Callable[..., Rows]

KNN = {"name": "knn", "required": "feature", "optional": {"k": "1", "query": "NULL"}}
ENDLESS = "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL FROM t SELECT n + 1) SELECT max(n) FROM t"
ONE_CALL = "SELECT length(repeat('x', 1000000000))"


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    found = Processes()
    yield found
    found.close()


def refuses(_: Mapping[str, Any]) -> pa.Table:
    raise UsageError("no such <feature>")


def asked(
    folder: Path,
    statement: str,
    limits: Limits | None = None,
    call: Callable[[Mapping[str, Any]], pa.Table] = refuses,
) -> Asked:
    """A statement over a store of which there is nothing yet."""
    what = {
        "statement": statement, "catalog": str(folder / "catalog.duckdb"), "wait_seconds": 10.0,
        "vectors": str(folder / "vectors"), "functions": [KNN],
    }  # fmt: skip
    return Asked(what, limits or Limits(), call, lambda _: None)


@pytest.fixture(scope="module")
def ask(processes: Processes, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    folder = tmp_path_factory.mktemp("store")
    return lambda *given, **more: processes.answer(asked(folder, *given, **more))


def test_rows_come_as_they_are(ask: Ask) -> None:
    found = ask("SELECT 1 AS n, 'ä' AS t, [0.5::FLOAT] AS v, NULL AS x, '<' AS h FROM range(3)")
    assert found.cut is None
    assert found.table.num_rows == 3
    assert found.table.to_pylist()[0] == {"n": 1, "t": "ä", "v": [0.5], "x": None, "h": "<"}
    assert ask("SELECT 1 AS n WHERE false").table.column_names == ["n"]
    assert ask("FROM range(9)", Limits(rows=3)).cut == "the first 3 rows; there are more"


def test_what_lies_where_the_server_was_started_is_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "__init__.py").write_text("raise SystemExit(3)", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    processes = Processes()
    try:
        assert processes.answer(asked(tmp_path, "SELECT 1 AS n")).table.to_pylist() == [{"n": 1}]
    finally:
        processes.close()


def test_what_is_refused_is_told_in_the_same_words(ask: Ask) -> None:
    with pytest.raises(QueryError, match="no table or view 'nothing'"):
        ask("FROM nothing")
    with pytest.raises(QueryError, match="DROP is not answered here"):
        ask("DROP TABLE runs")
    with pytest.raises(QueryError, match="disabled by configuration"):
        ask("FROM read_text('/etc/hostname')")


def test_what_duckdb_can_stop_is_stopped_by_it(ask: Ask) -> None:
    with pytest.raises(QueryError, match=r"longer than 0\.3 s and was stopped"):
        ask(ENDLESS, Limits(seconds=0.3))


def test_one_call_over_a_huge_value_is_ended_at_its_time(ask: Ask) -> None:
    with pytest.raises(QueryError, match=r"longer than 0\.3 s and was stopped"):
        ask(ONE_CALL, Limits(seconds=0.3))


def test_one_call_holds_no_more_than_it_may(ask: Ask) -> None:
    with pytest.raises(QueryError, match=r"more memory than a statement may|more than 0\.2 GB"):
        ask("SELECT length(repeat('x', 3000000000))", Limits(memory=200_000_000))


def test_a_function_is_answered_by_the_server(ask: Ask) -> None:
    seen: list[Mapping[str, Any]] = []

    def call(told: Mapping[str, Any]) -> pa.Table:
        seen.append(told)
        return pa.table({"record_id": ["a", "b"]})

    found = ask("SELECT count(*) AS n FROM knn('notes', query := [0.5, 1.5])", call=call)
    assert found.table.to_pylist() == [{"n": 2}]
    assert seen == [
        {"name": "knn", "given": {"feature": "notes", "k": 1, "query": [0.5, 1.5]},
         "shown": [], "missing": {}}
    ]  # fmt: skip
    with pytest.raises(QueryError, match="no such <feature>"):
        ask("FROM knn('other')")


def test_a_fault_of_ours_is_one_here_too(processes: Processes, tmp_path: Path) -> None:
    broken = asked(tmp_path, "SELECT 1")
    with pytest.raises(BrokenAnswerError) as raised:
        processes.answer(Asked({**broken.what, "functions": [{}]}, *_rest(broken)))
    assert "Traceback" in raised.value.__notes__[0]


def _rest(given: Asked) -> tuple[Any, ...]:
    return given.limits, given.call, given.note


def running(processes: Processes, folder: Path, errors: list[Exception]) -> threading.Thread:
    """A statement without end, from the moment that it is at work."""
    begun = threading.Event()

    def call(_: Mapping[str, Any]) -> pa.Table:
        begun.set()
        return pa.table({"m": [1]})

    def work() -> None:
        try:
            processes.answer(asked(folder, f"{ENDLESS}, knn('notes')", call=call))
        except QueryError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(120)
    return thread


def children() -> set[str]:
    """The processes that answer, of this one."""
    asked = ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())]
    found = subprocess.run(asked, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    return {line for line in found.stdout.splitlines() if "flows.ui.answerer" in line}


def test_nothing_is_left_when_the_server_is_killed(tmp_path: Path) -> None:
    code = """if True:
        import sys
        from pathlib import Path
        from flows.ui.processes import Processes
        from tests.flows.ui import test_processes as of
        of.running(Processes(), Path(sys.argv[1]), [])
        print(*(line.split()[0] for line in of.children()), flush=True)
    """
    server = python(code, tmp_path)
    assert server.stdout is not None
    (pid,) = map(int, server.stdout.readline().split())
    server.kill()
    server.communicate()
    end = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < end, "the statement goes on without a server"
        time.sleep(0.05)


def test_nothing_is_left_when_the_server_ends(tmp_path: Path) -> None:
    before, errors = children(), list[Exception]()
    own = Processes()
    thread = running(own, tmp_path, errors)
    own.warm()
    assert len(children() - before) == 2, errors
    own.close()
    thread.join(60)
    assert not thread.is_alive()
    assert "has ended (-9)" in str(errors[0])
    assert children() <= before
    with pytest.raises(QueryError, match="the server is ending"):
        own.answer(asked(tmp_path, "SELECT 1"))
