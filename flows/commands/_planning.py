"""What comes after `vecmill init` has written a configuration: a plan, and what to do next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.output import units
from flows.output.answers import explain_plan, failure, print_json, say, table
from flows.output.codes import FAILED, FINE, report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.guessing.model import Guess

_PLANNED = 200_000_000
"""Bytes of records above which a plan, which reads them all, is left to the user."""
_COUNTS = ("feature", "records", "new", "deduplicated", "encoded", "dead")


def shown(file: Path) -> str:
    """A path as short as it may be from here."""
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def show_plan(guesses: Sequence[Guess], file: Path, option: str, *, json: bool) -> int:
    """Show what a run would do, where that is read quickly, and what to do next.

    Args:
        guesses: that the configuration was given.
        file: the configuration.
        option: that names it on a command line, or nothing.
        json: whether a program is told, and not a person.

    Returns:
        The exit code: 1 where a run would publish nothing.
    """
    from flows.guessing.telling import row

    rows, code = _planned(guesses, file)
    both = zip(guesses, rows, strict=True)
    print_json((row(guess) | {"written": str(file)} | plan for guess, plan in both), json=json)
    if json:
        return code
    plans = [found["plan"] for found in rows if found["plan"] is not None]
    if plans:
        table(plans, _COUNTS)
        explain_plan(plans)
    for guess in guesses:
        if not _is_small(guess):
            much = "" if guess.size is None else f", {units.size(guess.size)}"
            say(
                f"{guess.name}: not planned here, since that reads all records{much}: "
                f"`vecmill plan {guess.name}{option}`"
            )
    if code == FINE:
        _show_next(guesses, option)
    else:
        say(f"mend what is said above in {shown(file)}, then `vecmill plan{option}`")
    return code


def _is_small(guess: Guess) -> bool:
    return guess.size is not None and guess.size <= _PLANNED


def _planned(guesses: Sequence[Guess], file: Path) -> tuple[list[dict[str, Any]], int]:
    """The plan of each, None where there is none, with the error where it failed."""
    from flows.config import configuration
    from flows.output.console import reporting
    from flows.pipeline import stages

    settings = configuration.load(file)
    rows: list[dict[str, Any]] = []
    code = FINE
    with reporting() as reporter:
        for guess in guesses:
            found: dict[str, Any] = {"plan": None}
            try:
                if _is_small(guess):
                    found["plan"] = stages.plan(settings, guess.name, reporter).row()
                    code = code if found["plan"]["problem"] is None else FAILED
            except Exception as error:  # noqa: BLE001 - the others have a right to their plan
                code = max(code, report(error, guess.name))
                found |= failure(guess.name, error)
            rows.append(found)
    return rows, code


def _show_next(guesses: Sequence[Guess], option: str) -> None:
    from flows.guessing.telling import next_steps

    say("next:")
    for guess in guesses:
        for step in next_steps(guess, option):
            say(f"  {step}", whole=True)
