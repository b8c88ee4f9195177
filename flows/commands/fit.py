"""The command that lets an encoder learn, as a step of its own."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from flows.commands._app import RUN, AsJson, Conf, IsDirect, app, load, moment
from flows.output.answers import print_json, say, table
from flows.output.codes import FINE


@app.command(group=RUN)
def fit(
    feature: str,
    /,
    *,
    since: Annotated[str | None, Parameter(metavar="TIME")] = None,
    until: Annotated[str | None, Parameter(metavar="TIME")] = None,
    sample: Annotated[int | None, Parameter(metavar="N")] = None,
    conf: Conf = None,
    json: AsJson = False,
    direct: IsDirect = None,
) -> int:
    """Let a feature's encoder learn from its records, and register what it learned as a version.

    Nothing is encoded: the next run fills the version. The same records teach the same.

    Parameters
    ----------
    feature
        The feature.
    since
        Learn from records with this event time or a later one: 2026-01-31, or 2026-01-31T12:00
        (UTC where it names no zone).
    until
        Learn from records with an event time before this.
    sample
        How many records to draw; where none is given, what the encoder asks for.
    """
    from flows.output.console import reporting
    from flows.pipeline.learning import Draw
    from flows.runner import runner

    begin = None if since is None else moment("--since", since)
    end = None if until is None else moment("--until", until)
    settings = load(conf)
    settings.feature(feature)  # before Prefect is started, which takes seconds
    with reporting() as reporter, runner(settings, reporter, direct=direct) as carry_out:
        row = carry_out.fit(feature, Draw(sample, begin, end))
    print_json([row], json=json)
    if not json:
        table([row], ("feature", "version", "standing", "encoder", "kind", "dim", "records",
                      "since", "until", "seconds"))  # fmt: skip
    say(f"{feature}: {row['next']}")
    return FINE
