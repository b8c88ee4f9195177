"""The command that shows what fewer dimensions would cost."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - cyclopts reads the annotations when it runs
from typing import Annotated

from cyclopts import Parameter

from flows.commands._app import LOOK, AsJson, Conf, Ordinal, app, load
from flows.commands._words import show
from flows.output.answers import print_json, say, table
from flows.output.codes import FINE


@app.command(group=LOOK)
def dims(  # noqa: PLR0913 - one option a choice
    feature: str,
    /,
    *,
    widths: Annotated[str | None, Parameter(name="--try", metavar="N,N,…")] = None,
    label: Annotated[str | None, Parameter(metavar="COLUMN")] = None,
    sample: Annotated[int, Parameter(metavar="N")] = 2000,
    version: Ordinal | None = None,
    png: Annotated[Path | None, Parameter(metavar="FILE")] = None,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Show quality, size and search speed against the number of dimensions; writes nothing.

    Parameters
    ----------
    feature
        The feature.
    widths
        The numbers of dimensions to try, such as 32,64,128; powers of two where none is given.
    label
        A kept column that vectors should tell: adds the accuracy of a linear probe.
    sample
        How many records to measure on, at most.
    version
        The version to measure, instead of the live one.
    png
        Draw it into this file as well.
    """
    from flows.analysis.widths import measure
    from flows.analysis.widths_plot import plot

    found = measure(
        *(load(conf), feature, _numbers(widths)), label=label, size=sample, number=version
    )
    rows = found.table()
    print_json(rows, json=json)
    if not json:
        table(rows, [name for name in rows[0] if name not in {"feature", "version"}])
        for sentence in found.sentences():
            show(sentence)
    if png is not None:
        plot(found, png)
        say(f"wrote {png}")
    return FINE


def _numbers(text: str | None) -> list[int]:
    from storage.model import UsageError

    if text is None:
        return []
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"--try takes numbers with commas between them, as 32,64; got {text!r}")
    return [int(part) for part in parts]
