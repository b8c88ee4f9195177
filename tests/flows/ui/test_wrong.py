"""Wrong addresses, parameters and forms: a page in words, never a fault, never markup of theirs."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from flows.ui import app

if TYPE_CHECKING:
    from collections.abc import Iterator

    from httpx2 import Response

    from tests.flows.ui.served import Served

SCRIPT = "<script>alert(1)</script>"
VALUES = (
    "", "-1", "²", "\x00", SCRIPT, "'; --", "../../etc/passwd", '{"a": 1}', "9" * 30, "a" * 3000,
)  # fmt: skip
PARAMETERS = {
    "/features/notes": ("version",),
    "/features/notes/search": ("text", "row", "id", "words", "in", "where", "k", "per_record"),
    "/features/notes/record": ("id",),
    "/features/notes/map": ("color",),
    "/features/notes/map/page": ("color",),
    "/features/notes/plan": ("job",),
    "/sql": ("statement", "job"),
    "/dead": ("any",),
}
UPLOAD = "/features/photos/search/image"
MIXED = {"content-type": "multipart/form-data; boundary=B"}


@pytest.fixture(scope="module")
def client(served: Served) -> Iterator[TestClient]:
    """The same store as the server's, in this process."""
    settings = served.project.settings()
    with TestClient(app.make(settings), "http://localhost", raise_server_exceptions=False) as found:
        yield found


def settled(client: TestClient, answer: Response) -> Response:
    """A page's answer, or its job's."""
    until = time.monotonic() + 300
    while (job := re.search(r'data-job="(/jobs/[^"]+)"', answer.text)) is not None:
        assert time.monotonic() < until
        time.sleep(0.02)
        answer = client.get(job[1])
    return answer


def check(client: TestClient, answer: Response) -> None:
    for one in (answer, settled(client, answer)):
        assert one.status_code < 500, one.text
        assert "fault of Vecmill" not in one.text
        assert "Traceback" not in one.text
        assert SCRIPT not in one.text


@pytest.mark.parametrize("path", PARAMETERS)
def test_any_parameter_gives_a_page(client: TestClient, path: str) -> None:
    for name in PARAMETERS[path]:
        for value in VALUES:
            beside = {"text": "milla"} if name in {"where", "k", "per_record"} else {}
            beside |= {"words": "milla"} if name == "in" else {}
            check(client, client.get(path, params=beside | {name: value}))


def test_any_name_gives_a_page(client: TestClient) -> None:
    for name in ("nobody", SCRIPT, "notes\x00", "a" * 300):
        told = quote(name, safe="")
        paths = [f"/features/{told}{end}" for end in ("", "/search", "/map/page", "/report/page")]
        for path in (*paths, f"/jobs/{told}", f"/jobs/{told}/rows.csv", f"/static/{told}"):
            answer = client.get(path)
            check(client, answer)
            assert answer.status_code == 404, path


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "choose a file"),
        ({"files": [("file", ("a", b"x")), ("file", ("b", b"y"))]}, "Too many files"),
        ({"files": {"other": ("a", b"x")}}, "choose a file"),
        ({"files": {"file": ("a", b"")}}, "choose a file"),
        ({"data": {"file": "text"}}, "choose a file"),
        ({"json": {"file": "x"}}, "choose a file"),
        ({"content": b"garbage", "headers": MIXED}, "Invalid multipart data"),
        ({"content": b"x", "headers": {"content-type": "multipart/form-data"}}, "boundary"),
        ({"content": iter([b"x"])}, "says how long it is"),
        ({"content": b"x", "headers": MIXED | {"content-length": "soon"}}, "says how long it is"),
        ({"content": b"x", "headers": MIXED | {"content-length": "9" * 9}}, "64 MB at most"),
        ({"data": dict.fromkeys("abcdefg", "1"), "files": {"file": ("a", b"x")}}, "Too many field"),
        (
            {
                "content": b"--B\r\nContent-Disposition: form-data\r\n\r\nabc\r\n--B--\r\n",
                "headers": MIXED,
            },
            "must be provided",
        ),
    ],
)
def test_a_wrong_form_with_a_file_is_refused_in_words(
    client: TestClient, given: dict[str, Any], words: str
) -> None:
    answer = client.post(UPLOAD, **given)
    check(client, answer)
    assert answer.status_code == 400
    assert words in answer.text


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/features/notes/search/image", "notes is searched by text or id, not by image"),
        ("/features/photos/search/audio", "photos is searched by image or id, not by audio"),
        (f"/features/photos/search/{SCRIPT[:8]}", "is by image or audio"),
        ("/features/coming/search/image", "coming has no live version"),
    ],
)
def test_a_file_must_fit_the_feature(client: TestClient, path: str, words: str) -> None:
    answer = client.post(path, files={"file": (SCRIPT, b"x")})
    check(client, answer)
    assert answer.status_code == 400
    assert words in answer.text


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"data": {"statement": " "}},
        {"content": b"statement=%ff%00"},
        {"content": b"\xff\xfe"},
        {"json": {"statement": "FROM runs"}},
        {"files": {"statement": ("a", b"FROM runs")}},
        {"content": b"x" * 1_100_000},
    ],
)
def test_a_wrong_form_with_a_statement_is_refused(
    client: TestClient, given: dict[str, Any]
) -> None:
    answer = client.post("/sql", **given)
    check(client, answer)
    refused = answer.status_code == 400 or 'role="alert"' in settled(client, answer).text
    assert refused
    check(client, client.post("/features/notes/plan", **given))


def test_other_methods_are_refused(client: TestClient) -> None:
    for method in ("PUT", "DELETE", "PATCH", "POST"):
        answer = client.request(method, "/runs")
        assert answer.status_code == 405
        assert 'role="alert"' in answer.text
