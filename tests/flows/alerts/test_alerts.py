"""Alerts: told once while an alarm stands, by a real server, and what happens where that fails."""

from __future__ import annotations

import json
import logging
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from flows.cli import run_command
from flows.config.settings import SettingsError
from flows.monitoring.looking import monitor
from flows.pipeline.refusals import RunError
from tests.flows.shop import Heard

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.flows.project import Project


@dataclass
class Hook:
    """A server under way: what it was sent, and what it answers, a byte at a time if dripping."""

    url: str = ""
    status: int = 200
    dripping: bool = False
    released: threading.Event = field(default_factory=threading.Event)
    got: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Hook]:
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.got.append(json.loads(body) | {"key": self.headers["X-Key"]})
            self.send_response(hook.status)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            if hook.dripping:
                self.drip()
                return
            self.send_header("Content-Length", "0")
            self.end_headers()

        def drip(self) -> None:
            self.flush_headers()
            self.close_connection = True
            with suppress(OSError):  # whoever asked has gone
                while not hook.released.wait(0.05):
                    self.wfile.write(b"x")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        hook.url = f"http://127.0.0.1:{server.server_address[1]}/T0/secret-path"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield hook
        finally:
            hook.released.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with listening() as found:
        yield found


@pytest.fixture
def changed(project: Project, hook: Hook) -> Project:
    """A project whose encoder has changed since its first run, so that the monitor alarms."""
    project.feature = {"monitors": ["encoder"]}
    project.more = (
        f'[alerts.ops]\nkind = "webhook"\nurl = "{hook.url}"\nheaders = {{ X-Key = "k-123456" }}\n'
        'link = "https://reports/{feature}-v{version}.html"\n'
    )
    project.write([(f"record-{n}", f"text {n}", "x") for n in range(20)])
    project.run()
    project.encoder = {"breach": "turns"}
    project.run()
    return project


def look(project: Project) -> list[str]:
    heard = Heard()
    monitor(project.settings(), "notes", heard)
    return heard.notes


def kept(project: Project) -> list[str]:
    found = project.stores().catalog.query("SELECT status FROM alerts ORDER BY rowid")
    statuses: list[str] = found.column("status").to_pylist()
    return statuses


def test_an_alarm_is_told_once_and_again_after_it_was_quiet(changed: Project, hook: Hook) -> None:
    look(changed)
    look(changed)
    (sent,) = hook.got
    assert sent["text"].startswith("notes v1, alarm: encoder\n• encoder, alarm: the ")
    assert "More: https://reports/notes-v1.html" in sent["text"]
    assert "vecmill snooze notes encoder --for 7d" in sent["text"]
    assert sent["vecmill"]["findings"][0]["verdict"] == "alarm"
    assert sent["key"] == "k-123456"
    changed.encoder = {}
    changed.run()
    look(changed)
    changed.encoder = {"breach": "turns"}
    changed.run()
    look(changed)
    assert len(hook.got) == 2
    assert kept(changed) == ["sent", "over", "sent"]


def test_an_alarm_over_something_else_is_told_while_the_first_stands(
    project: Project, hook: Hook
) -> None:
    project.feature = {"monitors": ["records"]}
    project.more = (
        "[monitors.records]\nchecks = []\nmax_null_share = 0.2\n"
        f'[alerts.ops]\nkind = "webhook"\nurl = "{hook.url}"\n'
    )
    project.source = {"keep": ["label", "town"]}
    rows: list[tuple[str, ...]] = []

    def add(label: str, place: str) -> None:
        first = len(rows)
        rows.extend((f"r-{n}", f"text {n}", label, place) for n in range(first, first + 20))
        project.write(rows, ("id", "text", "label", "town"))
        project.run()
        look(project)

    add("a", "here")
    assert hook.got == []
    add("", "here")
    add("", "here")
    assert len(hook.got) == 1, "it stands"
    add("", "")
    assert len(hook.got) == 2
    assert hook.got[1]["text"].startswith(
        "notes v1, alarm: now also max_null_share of town (records)\n"
    )
    assert hook.got[1]["vecmill"]["findings"][0]["new"] == ["check max_null_share of town"]
    add("a", "")
    assert len(hook.got) == 2, "what is gone is no news"
    project.more = project.more.replace("[alerts", 'blocks = "publishing"\n[alerts')
    rows.extend((f"r-{n}", f"text {n}", "a", "") for n in range(100, 120))
    project.write(rows, ("id", "text", "label", "town"))
    with pytest.raises(RunError, match="records"):
        project.run()
    assert len(hook.got) == 3
    assert hook.got[2]["text"].startswith(
        "notes v1, alarm: now also holds up publishing (records)\n"
    )


