"""Commands that change which version of a feature readers get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from flows.commands._app import VERSIONS, AsJson, Conf, Flag, Ordinal, app, load
from flows.output.answers import complain, print_json, say, table
from flows.output.codes import FINDING, FINE, USAGE
from storage.model import UsageError

if TYPE_CHECKING:
    from flows.config.settings import Settings

Reason = Annotated[str | None, Parameter(metavar="TEXT", help="Why; kept in the catalog's log.")]


@app.command(group=VERSIONS)
def promote(
    feature: str,
    version: str,
    /,
    *,
    force: Flag = False,
    reason: Reason = None,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Make a version the live one, which readers of the feature get from then on.

    It must pass the gates of [features.NAME.gates]; where one fails, nothing changes and the exit
    code is 3.

    Parameters
    ----------
    feature
        The feature.
    version
        The number of one of its versions, as `vecmill versions` shows them, or: candidate, for
        the newest one that has not been live.
    force
        Make it live though a gate fails; needs --reason.
    """
    from flows.lifecycle import promotion as lifecycle

    settings = load(conf)
    try:
        which = _which(version)
        done = lifecycle.promote(settings, feature, which, force=force, reason=reason)
    except lifecycle.GateError as error:
        print_json([verdict.row() for verdict in error.verdicts], json=json)
        if not json:
            table([verdict.row() for verdict in error.verdicts], ("gate", "passed", "told"))
        complain(str(error) if json else error.brief, code=FINDING)
        return FINDING
    print_json([verdict.row() for verdict in done.gates], json=json)
    failed = ", ".join(verdict.gate for verdict in done.gates if not verdict.passed)
    already = "" if done.changed else " already"
    say(f"{done.version.table} is live{already}{f', forced past {failed}' if failed else ''}")
    if done.changed:
        _tell_over(settings, feature)
    return FINE


def _tell_over(settings: Settings, feature: str) -> None:
    """Say what is made of a feature's vectors, and stays what it is."""
    from flows.pipeline import kin

    if above := kin.descendants(settings.features, feature):
        names = " and ".join(reversed(above))
        say(
            f"over {feature} is {names}, which stays as it is: its next run goes to the version "
            "over this one, to be promoted after it where it is not live"
        )


def _which(text: str) -> int | Literal["candidate"]:
    number = text.removeprefix("v")
    if number.isdecimal():
        return int(number)
    if text != "candidate":
        raise UsageError(f"name a version by its number, or: candidate; got {text!r}")
    return "candidate"


@app.command(group=VERSIONS)
def rollback(
    feature: str, /, *, reason: Reason = None, conf: Conf = None, json: AsJson = False
) -> int:
    """Make the version live again that was so before the present one; at once, through no gate.

    Parameters
    ----------
    feature
        The feature; again and again walks further back.
    """
    from flows.lifecycle import promotion as lifecycle

    settings = load(conf)
    before, after = lifecycle.rollback(settings, feature, reason)
    print_json([{"feature": feature, "live": after, "retired": before}], json=json)
    told = (
        f"{feature}_v{after} is live again; {feature}_v{before} is retired, and is brought back "
        f"with `vecmill promote {feature} {before}`"
    )
    if lifecycle.goes_elsewhere(settings, feature, after):
        told += (
            ". Runs go on with the encoder as configured: set it back, or set "
            f'update = "live" in [features.{feature}]'
        )
    say(told)
    _tell_over(settings, feature)
    return FINE


@app.command(usage="Usage: vecmill retire [OPTIONS] FEATURE [VERSION]", group=VERSIONS)
def retire(
    feature: str,
    version: Ordinal | None = None,
    /,
    *,
    all: Flag = False,  # noqa: A002 - the option's name
    reason: Reason = None,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Give a candidate up. It keeps its vectors, and can be promoted again until it is dropped.

    Parameters
    ----------
    feature
        The feature.
    version
        The number of one of its versions.
    all
        Give up every version, the live one too, of a feature that is configured no more.
    """
    from flows.lifecycle import promotion as lifecycle

    if all == (version is not None):
        complain(
            f"name one version of {feature}, or --all of them; `vecmill versions` shows them",
            code=USAGE,
        )
        return USAGE
    if version is not None:
        changed = lifecycle.retire(load(conf), feature, version, reason)
        print_json([{"feature": feature, "retired": [version], "changed": changed}], json=json)
        say(f"{feature}_v{version} is retired{'' if changed else ' already'}")
        return FINE
    numbers = lifecycle.retire_all(load(conf), feature, reason)
    row = {"feature": feature, "retired": list(numbers), "changed": bool(numbers)}
    print_json([row], json=json)
    told = ", ".join(f"v{number}" for number in numbers) or "nothing was left to retire"
    say(f"{feature}: {told} retired" if numbers else f"{feature}: {told}")
    return FINE
