"""The command that lists the last runs."""

from __future__ import annotations

from flows.commands._app import RUN, AsJson, Conf, Number, app, load
from flows.output.answers import print_json, say, table
from flows.output.codes import FINE

_COLUMNS = (
    "run", "feature", "version", "kind", "status", "started_at", "encoded", "dead", "seconds",
)  # fmt: skip


@app.command(usage="Usage: vecmill runs [OPTIONS] [FEATURE]", group=RUN)
def runs(
    feature: str | None = None, /, *, k: Number = 10, conf: Conf = None, json: AsJson = False
) -> int:
    """List the last runs, the newest first: what each did, and how it ended.

    Parameters
    ----------
    feature
        The feature whose runs to list; all where none is named.
    k
        How many to list.
    """
    from flows.lifecycle.past_runs import past_runs

    rows = past_runs(load(conf), feature, k)
    print_json(rows, json=json)
    if not rows:
        say("nothing has run yet; `vecmill run` does")
    elif not json:
        table(rows, _COLUMNS)
        wrong = [row["run"] for row in rows if row["status"] in {"failed", "crashed"}]
        if wrong:
            say(f"`vecmill logs {wrong[0]}` says what went wrong")
    return FINE
