"""The command that shows what a run said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from flows.commands._app import RUN, AsJson, Conf, Flag, app, load
from flows.commands._words import show
from flows.output.answers import print_json, say
from flows.output.codes import FINE

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from flows.config.settings import Settings
    from flows.lifecycle.run_logs import RunLogFile


@app.command(usage="Usage: vecmill logs [OPTIONS] [RUN]", group=RUN)
def logs(
    run: str | None = None,
    /,
    *,
    follow: Annotated[
        bool, Parameter(name=["-f", "--follow"], negative="", show_default=False)
    ] = False,
    verbose: Flag = False,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Show what a run said: its stages, notes, shards and how it ended.

    Killed and failed runs have logs too. With --json every line of the log is shown as it is kept.

    Parameters
    ----------
    run
        The beginning of a run's id; or a feature, for its last run. The last run where none is
        named.
    follow
        Go on showing what is said until the run has ended.
    verbose
        Show every shard as well.
    """
    from flows.lifecycle import run_logs
    from flows.output.log_lines import told

    settings = load(conf)
    found = run_logs.find(settings, run)
    left_dead = False
    for entry in _entries(settings, found, follow=follow):
        left_dead |= entry.get("event") == "done" and bool(entry.get("dead"))
        if json:
            print_json([entry], json=True)
        elif verbose or entry.get("event") not in {"shard", "progress"} or follow:
            show(told(entry))
    if not follow and run_logs.under_way(settings, found):
        say(f"the run is under way; `vecmill logs {found.run_id} --follow` goes on with it")
    elif not run_logs.has_ended(found):
        say(
            "the log ends here: the process was killed. Nothing half done is published, and "
            f"`vecmill run {found.feature}` goes on from here"
        )
    if left_dead:
        say(f"it left dead letters; `vecmill dead {found.feature}` says which records, and why")
    return FINE


def _entries(settings: Settings, found: RunLogFile, *, follow: bool) -> Generator[dict[str, Any]]:
    from flows.lifecycle import run_logs

    if not follow:
        yield from run_logs.lines(found)
        return
    try:
        yield from run_logs.follow(settings, found)
    except BaseException as error:  # a signal ends the looking alone
        error.add_note(f"the run itself goes on, and `vecmill logs {found.run_id}` shows how")
        raise
