"""Runs over an encoder behind an endpoint: nothing that was paid for is lost, or paid for again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.cli import run_command
from flows.engines.engine import Direct
from flows.pipeline import fitting
from flows.pipeline.refusals import RunError
from storage.ids import hash_text
from storage.staging import staged_files, staged_hashes
from tests.encoders.endpoints import DIM, Asked, Endpoint, Reply, endpoint, tokens_of, units_of
from tests.flows.project import Project, vector
from tests.processes import python

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TEXTS = [f"mill {n} stone" for n in range(40)]
KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def server() -> Iterator[Endpoint]:
    with endpoint() as found:
        yield found


@pytest.fixture
def project(tmp_path: Path, server: Endpoint) -> Iterator[Project]:
    keys: dict[str, Any] = {"kind": "remote", "url": server.openai, "model": "drawn", "dim": DIM}
    keys |= {"batch_size": 4, "concurrency": 2, "backoff": 0.01, "retries": 2}
    keys |= {"price_per_million_tokens": 250_000.0, "currency": "EUR"}
    project = Project(tmp_path, encoder=keys)
    write(project, TEXTS)
    yield project
    fitting.forget()


def write(project: Project, texts: Sequence[str]) -> None:
    project.write([(n, text, "x") for n, text in enumerate(texts)])


def check(project: Project, texts: Sequence[str] = TEXTS) -> None:
    """Every text has its vector."""
    rows = project.rows()
    found = {row["content_hash"]: vector(row) for row in rows.values()}
    assert set(found) == set(map(hash_text, texts))
    for text, expected in zip(texts, units_of(texts), strict=True):
        np.testing.assert_allclose(found[hash_text(text)], expected, rtol=0, atol=1e-6)


def refusal(status: int) -> Reply:
    return Reply(status, b'{"error": {"message": "as told"}}')


def test_a_plan_tells_the_price_and_a_run_what_was_paid(project: Project) -> None:
    planned = project.plan()
    expected = sum(len(text) // 4 + 1 for text in TEXTS) / 4
    assert (planned.cost, planned.currency) == (expected, "EUR")
    outcome = project.run()
    assert outcome.tokens == tokens_of(TEXTS)
    assert outcome.cost == pytest.approx(tokens_of(TEXTS) / 4)
    assert (outcome.predicted_cost, outcome.currency) == (expected, "EUR")
    check(project)
    again = project.plan()
    assert (again.cost, again.counts.encoded) == (None, 0)


def test_a_plan_asks_nobody_and_needs_no_key(
    project: Project, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    project.encoder["key_env"] = "A_KEY"
    assert project.plan().counts.encoded == len(TEXTS)
    with pytest.raises(Exception, match="A_KEY is not set"):
        project.run()
    assert not server.asked


def test_all_is_right_in_the_end_however_the_endpoint_behaves(
    project: Project, server: Endpoint
) -> None:
    texts = [*TEXTS, "POISON one", "two POISON"]
    write(project, texts)

    def misbehave(asked: Asked, right: Reply) -> Reply | None:
        if any("POISON" in text for text in asked.texts):
            return refusal(400)
        faults = [
            refusal(429),
            Reply(200, right.body, right.headers, cut=30),
            Reply(200, b"<html>", {"Content-Type": "text/html"}),
            refusal(500),
        ]
        return faults[asked.number // 2 % 4] if asked.number % 2 else None

    server.misbehave = misbehave
    outcome = project.run()
    check(project)
    assert (outcome.counts.dead, outcome.counts.encoded) == (2, len(TEXTS))
    assert set(server.answered.values()) == {1}
    for reason in project.dead().values():
        assert "the endpoint refused it: HTTP 400" in reason


def test_an_outage_is_retried_from_where_it_was(project: Project, server: Endpoint) -> None:
    project.encoder["concurrency"] = 1
    down = range(5, 8)
    server.misbehave = lambda asked, _: refusal(503) if asked.number in down else None
    project.run(Direct(retries=1))
    check(project)
    assert set(server.answered.values()) == {1}


def test_a_run_that_may_not_spend_more_stops_and_the_next_goes_on(
    project: Project, server: Endpoint
) -> None:
    limit = tokens_of(TEXTS[:18])
    project.encoder["max_tokens_per_run"] = limit
    with pytest.raises(RunError, match=rf"would exceed max_tokens_per_run = {limit}"):
        project.run()
    first = tokens_of(list(server.answered.elements()))
    assert 0 < first <= limit
    assert project.rows_or_none() is None
    with pytest.raises(RunError, match="would exceed"):
        project.run()
    outcome = project.run()
    check(project)
    assert set(server.answered.values()) == {1}, "a text was paid for twice"
    assert outcome.counts.resumed > 0
    assert outcome.tokens is not None
    assert outcome.tokens == tokens_of(TEXTS) - 2 * first


def test_a_key_that_is_withdrawn_costs_nothing_that_was_answered(
    project: Project, server: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    project.encoder["key_env"] = "A_KEY"
    server.misbehave = lambda asked, _: refusal(401) if asked.number >= 3 else None
    with pytest.raises(RunError, match=r"HTTP 401.*the key is missing or wrong"):
        project.run()
    server.misbehave = None
    project.run()
    check(project)
    assert set(server.answered.values()) == {1}
    files = [file for file in project.root.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if KEY.encode() in file.read_bytes()]


RUN = """
import sys
from pathlib import Path
from flows.cli import run_command
print("begun", flush=True)
run_command(["run", "--direct", "--conf", sys.argv[1]])
"""


@pytest.mark.slow
def test_a_killed_run_asks_again_for_nothing_that_was_staged(
    project: Project, server: Endpoint
) -> None:
    project.settings()
    with python(RUN, project.root / "vecmill.toml") as child:
        server.misbehave = lambda asked, _: child.kill() if asked.number == 7 else None
        child.communicate(timeout=600)
    assert child.returncode == -9
    staged = {
        content
        for rows in staged_hashes(staged_files(next((project.root / "data" / "staging").iterdir())))
        for content in rows["content_hash"].to_list()
    }
    assert len(staged) >= 8
    server.misbehave = None
    outcome = project.run()
    check(project)
    assert outcome.counts.resumed == len(staged)
    for text in TEXTS:
        if hash_text(text) in staged:
            assert server.answered[text] == 1, "paid for twice"


def test_the_command_line_tells_of_money(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.settings()
    conf = str(project.root / "vecmill.toml")
    assert run_command(["plan", "--conf", conf]) == 0
    assert "about 40 EUR" in " ".join(capsys.readouterr().err.split())
    assert run_command(["run", "--direct", "--json", "--conf", conf]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["cost"], row["currency"]) == (tokens_of(TEXTS) / 4, "EUR")
    check(project)
