"""The demo: the main job from raw records to a finding, on real records, with nothing downloaded.

It does what a user would do, by the same commands, and checks what each run says it did.
"""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flows import cli
from flows.config.configuration import load
from flows.config.settings import SettingsError
from flows.demo import records as demo_records
from flows.monitoring.findings import figures
from flows.output.codes import FAILED, FINE, INTERRUPTED, TERMINATED
from flows.output.console import out, reporting, table
from flows.runner import runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from flows.config.settings import Settings
    from flows.demo.records import Disturbance
    from flows.runner import Runner

_SHOWN = (
    "feature", "records", "new", "changed", "unchanged", "deleted", "deduplicated", "encoded",
    "dead", "seconds",
)  # fmt: skip
_FEATURES = frozenset({"docstrings", "digits", "notes", "cells"})
_QUERY = (
    "SELECT timbre, count(*) AS notes, round(avg(array_cosine_distance(vector, (SELECT vector "
    "FROM notes WHERE record_id = 'flute/a4_0'))), 3) AS distance_to_a_flute "
    "FROM notes GROUP BY timbre ORDER BY distance_to_a_flute"
)


def demo(conf: Path) -> int:
    """Run the demo.

    Args:
        conf: its configuration, ``conf/demo.toml``; the store it names is made anew.

    Returns:
        The exit code: 0 where every run did just the work that was there to do, and the shift was
        found.
    """
    settings = load(conf)
    home = settings.catalog.parent
    if home.name != "demo" or set(settings.features) != _FEATURES:
        # a folder called demo may hold somebody's work: nobody else's has just these features
        raise SettingsError(
            f"the demo makes its store anew, so its catalog must lie in a folder called demo and "
            f"its features be {', '.join(sorted(_FEATURES))}; {conf} has its own in {home}: use "
            "conf/demo.toml, or leave --conf out in another folder"
        )
    shutil.rmtree(home, ignore_errors=True)
    with reporting() as reporter, runner(settings, reporter, direct=False) as flows:
        good = _runs(settings, flows, home / "records")
    near = Path(os.path.relpath(home))  # as a user would type it
    _say("6  Ask: SQL, the nearest records to a query, a map, what labels are told, a report")
    ended = _until_ended(_questions(near / "records"), partial(_ask, conf))
    if ended is not None:
        return ended
    _next(conf, near)
    return FINE if good else FAILED


def _runs(settings: Settings, flows: Runner, records: Path) -> bool:
    rng = np.random.default_rng(0)
    _say("1  Records: docstrings, digits, notes, cells", f"written to {records}")
    demo_records.write(records, rng)

    _say("2  First run: everything is new", "each encoder that learns is fitted once")
    first = _run_all(settings, flows).values()
    good = _check("every record has a vector", all(r["rows"] == r["records"] for r in first))

    _say("3  Second run, over the same records")
    second = _run_all(settings, flows)
    good &= _check("nothing was encoded", all(row["encoded"] == 0 for row in second.values()))

    _say("4  Some records are changed, added, deleted, broken; the third run does just that work")
    done = demo_records.disturb(records, rng)
    good &= _check_work(done, _run_all(settings, flows))

    _say("5  150 texts of another kind arrive; the monitor says so")
    shifted = demo_records.shift(records, rng)
    _run_all(settings, flows, ["docstrings"])
    findings = flows.monitor("docstrings")
    shown = [figures(finding) for finding in findings]
    table(shown, ("monitor", "verdict", "p_value", "effect_size", "n_reference", "n_current"))
    for finding in findings:
        out.print(f"   {finding['monitor']}: {finding['summary']}", markup=False)
    drift = next(finding for finding in findings if finding["monitor"] == "drift")
    return good & _check(
        "the shift was found, and the records it names are the new ones",
        drift["verdict"] == "alarm" and set(drift["record_ids"]) <= set(shifted),
    )


def _run_all(
    settings: Settings, flows: Runner, names: list[str] | None = None
) -> dict[str, dict[str, Any]]:
    rows = {name: flows.embed(name) for name in names or list(settings.features)}
    table(list(rows.values()), _SHOWN)
    return rows


