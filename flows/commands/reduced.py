"""The command that measures smaller vectors against those that they were made of."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from flows.commands._app import LOOK, AsJson, Conf, Ordinal, app, load
from flows.commands._words import show
from flows.output.answers import print_json, table
from flows.output.codes import FINE


@app.command(group=LOOK)
def reduced(
    feature: str,
    /,
    *,
    sample: Annotated[int, Parameter(metavar="N")] = 200,
    version: Ordinal | None = None,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Show what smaller vectors keep of those they were made of, and save; writes nothing.

    Parameters
    ----------
    feature
        A feature over one other, such as one that quantises its vectors.
    sample
        How many records to search by, at most.
    version
        The version to measure, instead of the live one.
    """
    from flows.analysis.reduced import measure

    found = measure(load(conf), feature, size=sample, number=version)
    rows = found.table()
    print_json(rows, json=json)
    if not json:
        table(rows, [name for name in rows[0] if name not in {"version", "rescore"}])
        for sentence in found.sentences():
            show(sentence)
    return FINE
