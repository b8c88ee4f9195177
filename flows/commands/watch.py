"""Commands that look after what runs have made."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows.commands._app import (
    BEGIN,
    LOOK,
    RUN,
    WATCH,
    AsJson,
    Conf,
    Flag,
    IsDirect,
    Ordinal,
    app,
    load,
)
from flows.commands._app import stores as stores_of
from flows.monitoring.findings import show
from flows.output import units
from flows.output.answers import listing, print_json, say, table
from flows.output.codes import FAILED, FINDING, FINE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flows.config.settings import Settings


@app.command(group=WATCH)
def monitor(
    feature: str,
    /,
    *,
    version: Ordinal | None = None,
    conf: Conf = None,
    json: AsJson = False,
    direct: IsDirect = None,
    calibrate: int | None = None,
) -> int:
    """Compare what a feature's last run wrote with what stood before it.

    The exit code is 3 where a monitor raises an alarm. One that a series of looks does not carry
    is to "watch", and is none: see false_alarms.

    Parameters
    ----------
    feature
        The feature to look at.
    version
        The version to look at, instead of the live one.
    calibrate
        Measure instead how often each monitor is wrong on rows of yours that nothing has happened
        to: so many random splits of the reference. Nothing is kept of it; 200 are a good number.
    """
    from flows.config.stores import Stores
    from flows.output.console import reporting
    from flows.runner import runner
    from storage.alerts import snoozed, until

    settings = load(conf)
    settings.feature(feature)  # before Prefect is started, which takes seconds
    if calibrate is not None:
        return _calibrate(settings, feature, calibrate, version, json=json)
    with reporting() as reporter, runner(settings, reporter, direct=direct) as carry_out:
        findings = carry_out.monitor(feature, version)
    print_json(findings, json=json)
    if not json:
        show(findings)
        for finding in findings:
            if finding["verdict"] == "alarm" and finding["record_ids"]:
                say(f"{finding['monitor']}, clearest records: {', '.join(finding['record_ids'])}")
        asleep = snoozed(Stores.of(settings).catalog, feature)
        for finding in findings:
            if (moment := until(asleep, finding["monitor"])) is not None:
                told = f"snoozed until {units.moment(moment)}, so no alert of it is sent"
                say(f"{finding['monitor']}: {told}")
    alarms = any(finding["verdict"] == "alarm" for finding in findings)
    return FINDING if alarms else FINE


def _calibrate(
    settings: Settings, feature: str, looks: int, version: int | None, *, json: bool
) -> int:
    """The exit code is 0 whatever is measured: it is a figure to read, and no finding."""
    from flows.monitoring.calibrating import calibrate
    from flows.output.console import reporting

    with reporting() as reporter:
        rates = [rate.row() for rate in calibrate(settings, feature, looks, reporter, version)]
    print_json(rates, json=json)
    if not json:
        table(rates, ("monitor", "looks", "flagged", "share", "low", "high", "alpha", "told"))
    return FINE


@app.command(usage="Usage: vecmill dead [OPTIONS] [FEATURE]", group=RUN)
def dead(feature: str | None = None, /, *, conf: Conf = None, json: AsJson = False) -> int:
    """List the records that could not be read or encoded, each with its place and reason.

    Those marked "not published" are of a run that failed of too many, and published nothing. A
    record that "keeps its older vector" is still found by that, of what it was before.

    Parameters
    ----------
    feature
        The feature to list them of; all where none is named.
    """
    from flows.pipeline.dead import keepers

    stores, settings = stores_of(conf)
    if feature is not None:
        settings.feature(feature)
    found = stores.catalog.query(
        "SELECT d.* FROM dead_letters d WHERE $1 IS NULL OR feature = $1 "
        "ORDER BY feature, version, place",
        feature,
    )
    rows = found.to_pylist()
    kept = keepers(stores, {(row["feature"], row["version"]) for row in rows})
    for row in rows:
        row["keeps_vector"] = (row["feature"], row["version"], row["record_id"]) in kept
    print_json(rows, json=json)
    if not rows:
        say("no dead letters")
    elif not json:
        rows = [row | {"why": f"{row['place']}: {row['reason']}"} for row in rows]
        for row in rows:
            states = [] if row["published"] else ["not published"]
            states += ["keeps its older vector"] if row["keeps_vector"] else []
            row["state"] = ", ".join(states)
        listing(rows, ("feature", "version", "stage", "record_id", "state"), "why")
    return FINE


@app.command(group=LOOK, sort_key=1)
def status(*, exit_code: Flag = False, conf: Conf = None, json: AsJson = False) -> int:
    """Show each feature: its versions, rows, dead letters, alarms and last run.

    The exit code is 0 whatever there is to see; --exit-code has it tell.

    Parameters
    ----------
    exit_code
        End with 1 where the last run of a version that is not retired failed, a schedule is
        overdue or a table is gone, and else with 3 where an alarm stands.
    """
    from flows.lifecycle.status import status as rows_of
    from flows.output.standing_lines import code, last_run, told

    rows = rows_of(load(conf))
    print_json(rows, json=json)
    if not json:
        now = datetime.now(UTC)
        shown = [row | {"last_run": last_run(row, now)} for row in rows]
        table(shown, ("feature", "version", "standing", "encoder", "dim", "rows", "dead",
                      "unpublished_dead", "alarms", "watches", "last_run"))  # fmt: skip
        for sentence in told(rows, now):
            say(sentence)
    if not rows:
        say("no feature is configured and none has run")
    elif not json:
        for row in _candidates(rows):
            promote = f"`vecmill promote {row['feature']} {row['version']}`"
            say(f"{row['feature']} v{row['version']} is a candidate: readers do not see it until "
                f"{promote}")  # fmt: skip
    return code(rows) if exit_code else FINE


def _candidates(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The newest version of each feature where it has rows and is a candidate."""
    newest = {row["feature"]: row for row in rows}
    return (row for row in newest.values() if row["standing"] == "candidate" and row["rows"])


@app.command(group=BEGIN)
def doctor(*, conf: Conf = None, json: AsJson = False) -> int:
    """Check this machine, the packages, the configuration and the store, and say what to mend."""
    from flows.upkeep.doctor import examine

    checks = [asdict(check) for check in examine(conf)]
    print_json(checks, json=json)
    if not json:
        rows = [c | {"found": c["found"] + (f" → {c['advice']}" if c["advice"] else "")}
                for c in checks]  # fmt: skip
        table(rows, ("check", "state", "found"))
    return FAILED if any(check["state"] == "broken" for check in checks) else FINE
