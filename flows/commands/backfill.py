"""The command that fills a stretch of event times, window by window."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from flows.commands._app import RUN, AsJson, Conf, Flag, IsDirect, app, load, moment, target
from flows.output import units
from flows.output.answers import print_json, say, table
from flows.output.codes import FAILED, FINE
from flows.pipeline.scope import Every  # noqa: TC001 - cyclopts reads the annotations when it runs

_COLUMNS = (
    "since", "until", "status", "predicted_records", "records", "predicted_encoded", "encoded",
    "predicted_seconds", "seconds", "predicted_cost", "cost", "currency",
)  # fmt: skip


@app.command(group=RUN)
def backfill(  # noqa: PLR0913 - one option a choice
    feature: str,
    /,
    *,
    since: Annotated[str, Parameter(metavar="TIME")],
    until: Annotated[str | None, Parameter(metavar="TIME")] = None,
    version: Annotated[str, Parameter(metavar="WHICH")] = "configured",
    every: Every | None = None,
    limit: Annotated[int | None, Parameter(metavar="N")] = None,
    workers: Annotated[int | None, Parameter(metavar="N")] = None,
    dry_run: Flag = False,
    allow_alarms: Flag = False,
    conf: Conf = None,
    json: AsJson = False,
    direct: IsDirect = None,
) -> int:
    """Encode the records of a stretch of event times, a run a window.

    It adds and changes records and removes none. Asked for again after it stopped, it goes on
    with the windows that are not done.

    Parameters
    ----------
    feature
        The feature to fill.
    since
        The first event time: 2026-01-31, or 2026-01-31T12:00 (UTC where it names no zone).
    until
        The first event time after it; where none is given now, or where the one that stopped
        was to end.
    version
        The version to fill: configured, live, candidate, or a number.
    every
        How long a window is; one for all where none is given.
    limit
        Encode at most so many contents.
    workers
        Shards to encode at once, instead of what [engine] says.
    dry_run
        Only say what it would take.
    allow_alarms
        Publish windows in spite of alarms that block publishing; they are kept.
    """
    from flows.output.console import reporting
    from flows.pipeline import backfills
    from flows.runner import runner
    from storage.model import UsageError

    if workers is not None and workers < 1:
        raise UsageError(f"--workers must be at least 1, got {workers}")
    ends = moment("--until", until) if until is not None else None
    asked = backfills.Asked(
        *(moment("--since", since), ends, every, target(version), limit, allow_alarms)
    )
    settings = load(conf)
    settings.feature(feature)  # before Prefect is started, which takes seconds
    with reporting() as reporter:
        if dry_run:
            rows = [
                backfills.plain(row) for row in backfills.plan(settings, feature, asked, reporter)
            ]
        else:
            with runner(settings, reporter, direct=direct) as carry_out:
                rows = carry_out.backfill(feature, asked, workers)
    print_json(rows, json=json)
    if not json:
        # Days on which nothing happened say nothing.
        table([row for row in rows if row["predicted_records"] or row["records"]], _COLUMNS)
        say(f"{feature}: {_in_words(rows)}")
    return FAILED if any(row["status"] == "failed" for row in rows) else FINE


def _in_words(rows: list[dict[str, Any]]) -> str:
    """What was predicted, and what came of it."""
    done = [row for row in rows if row["status"] == "done"]
    open_ = [row for row in rows if row["status"] != "done"]
    words = f"{len(done):,} of {len(rows):,} windows are done"
    if done:
        took = sum(row["seconds"] for row in done)
        encoded = units.several(sum(row["encoded"] for row in done), "content")
        words += f", {encoded} encoded in {units.duration(took)}"
        told = [row["predicted_seconds"] for row in done]
        words += "" if None in told else f" ({units.duration(sum(told))} predicted)"
    if open_:
        left = sum(row["predicted_encoded"] or 0 for row in open_)
        left -= sum(row["encoded"] or 0 for row in open_)
        seconds = [row["predicted_seconds"] for row in open_]
        time = "" if None in seconds else f", {units.about(sum(seconds))}"
        costs = [row["predicted_cost"] for row in open_ if row["predicted_cost"] is not None]
        money = f", about {sum(costs):,.4g} {open_[0]['currency']}" if costs else ""
        words += f"; {units.several(left, 'content')} to encode{time}{money}"
        words += "; ask for the same again to go on" if done else ""
    return words
