"""Keeps secrets out of what is written down: errors, notes, the catalog, Prefect's own records.

The configuration takes secrets from the environment, by ``${NAME}``. Whatever was taken is
remembered here, and where it turns up in a text, ``${NAME}`` stands in its place. The user and
password of an address are taken out whether they are known or not.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

P = ParamSpec("P")
T = TypeVar("T")

LEAST = 6
"""Shorter values are no secrets, and would black out half of every text."""

_CREDENTIALS = re.compile(r"(?<=://)[^\s/?#'\"]*:[^\s/'\"]*@")
_known: dict[str, str] = {}
_lock = threading.Lock()


class RedactedError(Exception):
    """Stands for an error whose own words hold a secret and cannot be changed."""


def remember(name: str, value: str) -> None:
    """Keep the value of an environment variable out of all texts from now on.

    So are its lines, and the ways in which messages write it: escaped, or as part of an address.
    """
    texts = [value, *value.splitlines()] if "\n" in value else [value]
    written = {
        form
        for text in map(str.strip, texts)
        for form in (text, repr(text)[1:-1], json.dumps(text)[1:-1], quote(text), quote_plus(text))
        if len(form) >= LEAST
    }
    with _lock:
        _known.update(dict.fromkeys(written, f"${{{name}}}"))


def redact(text: str) -> str:
    """The text with ``${NAME}`` for every value remembered, and no password in any address."""
    with _lock:
        # The longest first: one secret may be a part of another.
        known = sorted(_known.items(), key=lambda item: -len(item[0]))
    for value, name in known:
        text = text.replace(value, name)
    return _CREDENTIALS.sub("***@", text)


def redact_all(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """JSON with every string of it redacted; keys too."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(key): redact_all(inner) for key, inner in value.items()}
    return [redact_all(inner) for inner in value] if isinstance(value, list | tuple) else value


def redacted(value: T) -> T:
    """The value with every text in it redacted: in dataclasses, mappings, sequences; keys too."""
    found: Any = value
    if isinstance(value, str):
        found = redact(value)
    elif is_dataclass(value) and not isinstance(value, type):
        inner = {f.name: redacted(getattr(value, f.name)) for f in fields(value)}
        found = replace(value, **inner)
    elif isinstance(value, Mapping):
        found = {redacted(key): redacted(inner) for key, inner in value.items()}
    elif isinstance(value, list | tuple):
        found = type(value)(redacted(inner) for inner in value)
    return cast("T", found)


@contextmanager
def redacting() -> Iterator[None]:
    """Let no error leave the block with a secret in its words, or in those of its causes."""
    try:
        yield
    except BaseException as error:
        clean = scrubbed(error)
        if clean is error:
            raise
        raise clean from clean.__cause__


def redacts(function: Callable[P, T]) -> Callable[P, T]:
    """The function within `redacting`; it can travel, which one decorated with that cannot."""

    @wraps(function)
    def call(*args: P.args, **keys: P.kwargs) -> T:
        with redacting():
            return function(*args, **keys)

    return call


def scrubbed(error: BaseException) -> BaseException:
    """The error without secrets: itself with other words, or one of our own in its place.

    Its type decides whether a step is tried again, so it is kept wherever the words can change.
    """
    return _scrubbed(error, set())


def _scrubbed(error: BaseException, seen: set[int]) -> BaseException:
    if id(error) in seen:
        return error
    seen.add(id(error))
    error.args = tuple(_clean(argument) for argument in error.args)
    for name in ("filename", "filename2", "strerror"):
        if isinstance(getattr(error, name, None), str):
            setattr(error, name, redact(getattr(error, name)))
    error.__notes__ = [redact(note) for note in getattr(error, "__notes__", [])]
    if error.__cause__ is not None:
        error.__cause__ = _scrubbed(error.__cause__, seen)
    if error.__context__ is not None:
        error.__context__ = _scrubbed(error.__context__, seen)
    words = str(error)
    if redact(words) == words and redact(repr(error)) == repr(error):
        return error
    clean = RedactedError(f"{type(error).__name__}: {redact(words)}")
    clean.__cause__ = error.__cause__
    return clean.with_traceback(error.__traceback__)


def _clean(argument: Any) -> Any:  # noqa: ANN401 - whatever an error was made with
    if isinstance(argument, bytes):
        text = argument.decode("latin-1")
        return redact(text).encode("latin-1") if redact(text) != text else argument
    return redact_all(argument) if isinstance(argument, str | dict | list) else argument
