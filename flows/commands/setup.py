"""Commands for the first steps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from flows.commands._app import app
from flows.output.answers import say
from flows.output.codes import FAILED, FINE


@app.command(usage="Usage: vecmill init [FOLDER]")
def init(folder: Annotated[Path, Parameter(show_default=False)] = Path(), /) -> int:
    """Write a commented starter configuration to FOLDER/conf/base.toml.

    Parameters
    ----------
    folder
        The project's folder; without it the one you are in.
    """
    from flows.config.starter import write

    path = write(folder)
    conf = "" if folder.resolve() == Path.cwd() else f" --conf {path}"
    say(f"wrote {path}; edit it, then try `vecmill plan{conf}`")
    return FINE


@app.command
def demo(*, conf: Annotated[Path, Parameter(metavar="FILE")] = Path("conf/demo.toml")) -> int:
    """Run the whole pipeline on real records of four modalities, offline, and show what it does.

    Parameters
    ----------
    conf
        Its configuration; the store that it names is made anew.
    """
    from flows.demo.job import demo as show

    return FINE if show(conf) else FAILED
