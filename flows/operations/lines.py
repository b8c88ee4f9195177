"""What the steps of a schedule came to, a line each: for the log of whoever serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.output import units

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_COUNTS = ("new", "changed", "deleted")
_VERDICTS = ("alarm", "watch", "cannot tell", "quiet")
_CRASHED = "its process ended before it was done"
_CANCELLED = "it was cancelled"
_GOES_ON = (
    "nothing half done is published, and the next start goes on from what it encoded; "
    "`vecmill logs` shows how far it came"
)


def ran(row: Mapping[str, Any], looks: Sequence[Mapping[str, Any]] | None, seconds: float) -> str:
    """What a run has done to a version.

    Args:
        row: `flows.pipeline.outcomes.Outcome.row`.
        looks: what its monitors said; None where there were none to look.
        seconds: that the run and the looks took.
    """
    counts = ", ".join(f"{row[key]:,} {key}" for key in _COUNTS)
    counts += f", {row['dead']:,} dead letter{'' if row['dead'] == 1 else 's'}"
    updated = f", {row['updated']:,} with other kept values" if row.get("updated") else ""
    cut = "" if row.get("complete", True) else "; the limit was reached, so that more is to come"
    said = "" if looks is None else f"; {verdicts(looks)}"
    name = row["feature"]
    return (
        f"{name} v{row['version']} ({row['standing']}): {counts}{updated}, {row['rows']:,} rows"
        f"{cut}{said}; {units.duration(seconds)}; see `vecmill logs {row['run']}` and "
        f"`vecmill report {name}`"
    )


def looked(name: str, looks: Sequence[Mapping[str, Any]]) -> str:
    """What the monitors of a feature have said."""
    return f"{name}: {verdicts(looks)}; see `vecmill report {name}`"


def verdicts(looks: Sequence[Mapping[str, Any]]) -> str:
    """How many monitors said what, and what those said that are not quiet."""
    if not looks:
        return "no monitor had anything to look at"
    parts = []
    for verdict in _VERDICTS:
        found = [look for look in looks if look["verdict"] == verdict]
        told = "; ".join(f"{look['monitor']}: {look['summary']}" for look in found)
        shown = f" ({told})" if verdict in {"alarm", "watch"} else ""
        parts += [f"{len(found)} {verdict}{shown}"] if found else []
    return f"monitors: {', '.join(parts)}"


def failed(name: str, error: str, seconds: float, again: str | None, *, usage: bool) -> str:
    """Why a step has failed, and what to do.

    Args:
        name: of the feature, or of the step.
        error: what went wrong; its first line is told.
        seconds: that it took.
        again: the command that tries it again, where there is one for it.
        usage: whether the configuration is at fault.
    """
    first = (error.strip().splitlines() or ["without a word"])[0].rstrip(".")
    first = first.removeprefix(f"{name}: ")
    told = f"{name}: failed after {units.duration(seconds)}: {first}"
    if usage:
        return f"{told}; mend the configuration (`vecmill check` looks it over), and start it again"
    if again is None:
        return f"{told}; the next start tries again"
    return f"{told}; see `vecmill logs {name}`; the next start tries again, or `{again}` does"


def not_begun(schedule: str, error: str, conf: str | None) -> str:
    """Why a schedule has not begun anything: what its run finds configured is wrong.

    Args:
        schedule: its name.
        error: what is wrong.
        conf: the configuration file that it was told to read.
    """
    where = f" of {conf}" if conf else ""
    return (
        f"{schedule}: not begun: {error.strip().rstrip('.')}; readers get what was published "
        f"before. Mend the configuration{where} (`vecmill check` says all that is wrong with it, "
        "and where): the next start reads it again"
    )


def stopped(schedule: str) -> str:
    """What became of a run that went on as serving was ended."""
    return f"{schedule}: stopped with `vecmill serve`; {_GOES_ON}"


def cut_short(schedule: str, message: str | None, *, crashed: bool) -> str:
    """What became of a run that could not say so itself.

    Args:
        schedule: its name.
        message: what Prefect says of it.
        crashed: whether it crashed; it was cancelled otherwise.
    """
    why = f" ({message.strip().rstrip('.')})" if message else ""
    return f"{schedule}: {_CRASHED if crashed else _CANCELLED}{why}; {_GOES_ON}"
