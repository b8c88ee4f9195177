"""The command that tells of a feature in a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.commands._app import WATCH, AsJson, Conf, Ordinal, app, load
from flows.commands._words import show
from flows.output.answers import print_json, say
from flows.output.codes import FINE

_File = Annotated[
    Path | None, Parameter(name=["-o", "--output"], metavar="FILE", show_default=False)
]
_Metrics = Annotated[Path | None, Parameter(metavar="FILE", show_default=False)]


@app.command(usage="Usage: vecmill report [OPTIONS] [FEATURE]", group=WATCH)
def report(
    feature: str | None = None,
    /,
    *,
    version: Ordinal | None = None,
    output: _File = None,
    open_it: Annotated[bool, Parameter(name="--open", negative="", show_default=False)] = False,
    prometheus: _Metrics = None,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Tell of a feature in one page: the verdict, what moved, which records, what to do.

    The page needs nothing but itself. It is kept in the folder reports beside the catalog, where
    `vecmill erase` reaches it; a file named by -o is a copy that it does not reach. With --json or
    --prometheus, a page is written only where -o or --open asks for one.

    Parameters
    ----------
    feature
        The feature; where none is named, a page over all of them and one of each.
    version
        The version, instead of the live one.
    output
        The file to write the page into.
    open_it
        Open the page in a browser.
    prometheus
        A file to write metrics into, in Prometheus' text format; of all features, or of the one.
    """
    from flows.output.console import reporting
    from flows.reports import files
    from flows.reports.gather import collect
    from flows.reports.verdict import standalone
    from storage.model import UsageError

    settings = load(conf)
    if feature is None and version is not None:
        raise UsageError("--version needs a FEATURE that it is a version of")
    wants_page = output is not None or open_it or not (json or prometheus)
    names = files.known_features(settings) if feature is None else [feature]
    where = None
    with reporting() as reporter:
        if wants_page and feature is not None:
            found, where = files.make(settings, feature, reporter, version, output)
            reports = [found]
        elif wants_page:
            reports, where = files.make_all(settings, reporter, output)
        else:
            reports = [collect(settings, name, reporter, version, pictures=json) for name in names]
    print_json([found.row() for found in reports], json=json)
    if not json:
        for found in reports:
            show(standalone(found))
    if prometheus is not None:
        from flows.reports.prometheus import write

        write(settings, prometheus, None if feature is None else [feature])
        say(f"wrote {prometheus}")
    if where is not None:
        say(f"wrote {where}")
        if output is not None:
            say("this file is a copy of what it shows: `vecmill erase` does not reach it")
    if open_it and where is not None:
        import webbrowser

        webbrowser.open(where.resolve().as_uri())
    return FINE