def _check_work(done: Disturbance, rows: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether each feature's run did what `disturb` says there was to do."""
    good = True
    changes = {
        "docstrings": done.texts,
        "digits": done.images,
        "notes": done.audio,
        "cells": done.table,
    }
    for name, change in changes.items():
        row = rows[name]
        found = (row["new"], row["changed"], row["deleted"], row["dead"])
        made = (
            len(change.added),
            len(change.changed),
            len(change.deleted),
            len(change.broken) + len(change.doubled),
        )
        words = "{} added, {} changed, {} deleted, {} broken".format(*made)
        good &= _check(f"{name}: {words}, as was done to the records", found == made)
    return good


def _questions(records: Path) -> list[list[str]]:
    """SQL, a search a modality, a map, a probe and a report, as commands to try again."""
    image = min((records / "images" / "3").glob("*.png"))
    sheet, drawn = records.parent / "digits.html", records.parent / "map.html"
    audio = min((records / "audio" / "bell").glob("*.wav"))
    return [
        ["sql", _QUERY],
        ["search", "docstrings", "--text", "read a file line by line", "-k", "3"],
        ["search", "digits", "--image", str(image), "-k", "12", "--sheet", str(sheet)],
        ["search", "notes", "--audio", str(audio), "-k", "3"],
        ["search", "cells", "--id", "cell-000", "-k", "3"],
        ["map", "digits", "--color", "label", "--output", str(drawn)],
        ["probe", "cells", "--label", "label"],
        ["report", "docstrings"],
        ["dead"],
    ]


def _ask(conf: Path, arguments: Sequence[str]) -> int:
    shown = " ".join(_quoted(argument) for argument in arguments)
    out.print(f"\n$ vecmill {shown} --conf {conf}", style="bold", markup=False)
    return cli.run_command([*arguments, "--conf", str(conf)])


def _until_ended(
    commands: Iterable[Sequence[str]], carry_out: Callable[[Sequence[str]], int]
) -> int | None:
    """Carry out commands; one that was ended from outside is the last.

    Returns:
        Its exit code; None where all were carried out.
    """
    return next((c for c in map(carry_out, commands) if c in {INTERRUPTED, TERMINATED}), None)


def _next(conf: Path, home: Path) -> None:
    _say("7  Where it all lies, and what to type next")
    out.print(f"   vectors, one Lance table a version: {home / 'vectors'}")
    out.print(f"   runs, versions, dead letters, findings: {home / 'catalog.duckdb'}")
    out.print(f"   the digits nearest to one of them, to open in a browser: {home / 'digits.html'}")
    out.print(f"   a map of all digits, to hover, search and lasso in: {home / 'map.html'}")
    report = home / "reports" / "docstrings.html"
    out.print(f"   what the monitors say of the docstrings, and why: {report}")
    for command, why in (
        (f"vecmill status --conf {conf}", "where each feature stands"),
        (f"vecmill plan docstrings --conf {conf}", "what a run would do; change a record and ask"),
        (f"vecmill sql 'FROM findings' --conf {conf}", "what the monitors found"),
        (f"vecmill ui --conf {conf}", "all of it in a browser; reads and never writes"),
        ("vecmill init PATH", "a configuration for your own records"),
    ):
        out.print(f"\n   # {why}", style="dim", markup=False)
        out.print(f"   {command}", style="bold", markup=False)


def _say(title: str, more: str = "") -> None:
    out.print(f"\n[bold cyan]{title}[/bold cyan]" + (f"\n   {more}" if more else ""))


def _check(what: str, good: bool) -> bool:  # noqa: FBT001 - a check is a sentence and its truth
    out.print(f"   [green]✓[/green] {what}" if good else f"   [red]✗ not so:[/red] {what}")
    return good


def _quoted(argument: str) -> str:
    plain = argument.replace("-", "").replace("/", "").replace("_", "").replace(".", "").isalnum()
    return argument if plain else f'"{argument}"'
