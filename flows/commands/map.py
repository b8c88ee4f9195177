"""The commands that show a feature as a map."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations when it runs
from typing import Annotated, Literal

from cyclopts import Parameter

from flows.commands._app import LOOK, AsJson, Conf, Flag, Ordinal, app, load
from flows.commands._words import show
from flows.output.answers import print_json, say
from flows.output.codes import FINE


@app.command(name="map", group=LOOK)
def draw_map(  # noqa: PLR0913 - one option a choice
    feature: str,
    /,
    *,
    method: Literal["tsne", "umap", "pca"] = "tsne",
    color: Annotated[str | None, Parameter(metavar="COLUMN")] = None,
    version: Ordinal | None = None,
    sample: Annotated[int, Parameter(metavar="N")] = 20_000,
    anew: Flag = False,
    output: Annotated[
        tuple[Path, ...],
        Parameter(name=["-o", "--output"], metavar="FILE", negative="", show_default=False),
    ] = (),
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Draw a feature as a map: a picture, and a page to look around in.

    The first map of a version is kept. Later ones leave its points where they are and place new
    and changed records among them, so that one map can be held against the next.

    Parameters
    ----------
    feature
        The feature.
    method
        How to lay records out: t-SNE, UMAP, or their two principal components.
    color
        A kept column to colour by, or event_time.
    version
        The version to draw, instead of the live one.
    sample
        How many records to show, at most.
    anew
        Lay all records out afresh, and keep that instead.
    output
        The file to write; .html is a page, .png, .pdf and .svg are pictures. May be given more than
        once. Both a page and a picture in the current folder where none is given.
    """
    from flows.maps import files as map_files
    from flows.maps.drawing import Asked, columns, draw
    from flows.output.console import reporting

    settings = load(conf)
    map_files.check(output)
    if color is not None:
        map_files.check_column(columns(settings, feature, version), color)
    with reporting() as reporter:
        found = draw(settings, feature, Asked(method, version, sample, anew), reporter)
        targets = output or map_files.default(found)
        reporter.stage(feature, "draw", None)
        map_files.write(settings, found, color, targets)
    print_json([found.row() | {"files": [str(target) for target in targets]}], json=json)
    if not json:
        for sentence in found.sentences():
            show(sentence)
    for target in targets:
        say(f"wrote {target}")
    say("these files are copies of what they show: `vecmill erase` does not reach them")
    return FINE


@app.command(group=LOOK)
def explore(
    feature: str,
    /,
    *,
    version: Ordinal | None = None,
    sample: Annotated[int, Parameter(metavar="N")] = 100_000,
    port: Annotated[int, Parameter(metavar="N")] = 5055,
    conf: Conf = None,
) -> int:
    """Open a feature in Embedding Atlas, in a browser, until it is stopped with Ctrl-C.

    It is given the vectors, the kept columns, and the places of the map that is kept.

    Parameters
    ----------
    feature
        The feature.
    version
        The version to open, instead of the live one.
    sample
        How many records to open, at most.
    port
        Where to serve it, on this machine alone.
    """
    from flows.maps.explore import explore as opened

    return opened(load(conf), feature, number=version, size=sample, port=port)
