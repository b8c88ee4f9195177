"""Addresses of databases, and how to talk of them without telling a password."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlsplit

from flows.sources._params import ParamError, one_of

SCHEMES = ("postgresql", "postgres", "sqlite", "duckdb")

_URL = re.compile(r"(?P<scheme>[a-z]+)://(?:(?P<secret>[^/?#]*)@)?(?P<rest>.*)", re.DOTALL)
_ENCODED = re.compile(r"(?:[^\s:@/?#%\[\]]|%[0-9A-Fa-f]{2})*")


def check_url(url: str) -> None:
    """Check an address; what it is refused for never shows the part before ``@``.

    Raises:
        ParamError: if the scheme is unknown, or user and password are not as URLs write them.
    """
    found = _URL.fullmatch(url)
    if found is None:
        raise ParamError(
            "url must be postgresql://user:password@host/database, sqlite:///file or "
            "duckdb:///file, got one without ://"
        )
    one_of("the scheme of url", found["scheme"], SCHEMES)
    user, _, password = (found["secret"] or "").partition(":")
    if not all(_ENCODED.fullmatch(word) for word in (user, password)) or "@" in found["rest"]:
        raise ParamError(
            "url has a character in user or password that must be percent-encoded: write @ as "
            "%40, : as %3A, / as %2F, % as %25, a space as %20"
        )
    if found["scheme"] in {"sqlite", "duckdb"} and not re.match(r"/.", found["rest"]):
        raise ParamError(
            f"url must be {found['scheme']}:///file, with three slashes (a fourth begins a path "
            f"from the root of the disk), got {shown(url)}"
        )


def file_of(url: str) -> str | None:
    """The path of a database that is a file; None where it is none."""
    scheme, _, path = url.partition(":///")
    return path if scheme in {"sqlite", "duckdb"} else None


def shown(url: str) -> str:
    """An address for a person: without user, password and options."""
    found = _URL.fullmatch(url)
    return f"{found['scheme']}://{found['rest'].partition('?')[0]}" if found else "the url"


def redacted(text: str, url: str) -> str:
    """A message without the secrets of an address, however they are written in it."""
    found = _URL.fullmatch(url)
    _, _, password = ((found and found["secret"]) or "").partition(":")
    options = dict(parse_qsl(urlsplit(url).query))
    secrets = {password, unquote(password)} | {
        value for key, value in options.items() if "password" in key or "key" in key
    }
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
