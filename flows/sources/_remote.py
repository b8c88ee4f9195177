"""Objects in S3, Google Cloud Storage and Azure, through obstore.

obstore is the library that LanceDB has inside, so a source takes the same URIs, and the same
credentials out of the environment, as the store of vectors does: ``AWS_ACCESS_KEY_ID``,
``GOOGLE_APPLICATION_CREDENTIALS``, ``AZURE_STORAGE_ACCOUNT_NAME`` and so on.
"""

from __future__ import annotations

import io
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from flows.sources._where import Look
from flows.sources.base import SourceAwayError, SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMES = ("s3", "s3a", "gs", "az")

_URI = re.compile(r"(?P<scheme>[a-z0-9]+)://(?P<bucket>[^/]+)/?(?P<key>.*)", re.DOTALL)
_SETTINGS = ("AWS_", "GOOGLE_", "AZURE_")
_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD", "SAS")
_LEAST_SECRET = 6
_QUERY = re.compile(r"\?[^\s\"'<>),]*")
_REFUSED = re.compile(r"status code: 4(?!08|29)\d\d|status: 4(?!08|29)\d\d")
_SAID = re.compile(r"<Code>([^<]+)</Code>.*?<Message>([^<]+)</Message>", re.DOTALL)
"""What a store says in the XML of a refusal."""
_RETRIES = 3
_SECONDS = 30


def is_uri(path: str) -> bool:
    """Whether a path is an address and no path on disk."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path) is not None


@dataclass(frozen=True)
class Remote:
    """One object, and how the listing saw it."""

    uri: str
    listed: Look | None = None

    @property
    def text(self) -> str:
        """See `flows.sources._where.File`."""
        return self.uri

    def look(self) -> Look:
        """See `flows.sources._where.File`."""
        import obstore

        store, key = _at(self.uri)
        with telling(self.uri):
            return _look(obstore.head(store, key))

    def open(self) -> BinaryIO:
        """See `flows.sources._where.File`; ranges are asked for as they are read."""
        import obstore

        store, key = _at(self.uri)
        with telling(self.uri):
            reader = obstore.open_reader(store, key)
        return io.BufferedReader(_Stream(reader, self.uri), 1024 * 1024)


def read(uri: str, most: int) -> bytes:
    """The bytes of one object, and no more than ``most`` of them.

    Raises:
        OSError: if it is gone, its store away, or the store refuses.
    """
    import obstore

    data = bytearray()
    try:
        store, key = _at(uri)
        with telling(uri):
            for block in obstore.get(store, key).stream():
                data += block
                if len(data) >= most:
                    break
    except SourceAwayError:
        raise
    except SourceError as error:
        raise PermissionError(str(error)) from error
    return bytes(data[:most])


def listed(uri: str) -> Iterator[tuple[str, Remote]]:
    """All objects below a folder, as their keys and themselves, one page at a time.

    Raises:
        SourceAwayError: if the store is away.
        SourceError: if the store refuses, or there is no such bucket.
    """
    import obstore

    store, prefix = _at(uri)
    begin = uri[: len(uri) - len(prefix)].rstrip("/") + "/"
    with telling(uri):
        for page in obstore.list(store, prefix or None, chunk_size=1000):
            for meta in page:
                yield meta["path"], Remote(begin + meta["path"], _look(meta))


def exists(uri: str) -> Remote | None:
    """The object of exactly this key."""
    try:
        return Remote(uri, Remote(uri).look())
    except FileNotFoundError:
        return None


class _Stream(io.RawIOBase):
    """A reader of obstore as Python's files are."""

    def __init__(self, reader: Any, uri: str) -> None:  # noqa: ANN401 - obstore's own
        self._reader = reader
        self._uri = uri

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - anything writable
        with telling(self._uri):
            block = self._reader.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with telling(self._uri):
            return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())


@contextmanager
def telling(uri: str) -> Iterator[None]:
    """Tell a store that is away from one that refuses, and neither with a secret."""
    from obstore.exceptions import BaseError

    try:
        yield
    except FileNotFoundError as error:
        raise FileNotFoundError(2, "No such object", uri) from error
    except (BaseError, OSError, ValueError) as error:
        # what it says after the first line is for those who debug the library
        text = _safe(str(error).partition("\n\nDebug source")[0])
        if isinstance(error, SourceError):
            raise
        said = _SAID.search(text)
        why = text if said is None else f"{said[2]} ({said[1]})"
        told = f"{uri} cannot be read: {' '.join(why.split())}"
        if type(error).__name__ == "GenericError" and not _REFUSED.search(text):
            raise SourceAwayError(f"{told}; look whether the store is up, and run again") from None
        raise SourceError(
            f"{told}; check the address, and the credentials in the environment"
        ) from None


def _safe(text: str) -> str:
    text = _QUERY.sub("?...", text)
    for name, value in os.environ.items():
        secret = name.startswith(_SETTINGS) and any(word in name for word in _SECRET)
        if secret and len(value) >= _LEAST_SECRET:
            text = text.replace(value, "***")
    return text


def _look(meta: Any) -> Look:  # noqa: ANN401 - obstore's own
    modified = int(meta["last_modified"].timestamp() * 1_000_000) * 1000
    mark = f"{meta['size']}:{meta['e_tag']}:{meta['version']}:{modified}"
    # a store without tags tells by times alone, which are whole seconds
    return Look(int(meta["size"]), modified, mark, 0 if meta["e_tag"] else modified)


def _at(uri: str) -> tuple[Any, str]:
    found = _URI.fullmatch(uri)
    if found is None or found["scheme"] not in SCHEMES:
        raise SourceError(
            f"{uri} is no address of an object store: write {', '.join(SCHEMES)} or file, then "
            "://bucket/key"
        )
    environment = frozenset(
        (key, value) for key, value in os.environ.items() if key.startswith(_SETTINGS)
    )
    with telling(uri):
        return _store(found["scheme"], found["bucket"], environment), found["key"]


@cache
def _store(scheme: str, bucket: str, environment: frozenset[tuple[str, str]]) -> Any:  # noqa: ANN401 - obstore's own
    """A connection that is kept for as long as the environment says the same."""
    from obstore.store import AzureStore, GCSStore, S3Store

    kinds: dict[str, Any] = {"s3": S3Store, "s3a": S3Store, "gs": GCSStore, "az": AzureStore}
    # what is set here would not be taken from the environment any more
    plain = any(key.endswith("ALLOW_HTTP") and value == "true" for key, value in environment)
    return kinds[scheme](
        bucket,
        client_options={
            "allow_http": plain,
            "connect_timeout": timedelta(seconds=_SECONDS),
            "timeout": timedelta(seconds=_SECONDS * 4),
        },
        retry_config=cast(
            "Any",
            {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_SECONDS)},
        ),
    )
