"""The command that says what is wrong with a configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.commands._app import BEGIN, AsJson, Conf, Flag, app
from flows.commands._words import show
from flows.output.answers import print_json, say
from flows.output.codes import FINE, USAGE

if TYPE_CHECKING:
    from flows.config.checking import Checked
    from flows.config.faults import Fault


@app.command(group=BEGIN)
def check(*, conf: Conf = None, files_only: Flag = False, json: AsJson = False) -> int:
    """Check a configuration, and say everything that is wrong with it; writes nothing.

    Its tables, what they name, the variables they take, whether sources can be opened and have the
    columns, and whether weights are there. The exit code is 2 where a run would fail of something.

    Parameters
    ----------
    files_only
        Look at the files alone, and open no source.
    """
    from flows.config import checking

    found = checking.check(conf)
    faults = found.faults
    if found.settings is not None and not files_only:
        from flows.lifecycle import preflight

        faults = [*faults, *preflight.look(found.settings, found.stand_ins)]
    print_json([_row(fault) for fault in faults], json=json)
    if not json:
        for fault in faults:
            show(_told(fault))
    _sum_up(found, faults)
    return USAGE if any(fault.fault for fault in faults) else FINE


def _row(fault: Fault) -> dict[str, Any]:
    return {
        "state": "fault" if fault.fault else "note",
        "where": fault.where or None,
        "found": fault.found,
        "file": None if fault.file is None else str(fault.file),
        "line": fault.line,
    }


def _told(fault: Fault) -> str:
    """A fault as compilers have it, so that editors find the place."""
    place = "" if fault.file is None else f"{fault.file}:"
    place += "" if fault.line is None else f"{fault.line}:"
    table = f"[{fault.where}]"
    named = "" if not fault.where or table in fault.found else f"{table} "
    return f"{place} {'' if fault.fault else 'note: '}{named}{fault.found}".strip()


def _sum_up(found: Checked, faults: list[Fault]) -> None:
    for name, is_set in sorted(found.variables.items()):
        if is_set:
            say(f"{name} is set in the environment")
    wrong = sum(fault.fault for fault in faults)
    if wrong:
        say(f"{wrong} {'fault' if wrong == 1 else 'faults'}")
    elif found.settings is not None:
        names = ", ".join(found.settings.features) or "no feature is configured yet"
        if faults:
            notes = f"{len(faults)} {'note' if len(faults) == 1 else 'notes'}"
            say(f"no fault, but {notes} above: {names}")
        else:
            say(f"nothing is wrong with the configuration: {names}")
