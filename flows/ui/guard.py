"""Who may ask, and what browsers may do with the answer.

A page on a loopback address is open to every other page that the same browser shows, and by DNS
rebinding (Jackson et al. 2007, "Protecting Browsers from DNS Rebinding Attacks") also to be read by
them. So a request must name this server as its host, and must not come out of another site's page;
by `Fetch Metadata <https://www.w3.org/TR/fetch-metadata/>`_ browsers say whether it does.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; "
    "img-src 'self' data:; media-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-src 'self'; base-uri 'none'; frame-ancestors 'self'"
)
FRAMED = "frame-ancestors 'self'"
"""For pages that carry a policy of their own, such as a report."""

_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Hosts:
    """The hosts that a request may name.

    Attributes:
        names: in lower-case letters; of a reverse proxy.
        exposed: whether others than this machine are served: then any address of a network is
            taken, since rebinding needs a name.
    """

    names: frozenset[str] = frozenset()
    exposed: bool = False

    def takes(self, header: str) -> bool:
        """Whether a request with this ``Host`` is meant for us."""
        try:
            host = (urlsplit(f"//{header}").hostname or "").lower()
            if host == "localhost" or host in self.names:
                return True
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return address.is_loopback or self.exposed


class Guard:
    """Middleware that refuses what other sites ask, and tells browsers to keep answers here."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered; as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        why = "this server has pages alone" if scope["type"] != "http" else self._refusal(scope)
        if why is not None:
            await PlainTextResponse(f"refused: {why}\n", 403)(scope, receive, sealed)
            return
        await self._app(scope, receive, sealed)

    def _refusal(self, scope: Scope) -> str | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._hosts.takes(host):
            return (
                f"it goes by no such name as {host!r}; open it by the address that `vecmill ui` "
                "printed, or name this one with --name"
            )
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:
            return "another site's page has asked this"
        if headers.get("sec-fetch-site", "none") in {"same-origin", "none"}:
            return None
        opened = headers.get("sec-fetch-mode") == "navigate"
        opened &= headers.get("sec-fetch-dest") == "document"
        if opened and scope["method"] == "GET":
            return None  # a link to a page was followed
        return "another site's page has asked this"
