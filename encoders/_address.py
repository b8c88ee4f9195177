"""Addresses of endpoints and the keys for them: what is refused before anything is sent."""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import urlsplit

from encoders.base import EncoderUsageError


def check_url(url: str) -> None:
    """Refuse what is no plain http address.

    Raises:
        ValueError: without the value, which may hold a password.
    """
    try:
        parts = urlsplit(url)
        whole = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is no number
        parts, whole = None, False
    if parts is None or not whole:
        raise ValueError("url must be an address such as https://api.openai.com/v1")
    if parts.username is not None or parts.password is not None:
        raise ValueError("url must hold no user or password; name the key's variable in key_env")
    if parts.query or parts.fragment:
        raise ValueError("url must end before any ? or #, as in https://api.openai.com/v1")


def check_key_env(name: str, url: str, *, insecure: bool) -> None:
    """Refuse a key in place of the name of its variable, and one that others could read.

    Raises:
        ValueError: without the value.
    """
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]*", name):
        raise ValueError(
            'key_env takes the name of an environment variable, as in "OPENAI_API_KEY" '
            "(upper-case letters, digits and _), never a key; if a key stands in a file, others "
            "may know it: have it replaced"
        )
    if urlsplit(url).scheme == "http" and not (insecure or is_loopback(url)):
        raise ValueError(
            "url begins with http://, so that anybody on the way can read the key; use https://, "
            "or set allow_insecure = true if nobody else is on that network"
        )


def is_loopback(url: str) -> bool:
    """Whether an address is one of this very machine."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def key_of(name: str | None) -> str | None:
    """The key in the environment variable of that name; None where none is named.

    Raises:
        EncoderUsageError: if the variable is not set, or holds what cannot be sent.
    """
    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key:
        raise EncoderUsageError(
            f"the environment variable {name} is not set; put the endpoint's key into it "
            f"(key_env = {name!r} says so), or remove key_env if it wants none"
        )
    if not re.fullmatch(r"[!-~]+", key):
        raise EncoderUsageError(
            f"the environment variable {name} holds white space or letters that no key has; copy "
            "the key again"
        )
    return key
