"""Who may ask: this machine, by its own name, and out of no other site's page."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

from flows.cli import run_command
from flows.ui import app
from flows.ui.guard import POLICY, Hosts
from flows.ui.serve import check_host
from storage.database import DatabaseFile
from storage.model import UsageError
from storage.schema import FIRST, MIGRATIONS

if TYPE_CHECKING:
    from tests.flows.project import Project
    from tests.flows.ui.served import Served


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "127.0.0.1.evil.example", "192.0.2.7", "", "localhost.", "[::ffff]", "[::1",
    ],
)  # fmt: skip
def test_a_request_must_be_meant_for_this_machine(served: Served, host: str) -> None:
    answer = served.ask("GET", "/", headers={"Host": host})
    assert answer.status_code in {400, 403}
    assert "notes" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.1:80", "[::1]:9000"])
def test_names_of_this_machine_are_taken(served: Served, host: str) -> None:
    assert served.ask("GET", "/runs", headers={"Host": host}).status_code == 200


def test_a_proxy_may_have_a_name_and_an_exposed_server_any_address() -> None:
    proxied = Hosts(frozenset({"vectors.example"}))
    assert proxied.takes("Vectors.example:443")
    assert not proxied.takes("192.0.2.7")
    assert Hosts(exposed=True).takes("192.0.2.7:8765")
    assert not Hosts(exposed=True).takes("evil.example:8765")


def test_a_form_comes_through_a_proxy(project: Project) -> None:
    site = app.make(project.settings(), Hosts(frozenset({"vectors.example"})))
    with TestClient(site, "https://vectors.example") as client:
        own = {"Origin": "https://vectors.example", "Sec-Fetch-Site": "same-origin"}
        answer = client.post("/sql", data={"statement": "SELECT 40 + 2 AS n"}, headers=own)
        assert answer.status_code == 200
        assert client.get("/", headers={"Host": "127.0.0.1"}).status_code == 200
        assert client.get("/", headers={"Host": "other.example"}).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    ],
)
def test_another_sites_page_gets_nothing(served: Served, headers: dict[str, str]) -> None:
    for method in ("GET", "POST"):
        answer = served.ask(method, "/sql", headers=headers)
        assert answer.status_code == 403, method
        assert "another site" in answer.text


def test_a_link_to_a_page_may_be_followed_but_no_form_be_sent(served: Served) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    headers["Sec-Fetch-Dest"] = "document"
    assert served.ask("GET", "/sql", headers=headers).status_code == 200
    sent = served.ask("POST", "/sql", headers=headers, data={"statement": "FROM notes"})
    assert sent.status_code == 403


def test_browsers_are_told_to_keep_answers_to_themselves(served: Served) -> None:
    for path in ("/", "/runs", "/static/ui.js", "/nowhere"):
        headers = served.get(path).headers
        assert headers["content-security-policy"] == POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["x-frame-options"] == "SAMEORIGIN"
    assert served.get("/").headers["cache-control"] == "no-store"
    assert "unsafe-eval" not in POLICY
    assert "script-src 'self';" in POLICY


def test_there_is_no_socket_to_open(project: Project) -> None:
    client = TestClient(app.make(project.settings()), "http://localhost")
    with pytest.raises(WebSocketDenialResponse) as raised, client.websocket_connect("/"):
        pass
    assert raised.value.status_code == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.7", "::"])  # noqa: S104 - refused
def test_an_address_that_others_reach_needs_a_word(host: str) -> None:
    with pytest.raises(UsageError, match="whoever does reads all records, without a password"):
        check_host(host, exposed=False)
    check_host(host, exposed=True)


def test_a_host_is_an_address() -> None:
    check_host("::1", exposed=False)
    check_host("localhost", exposed=False)
    with pytest.raises(UsageError, match=r"takes an address such as 127\.0\.0\.1, got 'vectors'"):
        check_host("vectors", exposed=True)


def test_the_command_refuses_before_it_serves(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.settings()
    conf = str(project.root / "vecmill.toml")
    assert run_command(["ui", "--host", "0.0.0.0", "--conf", conf]) == 2  # noqa: S104 - refused
    assert "--exposed says that this is meant" in capsys.readouterr().err.replace("\n", " ")


def test_a_port_that_is_taken_is_told_of(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.settings()
    conf = str(project.root / "vecmill.toml")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert run_command(["ui", "--port", port, "--no-open", "--conf", conf]) == 1
    said = capsys.readouterr().err.replace("\n", " ")
    assert f"port {port} at 127.0.0.1 is taken" in said
    assert "name another with --port" in said
    assert "Errno" not in said


def test_a_catalog_of_an_earlier_release_is_left_as_it_is(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = project.settings()
    earlier = {number: MIGRATIONS[number] for number in (1, 2)}
    with DatabaseFile(settings.catalog, FIRST, earlier, 10, print).write() as con:
        con.execute("SELECT 1")
    before = settings.catalog.read_bytes()
    conf = str(project.root / "vecmill.toml")
    assert run_command(["ui", "--no-open", "--port", "0", "--conf", conf]) == 2
    assert "of an earlier release" in capsys.readouterr().err.replace("\n", " ")
    assert settings.catalog.read_bytes() == before
