"""Where alerts go: to a webhook, as JSON that Slack and its like understand, or through Prefect.

A block of Prefect holds an address, and what else it takes, on Prefect's server; who configures an
alert need not know them.
"""

from __future__ import annotations

import ipaddress
import json
import re
import string
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from encoders.logs import untold
from flows.pipeline.deadline import Overdue, Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELDS = {"feature", "version", "run"}
_BLOCK = re.compile(r"[a-z0-9-]+/[a-z0-9-]+")

Verdicts: TypeAlias = list[Literal["alarm", "watch", "cannot tell"]]


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
        timeout: seconds that a message may take.
    """

    url: str
    headers: dict[str, str] = field(default_factory=dict)
    on: Verdicts = field(default_factory=lambda: ["alarm"])
    link: str | None = None
    timeout: float = 10.0

    def __post_init__(self) -> None:
        if not _is_safe(self.url):
            # Without the value, which may be a secret.
            raise ValueError(
                "url must be an address that begins with https:// (http:// for this machine alone)"
            )
        if not self.timeout > 0:
            raise ValueError(f"timeout must be above 0, got {self.timeout}")
        _check(self.on, self.link)

    def send(self, message: Mapping[str, Any]) -> None:
        """Post a message.

        Raises:
            HookError: if it is not taken.
        """
        post(self, message)


@dataclass(frozen=True)
class PrefectBlock:
    """The keys of an ``[alerts.NAME]`` of kind ``prefect``.

    Attributes:
        block: a notification block on Prefect's server, such as ``slack-webhook/ops``.
        on: the verdicts that are told.
        link: as of `Webhook`.
    """

    block: str
    on: Verdicts = field(default_factory=lambda: ["alarm"])
    link: str | None = None

    def __post_init__(self) -> None:
        if not _BLOCK.fullmatch(self.block):
            raise ValueError(
                f"block is a type and a name such as 'slack-webhook/ops', got {self.block!r}; "
                "`prefect block ls` lists them"
            )
        _check(self.on, self.link)

    def send(self, message: Mapping[str, Any]) -> None:
        """Have Prefect send the text of a message.

        Raises:
            HookError: if there is no such block, or it does not take it.
        """
        from flows import run

        with untold():
            run.notify(self.block, message["text"])


KINDS: dict[str, type[Webhook | PrefectBlock]] = {"webhook": Webhook, "prefect": PrefectBlock}


def _check(on: Verdicts, link: str | None) -> None:
    if not on:
        raise ValueError("on must name a verdict; 'alarm' is usual")
    named = {name for _, name, _, _ in string.Formatter().parse(link or "") if name}
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
    try:
        # httpx bounds the wait for each part of an answer, not that for all of it.
        with untold(), Worker(hook.timeout) as worker:
            status = worker.call(_ask, hook, json.dumps(dict(message)).encode())
    except Overdue:
        raise HookError(f"it does not answer within {hook.timeout:g} s") from None
    if 300 <= status < 400:  # noqa: PLR2004 - the class of redirects
        raise HookError(f"it answers HTTP {status}, a redirect; name the address it leads to")
    if not 200 <= status < 300:  # noqa: PLR2004 - the class of success
        raise HookError(f"it answers HTTP {status}; check url and headers")


def _ask(hook: Webhook, content: bytes) -> int:
    """The status that a post is answered with."""
    import httpx

    headers = httpx.Headers({"Content-Type": "application/json"})
    try:
        headers.update(hook.headers)
        with (
            httpx.Client(timeout=hook.timeout, follow_redirects=False) as client,
            client.stream("POST", hook.url, content=content, headers=headers) as response,
        ):
            return response.status_code
    except httpx.TimeoutException:
        raise HookError(f"it does not answer within {hook.timeout:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        # Not from the cause: what httpx raises holds the request, and that the address.
        raise HookError(f"it cannot be reached ({type(error).__name__})") from None
