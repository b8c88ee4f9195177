"""Commands that bring features up to date, or say what that would take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.commands._app import (
    RUN,
    AsJson,
    Conf,
    Flag,
    IsDirect,
    app,
    chosen,
    load,
    target,
    targets,
)
from flows.output.answers import explain_plan, failure, print_json, say, table
from flows.output.codes import FAILED, FINDING, FINE, report

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flows.config.settings import Settings
    from flows.output.progress import Reporter
    from flows.pipeline.scope import Scope, Target
    from flows.runner import Runner

Which = Annotated[str | None, Parameter(metavar="WHICH")]

_COUNTS = (
    "feature", "version", "standing", "records", "new", "changed", "updated", "unchanged",
    "deleted", "deduplicated", "encoded", "resumed", "dead", "seconds",
)  # fmt: skip


@app.command(usage="Usage: vecmill plan [OPTIONS] [FEATURES...]", group=RUN, sort_key=1)
def plan(
    *features: str,
    version: Which = None,
    full: Flag = False,
    conf: Conf = None,
    json: AsJson = False,
    direct: Annotated[bool | None, Parameter(show_default=False)] = None,
) -> int:
    """Show what a run would do, with the expected time, and write nothing.

    The exit code is 1 where a run would publish nothing.

    Parameters
    ----------
    features
        The features to plan; all where none is named.
    version
        The version to plan for: configured, live, candidate, or a number.
    full
        Read the whole source, even if it says that nothing has changed.
    direct
        As of run: a plan never needs a server, so that it is the same with it and without.
    """
    del direct
    from flows.output.console import reporting
    from flows.pipeline import stages as pipeline
    from flows.pipeline.over import NotYetError
    from flows.pipeline.scope import Scope

    settings = load(conf)
    which = None if version is None else target(version)
    rows = []
    code = FINE
    names = chosen(settings, features)
    with reporting() as reporter:
        for name in names:
            try:
                several: list[Target] = targets(settings, name) if which is None else [which]
                for one in several:
                    found = pipeline.plan(
                        settings, name, reporter, target=one, scope=Scope(full=full)
                    )
                    rows.append(found.row())
                    print_json(rows[-1:], json=json)
                    code = code if found.problem is None else FAILED
            except Exception as error:  # noqa: BLE001 - the other features have a right to their plan
                if isinstance(error, NotYetError) and set(error.parts) <= set(names):
                    # `vecmill run` of the same names brings these up first.
                    parts = " and ".join(error.parts)
                    reporter.note(f"{name}: is over {parts}, so it can be planned after that")
                    continue
                code = max(code, report(error, name))
                print_json([failure(name, error)], json=json)
    if not json and rows:
        table(rows, _COUNTS)
        explain_plan(rows)
    return code


@app.command(usage="Usage: vecmill run [OPTIONS] [FEATURES...]", group=RUN, sort_key=2)
def run(  # noqa: PLR0913 - one option a choice
    *features: str,
    conf: Conf = None,
    json: AsJson = False,
    direct: IsDirect = None,
    refit: Flag = False,
    version: Which = None,
    full: Flag = False,
    allow_deletes: Flag = False,
    allow_alarms: Flag = False,
) -> int:
    """Bring features up to date: plan, encode what is new or changed, commit, publish, monitor.

    A feature that fails does not keep the others from running.

    Parameters
    ----------
    features
        The features to run; all where none is named.
    refit
        Let encoders that learn do so again, which makes a new version.
    version
        The version to bring up to date: configured, live, candidate, or a number.
    full
        Read the whole source, even if it says that nothing, or only a part, has changed.
    allow_deletes
        Remove however many records have vanished from the source, whatever max_deleted says.
    allow_alarms
        Publish in spite of alarms that block publishing; they are kept.
    """
    from flows.pipeline.scope import Scope

    scope = Scope(full=full, allow_deletes=allow_deletes, allow_alarms=allow_alarms)
    return _run(features, conf, version, scope, json=json, direct=direct, refit=refit)


@app.command(usage="Usage: vecmill replay [OPTIONS] [FEATURES...]", group=RUN)
def replay(
    *features: str,
    conf: Conf = None,
    json: AsJson = False,
    direct: IsDirect = None,
    version: Which = None,
    allow_alarms: Flag = False,
) -> int:
    """Try dead letters again: a run that takes on also what the encoder has failed on before.

    Parameters
    ----------
    features
        The features to run; all where none is named.
    version
        The version to bring up to date: configured, live, candidate, or a number.
    allow_alarms
        Publish in spite of alarms that block publishing; they are kept.
    """
    from flows.pipeline.scope import Scope

    scope = Scope("replay", full=True, retry_dead=True, allow_alarms=allow_alarms)
    return _run(features, conf, version, scope, json=json, direct=direct)


def _run(
    features: Sequence[str],
    conf: Path | None,
    version: str | None,
    scope: Scope,
    *,
    json: bool,
    direct: bool | None,
    refit: bool = False,
) -> int:
    from flows.output.console import reporting
    from flows.pipeline import unbegun
    from flows.runner import runner

    settings = load(conf)
    which = None if version is None else target(version)
    names = chosen(settings, features)
    worst = FINE
    rows: list[dict[str, Any]] = []
    failed: list[tuple[str, Exception]] = []
    with reporting() as reporter, runner(settings, reporter, direct=direct) as carry_out:
        for name in names:
            try:
                with unbegun.noted(settings, name, scope):
                    worst = max(worst, _make_up(settings, carry_out, reporter, name))
                    # A refit is of the encoder as configured, and of no other.
                    several: list[Target] = ["configured"] if refit else targets(settings, name)
                several = several if which is None else [which]
                for one in several:
                    row = carry_out.embed(name, refit=refit, target=one, scope=scope)
                    row["status"] = "done"
                    rows.append(row)
                    print_json(rows[-1:], json=json)
                    worst = max(worst, _watch(settings, carry_out, reporter, row))
            except Exception as error:  # noqa: BLE001 - the other features have a right to their run
                failed.append((name, error))
                print_json([failure(name, error)], json=json)
                if len(names) > 1:
                    reporter.note(f"{name}: failed; the others go on")
    if not json and rows:
        table(rows, _COUNTS)
        for row in rows:
            if row["dead"]:
                say(f"{row['feature']}: {row['dead']:,} of the records could not be read or "
                    f"encoded; `vecmill dead {row['feature']}` says which, and why"
                    f"{_kept(settings, row)}")  # fmt: skip
    codes = {report(error, name) for name, error in failed}
    return worst if not codes else FAILED if FAILED in codes else codes.pop()


def _kept(settings: Settings, row: dict[str, Any]) -> str:
    """How many of a version's dead letters are of records that have an older vector."""
    from flows.config.stores import Stores
    from flows.pipeline.dead import keeping

    stores = Stores.of(settings)
    versions = stores.catalog.versions(row["feature"])
    number = sum(len(keeping(stores, v)) for v in versions if v.version == row["version"])
    if not number:
        return ""
    kept = "keeps the vector it had" if number == 1 else "keep the vector they had"
    return f". {number:,} of them {kept} before"


