"""Commands that show the versions of a feature, what made them, and how they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.commands._app import VERSIONS, AsJson, Conf, Number, Ordinal, app, load
from flows.commands._words import show, show_value
from flows.output.answers import print_json, say, table, told
from flows.output.codes import FINE

if TYPE_CHECKING:
    from flows.lifecycle.comparison import Side

_SHORT = 12


@app.command(usage="Usage: vecmill versions [OPTIONS] [FEATURE]", group=VERSIONS)
def versions(feature: str | None = None, /, *, conf: Conf = None, json: AsJson = False) -> int:
    """Show every version: its standing, how its encoder differs from the live one's, its state.

    Parameters
    ----------
    feature
        The feature whose versions to show; all where none is named.
    """
    from flows.lifecycle import recipes

    rows = recipes.versions(load(conf), feature)
    print_json(rows, json=json)
    if not rows:
        say("no version has been made yet; `vecmill run` makes the first")
    elif not json:
        shown = [row | {"fingerprint": row["fingerprint"][:_SHORT]} for row in rows]
        table(shown, ("feature", "version", "standing", "encoder", "about", "learned_from",
                      "fingerprint", "dim", "metric", "rows", "complete", "created_at", "last_run",
                      "code_version", "dropped"))  # fmt: skip
    return FINE


@app.command(usage="Usage: vecmill recipe [OPTIONS] FINGERPRINT | FEATURE VERSION", group=VERSIONS)
def recipe(
    which: str, version: Ordinal | None = None, /, *, conf: Conf = None, json: AsJson = False
) -> int:
    """Show all that decides the vectors of a fingerprint, and the versions that have it.

    Parameters
    ----------
    which
        A fingerprint, or the beginning of one; or a feature.
    version
        The number of one of the feature's versions.
    """
    from flows.lifecycle import recipes

    found = recipes.recipe(load(conf), which, version)
    print_json([found], json=json)
    if not json:
        for key, value in found.items():
            show_value(key, value)
    return FINE


@app.command(usage="Usage: vecmill compare [OPTIONS] FEATURE [[FIRST] SECOND]", group=VERSIONS)
def compare(
    feature: str,
    first: Ordinal | None = None,
    second: Ordinal | None = None,
    /,
    *,
    k: Number = 10,
    sample: Annotated[int, Parameter(metavar="N")] = 2000,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Hold one version against another: rows, neighbours, geometry, cost and drift.

    Parameters
    ----------
    feature
        The feature.
    first
        The number of the version to compare with; the live one where it is left out.
    second
        The number of the version to compare; the candidate where none is given and there is one.
    k
        How many nearest neighbours to compare.
    sample
        How many records to compare the spaces on, at most.
    """
    from flows.lifecycle import compare as comparing

    settings = load(conf)
    one, other = comparing.pair(settings, feature, first, second)
    found = comparing.compare(settings, feature, one, other, k=k, size=sample)
    print_json([found.row()], json=json)
    if json:
        return FINE
    sides = [_column(found.first, found.shared.first), _column(found.second, found.shared.second)]
    table(sides, list(sides[0]))
    for sentence in found.sentences():
        show(sentence)
    for side in (found.first, found.second):
        for monitor, (verdict, summary) in side.monitors.items():
            finding = {"monitor": monitor, "verdict": verdict, "summary": summary}
            show(told(side.table, finding))
    return FINE


def _column(side: Side, records: int) -> dict[str, Any]:
    row = side.row()
    shown = ("version", "standing", "kind", "dim", "metric", "bytes_per_vector", "rate",
             "seconds_per_1000", "complete", "read_at", "dead")  # fmt: skip
    names = {"kind": "encoder", "rate": "records_a_second", "read_at": "brought_up_to_date"}
    return {names.get(key, key): row[key] for key in shown} | {"records": records}
