"""Weights from an address that one names oneself: fetched once, whole, and only if they are it.

An address says nothing of what lies there tomorrow, so the SHA-256 of the file is asked for beside
it. What was fetched lies in torch's own folder of checkpoints under that digest, and is found there
without a network.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from encoders._hub import sha256
from encoders.base import EncoderError, EncoderUsageError
from encoders.logs import untold

if TYPE_CHECKING:
    import httpx

SUFFIXES = (".safetensors", ".pth", ".pt")
MOST_BYTES = 8 * 2**30
"""Three times the largest file that torchvision publishes."""

_SECONDS = 30.0
_DIGEST = re.compile(r"[0-9a-f]{64}")


def is_address(weights: str) -> bool:
    """Whether weights are named by an address, and not by a file or a published name."""
    return weights.lower().startswith(("http://", "https://"))


def check_digest(digest: str) -> None:
    """Refuse what is no SHA-256 in hex.

    Raises:
        EncoderUsageError: if it is none.
    """
    if not _DIGEST.fullmatch(digest):
        raise EncoderUsageError(
            f"weights_sha256 must be 64 hex digits in lower case, as `sha256sum FILE` prints them, "
            f"got {digest!r}"
        )


def verified(file: Path, digest: str) -> Path:
    """A file of one's own, proved to be the one that was meant.

    Raises:
        EncoderError: if its SHA-256 is another.
    """
    found = sha256(file)
    if found != digest:
        raise EncoderError(
            f"{file} has sha256 {found}, expected weights_sha256 = {digest}: it is damaged or "
            "other weights; put the right file there, or set weights_sha256 to what it is now"
        )
    return file


def fetched(address: str, digest: str | None, most: int = MOST_BYTES) -> Path:
    """The file at an address, from torch's folder of checkpoints if it is there already.

    Args:
        address: http or https; a query may hold a token, which no message shows.
        digest: SHA-256 of the file, 64 hex characters.
        most: bytes that the file may have.

    Returns:
        ``CHECKPOINTS/DIGEST.SUFFIX``, whole and of that digest.

    Raises:
        EncoderUsageError: if the address or the digest is none, or the digest is missing.
        EncoderError: if the file cannot be fetched whole, or is another.
    """
    suffix = _checked(address)
    if digest is None:
        raise EncoderUsageError(
            f"weights {shown(address)!r} are fetched only where it is said what they are: set "
            "weights_sha256 to what `sha256sum FILE` prints for the file that you trust"
        )
    check_digest(digest)
    file = _folder() / f"{digest}{suffix}"
    if file.is_file() and sha256(file) == digest:
        return file
    _fetch(address, digest, file, most)
    return file


def shown(address: str) -> str:
    """An address as it may be told: without a password, or a query that may hold a token."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _checked(address: str) -> str:
    """The suffix of the file that an address names."""
    try:
        parts = urlsplit(address)
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number, or the host no IPv6 address
        parts, whole = None, False
    if parts is None or not whole:
        raise EncoderUsageError("weights must be an address such as https://host/model.safetensors")
    if parts.username is not None or parts.password is not None:
        raise EncoderUsageError(
            f"weights {shown(address)!r} must hold no user or password, which would be kept with "
            "the version; fetch the file yourself and name it, or put a token into the query as "
            "${NAME}"
        )
    suffix = Path(parts.path).suffix.lower()
    if suffix not in SUFFIXES:
        raise EncoderUsageError(
            f"weights {shown(address)!r} end in {suffix or 'no suffix'!r}, expected a file "
            f"{', '.join(SUFFIXES)}"
        )
    return suffix


def _folder() -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def _fetch(address: str, digest: str, file: Path, most: int) -> None:
    import httpx

    name = shown(address)
    unfinished = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with (
            untold(),
            httpx.stream("GET", address, follow_redirects=True, timeout=_SECONDS) as answer,
        ):
            _check_answer(answer, name, most)
            found = _written(answer, unfinished, name, most)
        if found != digest:
            raise EncoderError(
                f"what lies at {name} has sha256 {found}, expected weights_sha256 = {digest}: it "
                "is another file than the one that was meant; find out why before you trust it"
            )
        unfinished.replace(file)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        # Some messages of the library quote the address with its query.
        words = str(error).replace(address, name) or type(error).__name__
        raise EncoderError(
            f"the weights at {name} could not be fetched whole ({words}); run again with a "
            f"network, or put the file there yourself: {file}"
        ) from None
    finally:
        unfinished.unlink(missing_ok=True)


def _check_answer(answer: httpx.Response, name: str, most: int) -> None:
    if not answer.is_success:
        raise EncoderError(
            f"the weights at {name} could not be fetched: the server answers {answer.status_code} "
            f"{answer.reason_phrase}; open the address in a browser, and correct it"
        )
    declared = answer.headers.get("Content-Length", "")
    if declared.isdecimal() and int(declared) > most:
        raise _too_large(name, most)


def _written(answer: httpx.Response, file: Path, name: str, most: int) -> str:
    """Write what comes, and give its SHA-256."""
    total, size = hashlib.sha256(), 0
    with file.open("wb") as stream:
        for block in answer.iter_bytes(2**20):
            size += len(block)
            if size > most:
                raise _too_large(name, most)
            total.update(block)
            stream.write(block)
        stream.flush()
        os.fsync(stream.fileno())
    return total.hexdigest()


def _too_large(name: str, most: int) -> EncoderError:
    return EncoderError(
        f"the file at {name} has more than the {most:,} bytes that weights may have: is it the "
        "file that was meant? If so, fetch it yourself and name it"
    )