def _watch(settings: Settings, carry_out: Runner, reporter: Reporter, row: dict[str, Any]) -> int:
    """Let a feature's monitors look at what a run wrote, where it wrote something."""
    name = row["feature"]
    if not settings.feature(name).monitors or not row["new"] + row["changed"]:
        return FINE
    return _monitor(carry_out, reporter, name, row["version"])


def _make_up(settings: Settings, carry_out: Runner, reporter: Reporter, name: str) -> int:
    """Let the monitors look at what an earlier run wrote that ended before they did."""
    from flows.monitoring.looks import missed

    worst = FINE
    for number in missed(settings, name):
        reporter.note(f"{name}: the monitors have yet to look at the last run of v{number}")
        try:
            worst = max(worst, _monitor(carry_out, reporter, name, number))
        except Exception as error:  # noqa: BLE001 - what was published before must not keep this run back
            reporter.note(f"{name}: the monitors cannot look at v{number}: {error}")
    return worst


def _monitor(carry_out: Runner, reporter: Reporter, name: str, number: int) -> int:
    from flows.monitoring.findings import after_run

    findings = carry_out.monitor(name, number, again=False)
    for line in after_run(name, number, findings):
        reporter.note(line)
    return FINDING if any(finding["verdict"] == "alarm" for finding in findings) else FINE
