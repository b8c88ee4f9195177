"""Weights from an address: a real server that answers well, badly, in part, or at length."""

from __future__ import annotations

import hashlib
import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import numpy as np
import pytest

from encoders._fetched import fetched
from encoders.base import EncoderError, EncoderUsageError
from encoders.siamese import Params, build
from tests.encoders import samples
from tests.encoders.networks import network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TOKEN = "s3cr3t-t0ken"  # noqa: S105 - of no account


@dataclass
class Shop:
    """What lies at which path of a server, and what was asked of it.

    Attributes:
        cut: bytes after which the connection is closed, of those declared.
        chunked: whether the length is not declared.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    cut: int | None = None
    declared: bool = True


@contextmanager
def served() -> Iterator[Shop]:
    shop = Shop()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shop.asked.append(self.path)
            path = self.path.partition("?")[0]
            if path in shop.moved:
                self.send_response(302)
                self.send_header("Location", shop.moved[path])
                self.end_headers()
                return
            body = shop.files.get(path)
            self.send_response(404 if body is None else 200)
            body = body or b"<h1>not here</h1>"
            if shop.declared:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: shop.cut])

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    shop.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield shop
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with served() as found:
        yield found


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def left(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*") if file.is_file())


def test_a_network_is_fetched_once_and_then_found_without_a_network(
    shop: Shop, weights: Path, tmp_path: Path
) -> None:
    file = weights / "squeezenet1_1.safetensors"
    data = file.read_bytes()
    shop.files["/models/net.safetensors"] = data
    address = f"{shop.url}/models/net.safetensors?token={TOKEN}"
    encoder = network("squeezenet1_1", address, weights_sha256=digest(data))
    expected = network("squeezenet1_1", file)
    assert encoder.recipe() == expected.recipe()
    assert TOKEN not in str(encoder.recipe())
    images = samples.usual("image")[:3]
    np.testing.assert_array_equal(encoder.encode(images), expected.encode(images))
    assert left(tmp_path) == [f"{digest(data)}.safetensors"]
    network("squeezenet1_1", address, weights_sha256=digest(data))
    assert shop.asked == [f"/models/net.safetensors?token={TOKEN}"]


def test_a_siamese_network_is_built_upon_what_is_fetched(shop: Shop, weights: Path) -> None:
    file = weights / "squeezenet1_1.safetensors"
    shop.files["/net.safetensors"] = file.read_bytes()
    params = Params(backbone="squeezenet1_1", weights=f"{shop.url}/net.safetensors", device="cpu")
    with pytest.raises(EncoderUsageError, match="set weights_sha256 to what"):
        build(params)
    found = build(replace(params, weights_sha256=digest(file.read_bytes())))
    assert found.recipe() == build(replace(params, weights=str(file))).recipe()


@pytest.mark.parametrize("declared", [True, False])
def test_what_comes_is_whole_whether_its_length_is_told_or_not(
    shop: Shop, *, declared: bool
) -> None:
    data = np.random.default_rng(1).bytes(3_000_001)
    shop.files["/net.pth"], shop.declared = data, declared
    assert fetched(f"{shop.url}/net.pth", digest(data)).read_bytes() == data


def test_an_address_that_moved_is_followed(shop: Shop) -> None:
    shop.files["/there.bin"], shop.moved["/net.pt"] = b"weights", "/there.bin"
    file = fetched(f"{shop.url}/net.pt", digest(b"weights"))
    assert (file.read_bytes(), file.suffix) == (b"weights", ".pt")


def test_a_damaged_copy_is_fetched_anew(shop: Shop) -> None:
    shop.files["/net.pt"] = b"weights"
    file = fetched(f"{shop.url}/net.pt", digest(b"weights"))
    file.write_bytes(b"wei")
    assert fetched(f"{shop.url}/net.pt", digest(b"weights")).read_bytes() == b"weights"
    assert len(shop.asked) == 2


def test_another_file_than_the_one_meant_is_thrown_away(shop: Shop, tmp_path: Path) -> None:
    shop.files["/net.pt"] = b"something else"
    with pytest.raises(
        EncoderError, match=rf"/net.pt has sha256 {digest(b'something else')}, expected .*another"
    ):
        fetched(f"{shop.url}/net.pt", digest(b"weights"))
    assert left(tmp_path) == []


@pytest.mark.parametrize("declared", [True, False])
def test_a_cut_connection_leaves_nothing_behind(
    shop: Shop, tmp_path: Path, *, declared: bool
) -> None:
    shop.files["/net.pt"], shop.cut, shop.declared = b"weights" * 1000, 500, declared
    told = "could not be fetched whole" if declared else "has sha256"  # else nobody can tell
    with pytest.raises(EncoderError, match=told):
        fetched(f"{shop.url}/net.pt", digest(b"weights" * 1000))
    assert left(tmp_path) == []


@pytest.mark.parametrize("declared", [True, False])
def test_a_file_beyond_the_limit_is_refused(shop: Shop, tmp_path: Path, *, declared: bool) -> None:
    shop.files["/net.pt"], shop.declared = b"weights", declared
    with pytest.raises(EncoderError, match=r"has more than the 6 bytes that weights may have"):
        fetched(f"{shop.url}/net.pt", digest(b"weights"), 6)
    assert left(tmp_path) == []
    assert fetched(f"{shop.url}/net.pt", digest(b"weights"), 7).read_bytes() == b"weights"


def test_what_a_server_refuses_is_told_without_the_token(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"/net\.pt could not be fetched: .* 404") as error:
        fetched(f"{shop.url}/net.pt?token={TOKEN}", "0" * 64)
    assert TOKEN not in str(error.value)
    assert left(tmp_path) == []


def test_the_log_does_not_tell_the_token(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shop.files["/there.pt"], shop.moved["/net.pt"] = b"weights", f"/there.pt?signature={TOKEN}"
    fetched(f"{shop.url}/net.pt?token={TOKEN}", digest(b"weights"))
    assert shop.asked == [f"/net.pt?token={TOKEN}", f"/there.pt?signature={TOKEN}"]
    assert TOKEN not in caplog.text
    logging.getLogger("httpx").info("heard again")
    assert "heard again" in caplog.text


def test_a_server_that_is_not_there_is_told_without_the_token(tmp_path: Path, shop: Shop) -> None:
    with served() as gone:
        url = gone.url
    with pytest.raises(EncoderError, match=r"could not be fetched whole .*put the file") as error:
        fetched(f"{url}/net.pt?token={TOKEN}", "0" * 64)
    assert TOKEN not in str(error.value)
    assert str(tmp_path / "hub" / "checkpoints") in str(error.value)
    assert shop.asked == []


@pytest.mark.parametrize(
    ("address", "sha256", "message"),
    [
        ("https://host/net.pt", None, r"'https://host/net\.pt' are fetched only where .*sha256sum"),
        ("https://host/net.pt", "f" * 63, r"weights_sha256 must be 64 hex digits"),
        ("https://host/net.zip", "f" * 64, r"end in '\.zip', expected a file \.safetensors"),
        ("https://host/net", "f" * 64, r"end in 'no suffix', expected"),
        ("https://", "f" * 64, r"weights must be an address such as"),
        ("http://host:x/net.pt", "f" * 64, r"weights must be an address such as"),
        (f"https://me:{TOKEN}@host/net.pt", "f" * 64, r"'https://host/net\.pt' must hold no user"),
    ],
)
def test_wrong_addresses_are_refused_before_anything_is_asked(
    address: str, sha256: str | None, message: str
) -> None:
    with pytest.raises(EncoderUsageError, match=message) as error:
        network("squeezenet1_1", address, weights_sha256=sha256)
    assert TOKEN not in str(error.value)
