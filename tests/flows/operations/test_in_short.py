"""What the process that serves shows of Prefect's complaints: a line, and none of a lost server."""

from __future__ import annotations

import asyncio
import io
import logging
from contextlib import redirect_stdout

import httpx
import pytest
from prefect.utilities.services import critical_service_loop

from flows.operations import shown

ASKED = httpx.Request("GET", "http://127.0.0.1:1/api")
REFUSED = httpx.ConnectError("All connection attempts failed")
FAULTY = httpx.HTTPStatusError(
    "Server error '500'", request=ASKED, response=httpx.Response(500, request=ASKED)
)


@pytest.mark.parametrize(
    ("error", "said"),
    [(REFUSED, ""), (FAULTY, "httpx.HTTPStatusError: Server error '500'\n")],
    ids=["lost", "faulty"],
)
def test_what_prefect_tries_in_vain_is_a_line(error: httpx.HTTPError, said: str) -> None:
    async def ask() -> None:
        raise error

    out = io.StringIO()
    with redirect_stdout(shown.InShort(out)), pytest.raises(RuntimeError) as raised:
        asyncio.run(critical_service_loop(ask, interval=0, consecutive=2, backoff=1))
    assert out.getvalue() == said
    assert shown.of_connection(raised.value), "it is told by what looks after the server"


def test_what_is_no_trace_is_printed_as_it_is() -> None:
    out = io.StringIO()
    shown.InShort(out).writelines(["a word\n", "\n"])
    assert out.getvalue() == "a word\n"


def test_tries_to_send_events_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record.name)

    monkeypatch.setattr(logging, "raiseExceptions", True)
    monkeypatch.setattr(logging.getLogger(), "handlers", [Kept()])
    shown.without_traces(shown.of_connection)
    for name in ("prefect.events.clients", "prefect.runner"):
        logging.getLogger(name).warning("Unable to connect")
    assert kept == ["prefect.runner"]
    assert not logging.raiseExceptions, "threads that send logs would print each failure"