@pytest.mark.parametrize("status", [500, 302])
def test_a_hook_that_fails_is_told_of_and_tried_again(
    changed: Project, hook: Hook, status: int
) -> None:
    hook.status = status
    (note,) = [note for note in look(changed) if "alert" in note]
    assert f"HTTP {status}" in note
    assert "secret-path" not in note
    hook.status = 200
    assert look(changed) == []
    look(changed)
    assert kept(changed) == ["failed", "sent"]
    assert len(hook.got) == 2


def test_an_answer_that_never_ends_is_waited_for_no_longer_than_allowed(
    changed: Project, hook: Hook
) -> None:
    changed.more += "timeout = 0.3\n"
    hook.dripping = True
    (note,) = [note for note in look(changed) if "alert" in note]
    assert "it does not answer within 0.3 s" in note


def test_the_address_is_in_no_log_and_no_file(
    changed: Project, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hook.status = 404
    look(changed)
    look(changed)
    assert len(hook.got) == 2
    assert "secret-path" not in caplog.text
    files = [f for f in changed.root.rglob("*") if f.is_file() and f.name != "vecmill.toml"]
    assert [file for file in files if b"secret-path" in file.read_bytes()] == []


def test_a_look_says_what_is_snoozed_and_a_list_shows_it(
    changed: Project, hook: Hook, capfd: pytest.CaptureFixture[str]
) -> None:
    conf = ["--conf", str(changed.settings().conf)]
    assert run_command(["snooze", *conf]) == 0
    assert "nothing is snoozed" in capfd.readouterr().err
    assert run_command(["snooze", "notes", "--for", "3d", "--reason", "known", *conf]) == 0
    (note,) = [note for note in look(changed) if "snoozed" in note]
    assert note.startswith("notes: encoder is snoozed until 2")
    assert note.endswith("UTC: what it says counts, and is not sent")
    assert hook.got == []
    capfd.readouterr()
    assert run_command(["snooze", *conf]) == 0
    shown = [line.split() for line in capfd.readouterr().out.splitlines()]
    assert [(line[:2], line[-1]) for line in shown if "notes" in line] == [
        (["notes", "all"], "known")
    ]
    assert run_command(["snooze", "notes", "--off", *conf]) == 0
    capfd.readouterr()
    assert run_command(["snooze", "--json", *conf]) == 0
    assert capfd.readouterr().out == ""


def test_a_snoozed_alarm_is_found_and_not_sent_until_it_is_over(
    changed: Project, hook: Hook, capfd: pytest.CaptureFixture[str]
) -> None:
    conf = ["--conf", str(changed.settings().conf)]
    assert run_command(["snooze", "notes", "encoder", "--for", "7d", *conf]) == 0
    assert run_command(["monitor", "notes", "--direct", *conf]) == 3
    assert "encoder: snoozed until" in capfd.readouterr().err
    assert hook.got == []
    assert run_command(["snooze", "notes", "--off", *conf]) == 0
    look(changed)
    assert len(hook.got) == 1
    assert run_command(["snooze", "notes", "--for", "soon", *conf]) == 2
    assert run_command(["snooze", "notes", "drift", *conf]) == 2


def test_a_feature_may_be_told_of_to_nobody(changed: Project, hook: Hook) -> None:
    changed.feature |= {"alerts": []}
    look(changed)
    assert hook.got == []


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("", "has no kind"),
        ('kind = "webhook"\nurl = "http://example.org/hook"', "begins with https://"),
        ('kind = "webhook"\nurl = "https://a/b"\nlink = "{day}"', "link has {day}"),
        ('kind = "webhook"\nurl = "https://a/b"\non = []', "on must name a verdict"),
        ('kind = "pigeon"', "an unknown kind 'pigeon'; there are: webhook, prefect"),
        ('kind = "prefect"\nblock = "ops"', "a type and a name such as 'slack-webhook/ops'"),
    ],
)
def test_a_channel_that_cannot_be_is_refused(project: Project, table: str, said: str) -> None:
    project.more = f"[alerts.ops]\n{table}\n"
    with pytest.raises(SettingsError, match=said):
        project.settings()
