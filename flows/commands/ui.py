"""The command that serves a page to look at the store with."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from flows.commands._app import LOOK, Conf, Flag, app, load


@app.command(group=LOOK)
def ui(
    *,
    port: Annotated[int, Parameter(metavar="N")] = 8765,
    host: Annotated[str, Parameter(metavar="ADDRESS")] = "127.0.0.1",
    no_open: Flag = False,
    exposed: Flag = False,
    name: Annotated[
        tuple[str, ...], Parameter(metavar="HOST", negative="", show_default=False)
    ] = (),
    conf: Conf = None,
) -> int:
    """Look at the store in a browser: features, findings, search, maps, SQL. It writes nothing.

    It serves this machine alone, without a network, until Ctrl-C.

    Parameters
    ----------
    port
        Where to serve it; 0 for any port that is free.
    host
        The address to serve it at.
    no_open
        Open no browser.
    exposed
        Serve an address that others reach: whoever does reads all records, without a password.
    name
        A host name that a proxy is asked by. May be given more than once.
    """
    from flows.ui.serve import check_host, serve

    check_host(host, exposed=exposed)
    return serve(load(conf), host, port, name, exposed=exposed, opens=not no_open)
