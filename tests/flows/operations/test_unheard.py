"""A Prefect server that is not there, or goes away: told in a line, and the run's outcome too."""

from __future__ import annotations

import json
import os
import sys
import threading
from subprocess import Popen
from typing import TYPE_CHECKING

import httpx
import pytest
from prefect.server.api.server import SubprocessASGIServer
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from flows import run
from flows.cli import run_command
from flows.operations import ending, unheard
from flows.operations.recurrence import Recurrence
from flows.output.progress import Silent
from flows.pipeline.refusals import RunError
from flows.runner import _Flows
from storage.model import StorageError
from tests.flows.operations.service import Gateway, Service, wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.flows.operations.service import Served
    from tests.flows.project import Project


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Whether the process is to end without Prefect; these tests are to go on."""
    found = threading.Event()
    monkeypatch.setattr(ending, "_hurried", found)
    return found


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody answers, as Prefect's server here."""
    address = f"http://127.0.0.1:{Service.port()}/api"
    with temporary_settings({PREFECT_API_URL: address}):
        yield address


def test_one_that_is_not_there_is_told_in_a_line(
    project: Project, nobody: str, hurried: threading.Event, capfd: pytest.CaptureFixture[str]
) -> None:
    project.write([("a", "text", "x")])
    assert run_command(["run", "--conf", str(project.settings().conf)]) == 1
    said = capfd.readouterr().err
    assert f"error: notes: Prefect's server at {nobody} does not answer (ConnectError: " in said
    assert "with --direct nothing asks for one" in said
    assert "Traceback" not in said
    assert hurried.is_set(), "or it would try for minutes to tell the server of its end"


def run_and_cut(served: Served) -> tuple[int, str]:
    """Run a project's features, and cut the way to the server as the first is encoded.

    Returns:
        The exit code, and the server's address as it was known.
    """
    ended = threading.Event()
    with Gateway(served.service.api) as gateway:

        def cut() -> None:
            wait(lambda: ended.is_set() or served.encoded() > 16, "some to be encoded")
            gateway.__exit__()

        cutting = threading.Thread(target=cut)
        # Prefect tries for a minute otherwise. A server that is busy is to be asked again.
        with temporary_settings({PREFECT_API_URL: gateway.api, PREFECT_CLIENT_MAX_RETRIES: 2}):
            conf = served.conf('[features.more]\nsource = "notes"\nencoder = "mill"\n')
            cutting.start()
            code = run_command(["run", "--json", "--conf", conf])
        ended.set()
        cutting.join()
    return code, gateway.api


def test_nothing_is_served_where_nobody_answers(
    project: Project,
    nobody: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "INFO")
    project.more = '[schedules.s]\nevery = "30 days"\n'
    assert run_command(["serve", "--conf", str(project.settings().conf)]) == 1
    said = capfd.readouterr().err
    assert f"error: Prefect's server at {nobody}: ConnectError" in said
    assert "Traceback" not in said
    assert ending.SERVED_BY not in os.environ, "a run that this process starts is not served by it"


@pytest.mark.slow
def test_what_a_run_came_to_is_told_though_the_server_has_gone(
    served: Served, hurried: threading.Event, capfd: pytest.CaptureFixture[str]
) -> None:
    served.project.encoder = {"breach": "slow"}
    served.project.feature = {"monitors": ["health"]}
    code, address = run_and_cut(served)
    out, err = capfd.readouterr()
    rows = {row["feature"]: row["status"] for row in map(json.loads, out.splitlines())}
    assert (code, rows) == (0, {"notes": "done", "more": "done"})
    assert len(served.project.rows()) == len(served.project.rows("more")) == 60
    assert err.count(f"Prefect's server at {address} does not answer (ConnectError: ") == 1
    assert "what is left goes on without Prefect" in err
    assert "Traceback" not in err
    assert "Error logging to API" not in err
    assert hurried.is_set()


@pytest.mark.slow
def test_what_a_run_failed_of_is_told_though_the_server_has_gone(
    served: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    served.project.encoder = {"breach": "slow"}
    served.project.feature = {"max_dead": 0.01}
    served.project.write([*served.ROWS, ("bad", "FAIL here", "x"), ("worse", "FAIL there", "x")])
    code, address = run_and_cut(served)
    err = capfd.readouterr().err
    assert code == 1
    assert err.count(f"Prefect's server at {address} does not answer (ConnectError: ") == 1
    assert "max_dead" in err
    assert "start it" not in err


@pytest.mark.parametrize(
    ("known", "limit"),
    [({"gone": True}, None), ({"heard": True}, None), ({"gone": True, "heard": True}, "gpu")],
)
def test_what_is_left_goes_on_without_it_but_where_it_hands_out_slots(
    project: Project, nobody: str, known: dict[str, bool], limit: str | None
) -> None:
    project.write([("a", "text", "x")])
    project.engine = {} if limit is None else {"concurrency_limit": limit}
    flows = _Flows(project.settings(), Silent(), run, **known)
    if limit is None:
        assert flows.embed("notes")["encoded"] == 1
        assert flows.gone
    else:
        with pytest.raises(RunError, match=f"Prefect's server at {nobody} does not answer"):
            flows.embed("notes")


def fail() -> None:
    raise StorageError("the disk is full")


def be_at_fault() -> None:
    assert Recurrence("every", "often").interval


@pytest.mark.parametrize(("work", "why"), [(fail, StorageError), (be_at_fault, ValueError)])
def test_what_a_flow_failed_of_is_found_behind_what_its_telling_failed_of(
    nobody: str, work: Callable[[], None], why: type[Exception]
) -> None:
    def tell() -> None:
        try:
            work()
        except why:
            httpx.get(nobody)  # as Prefect does, to tell of it

    with pytest.raises(httpx.ConnectError) as caught:
        tell()
    assert type(unheard.behind(caught.value)) is why
    with pytest.raises(httpx.ConnectError) as caught:
        httpx.get(nobody)
    assert unheard.behind(caught.value) is None


def test_the_end_of_a_server_that_prefect_has_started_itself_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = SubprocessASGIServer()  # one for the process, so other tests may have started it
    ended = Popen([sys.executable, "-c", "raise SystemExit(7)"])
    ended.wait()
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        monkeypatch.setattr(own, "server_process", None)
        assert run.unanswered() is None
        monkeypatch.setattr(own, "server_process", ended)
        found = run.unanswered()
    assert found is not None
    assert found.why == "the temporary server that Prefect had started has ended with exit code 7"
    assert "do the same again" in found.remedy
