"""The command that finds the fastest settings of an encoder on this machine."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from flows.commands._app import RUN, AsJson, Conf, Flag, app, load
from flows.commands._words import show
from flows.output.answers import print_json, say, table
from flows.output.codes import FINE


@app.command(group=RUN)
def tune(
    feature: str,
    /,
    *,
    sample: Annotated[int, Parameter(metavar="N")] = 128,
    fidelity: Annotated[float, Parameter(metavar="COSINE")] = 0.999,
    write: Flag = False,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Measure types, batches and threads of a feature's encoder here; writes only with --write.

    Parameters
    ----------
    feature
        The feature.
    sample
        How many of its records to encode each time, at most.
    fidelity
        The least cosine that a record's vector must have to the one in float32.
    write
        Put the fastest faithful settings into the configuration file, whose comments stay.
    """
    from flows.output.console import reporting
    from flows.tuning import measuring as tuning
    from flows.tuning import tuned

    settings = load(conf)
    with reporting() as reporter:
        found = tuning.measure(settings, feature, reporter, size=sample, fidelity=fidelity)
    rows = tuned.table(found)
    print_json(rows, json=json)
    if not json:
        table(rows, [name for name in rows[0] if name not in {"feature", "encoder"}])
        for sentence in tuned.sentences(found):
            show(sentence)
    if write:
        for line in tuned.write(found, settings):
            say(line)
    elif not json and (advice := tuned.advice(found)):
        say(advice)
    return FINE
