"""Serving the site, on this machine alone unless somebody says otherwise."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING

import uvicorn

from flows.config.stores import Stores
from flows.output.answers import say
from flows.output.codes import FINE, TERMINATED
from flows.output.stopping import Terminated
from flows.ui.app import make
from flows.ui.guard import Hosts
from storage.model import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.config.settings import Settings

_GRACE = 2


def serve(
    settings: Settings, host: str, port: int, names: Sequence[str], *, exposed: bool, opens: bool
) -> int:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        settings: the configuration.
        host: the address to listen at.
        port: where; 0 for any that is free.
        names: of a reverse proxy, that requests may name as their host.
        exposed: whether an address that others reach is meant.
        opens: whether to open a browser.

    Returns:
        The exit code.

    Raises:
        UsageError: if the address is one that others reach, and nobody said so.
        StorageError: if it cannot be listened at.
    """
    check_host(host, exposed=exposed)
    if Stores.of(settings).catalog.is_outdated():
        raise UsageError(
            f"{settings.catalog} is of an earlier release, and to read it is to bring it up to "
            "date, which a page that only looks does not do; `vecmill status` does"
        )
    listening = _listening(host, port)
    address = f"http://{_shown(host)}:{listening.getsockname()[1]}/"
    hosts = Hosts(frozenset(name.lower() for name in names), exposed)
    site = make(settings, hosts)
    config = uvicorn.Config(
        site, log_level="warning", access_log=False, server_header=False,
        timeout_graceful_shutdown=_GRACE, ws="none", proxy_headers=False,
    )  # fmt: skip
    say(f"reading {settings.catalog.parent} at {address} until Ctrl-C; nothing is written")
    if opens and _has_browser():
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    code = FINE
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except (KeyboardInterrupt, Terminated) as error:
        say("ended")
        code = TERMINATED if isinstance(error, Terminated) else FINE
    finally:
        listening.close()
    if not site.state.site.jobs.wait(0):
        # Where Python ends while a thread is within DuckDB or Lance, the process is aborted, in
        # words that look like a crash. Nothing is lost here: a job only reads.
        sys.stderr.flush()
        os._exit(code)
    return code


def check_host(host: str, *, exposed: bool) -> None:
    """Refuse an address that others reach, unless that is meant.

    Raises:
        UsageError: says what it would mean.
    """
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise UsageError(
            f"--host takes an address such as 127.0.0.1, got {host!r}; --name says by which name a "
            "proxy asks"
        ) from error
    if not loopback and not exposed:
        raise UsageError(
            f"at {host} others would reach this page, and whoever does reads all records, without "
            "a password and without encryption; --exposed says that this is meant. Better: leave "
            "it on 127.0.0.1, and come by `ssh -L` or a proxy that asks for a password "
            "(docs/ui.md)"
        )


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise StorageError(
                f"port {port} at {host} is taken, perhaps by another `vecmill ui`; name another "
                "with --port, or 0 for any that is free"
            ) from error
        raise StorageError(
            f"cannot listen at {host}, port {port}: {error}; name another with --port, or 0 for "
            "any that is free"
        ) from error


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _has_browser() -> bool:
    """Whether there is a screen: on a server a browser would take over the terminal."""
    if sys.platform != "linux":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
