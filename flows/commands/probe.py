"""The command that tells which feature's vectors say most of a label."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from flows.commands._app import LOOK, AsJson, Conf, Flag, app, load
from flows.commands._words import show
from flows.output.answers import print_json, table
from flows.output.codes import FINE


@app.command(usage="Usage: vecmill probe --label COLUMN [OPTIONS] FEATURES...", group=LOOK)
def probe(
    *features: str,
    label: Annotated[str, Parameter(metavar="COLUMN")],
    group: Annotated[str | None, Parameter(metavar="COLUMN")] = None,
    folds: Annotated[int | None, Parameter(metavar="N")] = None,
    numeric: Flag = False,
    sample: Annotated[int, Parameter(metavar="N")] = 5000,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Measure how well vectors tell a label, by a linear and a nearest-neighbour probe.

    Of several features the same records and folds are taken, joined by record id, and each is held
    against the first: which encoder is better for a task of one's own. Writes nothing.

    Parameters
    ----------
    features
        The features, by their live versions.
    label
        A kept column of the first feature: what is to be told.
    group
        A kept column whose records stay in one fold, such as speaker: what is learned of some is
        tested on others.
    folds
        In how many parts records are cut; 5, or as many as there are groups.
    numeric
        The label is a number: ridge regression, and R² instead of accuracy.
    sample
        How many records to draw, at most.
    """
    from flows.analysis.probes import Asked
    from flows.analysis.probes import probe as measure
    from flows.output.answers import complain
    from flows.output.codes import USAGE

    if not features:
        complain("probe takes a feature, or several to compare, and --label COLUMN", code=USAGE)
        return USAGE
    found = measure(load(conf), features, Asked(label, group, folds, numeric, sample))
    rows = found.table()
    print_json(rows, json=json)
    if not json:
        hidden = {"baseline", "folds", "records", "difference", "low", "high", "p_value"}
        table(rows, [name for name in rows[0] if name not in hidden])
        for sentence in found.sentences():
            show(sentence)
    return FINE
