"""What the log says of runs that cannot speak for themselves: once, by their schedule's name."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun
from prefect.logging.loggers import get_logger
from prefect.settings import PREFECT_LOGGING_TO_API_ENABLED, temporary_settings
from prefect.states import Cancelling, Crashed

from flows.operations import shown

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, str]]]:
    """Levels and messages of Prefect's logger of runs, as they come."""
    found: list[tuple[str, str]] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append((record.levelname, record.getMessage()))

    monkeypatch.setattr(shown, "_ended", threading.Event())
    runner = logging.getLogger("prefect.runner")
    monkeypatch.setattr(runner, "handlers", [Kept()])
    monkeypatch.setattr(runner, "propagate", False)
    monkeypatch.setattr(logging.getLogger("prefect.flow_runs"), "handlers", [Kept()])
    level = runner.level
    yield found
    runner.setLevel(level)


def test_a_crash_is_an_error_and_an_intended_stop_is_told_once(said: list[tuple[str, str]]) -> None:
    run = FlowRun(id=uuid4(), flow_id=uuid4(), name="lucky-collie", parameters={"schedule": "s"})
    with temporary_settings({PREFECT_LOGGING_TO_API_ENABLED: False}):
        shown.cut_short(None, run, Crashed(message="Exited with -9."))
        shown.serving_ends()
        shown.cut_short(None, run, Crashed(message="Exited with -15."))
        shown.cut_short(None, run, Cancelling())
    levels, texts = zip(*said, strict=True)
    assert levels == ("ERROR", "WARNING")
    assert texts[0].startswith("s: its process ended before it was done (Exited with -9)")
    assert texts[1].startswith("s: stopped with `vecmill serve`; ")


def test_how_prefect_ends_what_serves_is_not_told_beside(said: list[tuple[str, str]]) -> None:
    runner = get_logger("runner")
    runner.setLevel(logging.INFO)
    runner.info("Scheduled")
    shown.serving_ends()
    runner.info("Pausing all deployments...")
    get_logger("runner.process_manager").info("Process ended")
    runner.error("not paused")
    assert said == [("INFO", "Scheduled"), ("ERROR", "not paused")]
