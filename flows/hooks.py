"""Webhooks: where alerts are posted to, as JSON that Slack and its like understand."""

from __future__ import annotations

import ipaddress
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELDS = {"feature", "version", "run"}


class HookError(Exception):
    """A webhook did not take a message; the words hold nothing of its address."""


@dataclass(frozen=True)
class Webhook:
    """The keys of an ``[alerts.NAME]`` of kind ``webhook``.

    Attributes:
        url: where to post to; whoever knows it can post too, so have it in the environment.
        headers: further ones to send.
        on: the verdicts that are told.
        link: where a person reads on, with ``{feature}``, ``{version}`` and ``{run}`` filled in.
        timeout: seconds for a connection, and for each part of the answer.
    """

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    on: list[Literal["alarm", "watch", "cannot tell"]] = field(default_factory=lambda: ["alarm"])
    link: str | None = None
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if not _is_safe(self.url):
            # Without the value, which may be a secret.
            raise ValueError(
                "url must be an address that begins with https:// (http:// for this machine alone)"
            )
        if not self.on:
            raise ValueError("on must name a verdict; 'alarm' is usual")
        if not self.timeout > 0:
            raise ValueError(f"timeout must be above 0, got {self.timeout}")
        named = {name for _, name, _, _ in string.Formatter().parse(self.link or "") if name}
        if strange := sorted(named - _FIELDS):
            raise ValueError(
                f"link has {{{strange[0]}}}, which is not filled in; there are: {{feature}}, "
                "{version} and {run}"
            )


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if parts.scheme == "http":
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False
    return parts.scheme == "https" and bool(host)


def post(hook: Webhook, message: Mapping[str, Any]) -> None:
    """Post a message; no redirect is followed, so that it goes nowhere else.

    Raises:
        HookError: if it is not taken.
    """
    import httpx

    try:
        with httpx.stream(
            "POST", hook.url, json=dict(message), headers=hook.headers, timeout=hook.timeout,
            follow_redirects=False,
        ) as response:  # fmt: skip
            status = response.status_code
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        # Not from the cause: what httpx raises holds the request, and that the address.
        raise HookError(f"it cannot be reached ({type(error).__name__})") from None
    if 300 <= status < 400:  # noqa: PLR2004 - the class of redirects
        raise HookError(f"it answers HTTP {status}, a redirect; name the address it leads to")
    if not 200 <= status < 300:  # noqa: PLR2004 - the class of success
        raise HookError(f"it answers HTTP {status}; check url and headers")
