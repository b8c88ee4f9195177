"""Findings as a person reads them."""

from __future__ import annotations

from dataclasses import asdict
from io import StringIO
from typing import TYPE_CHECKING, Any

from flows.monitoring.findings import after_run, below, figures, heading, show
from flows.monitors.base import FIRST
from flows.output import console
from flows.output.answers import told
from storage.model import FindingRow

if TYPE_CHECKING:
    import pytest

PARTS = tuple(
    {"kind": "slice", "name": f"label = {n}", "verdict": "quiet", "summary": f"said of {n}"}
    for n in range(7)
)
ROW: dict[str, Any] = asdict(
    FindingRow(
        *("drift", "watch", "as seen", 0.1, 0.2, 0.004, 0.0531, 1200, 40, "a run"),
        reference="the state before the run",
        parts=PARTS,
        series={
            "key": "k", "since": "20260105T060000-00000abcdef", "looks": 1.0, "budget": 0.05,
            "level": 0.01, "spent": 0.01, "alpha": 0.01, "low": 1.0, "expected": 0.01,
        },
    )
)  # fmt: skip
PLAIN = ROW | {"monitor": "health", "parts": (), "series": {}, "reference": None, "p_value": None}


def test_the_heading_holds_the_figures() -> None:
    assert heading(ROW) == "drift: watch  p = 0.004, effect 0.0531, 1,200 reference, 40 current"
    assert heading(PLAIN) == "health: watch  effect 0.0531, 1,200 reference, 40 current"
    first = PLAIN | {"n_reference": 0, "effect_size": None}
    assert heading(first) == "health: watch  40 current"
    assert heading(first | {"n_current": 0}) == "health: watch"


def test_below_stand_the_first_parts_and_the_series() -> None:
    lines = list(below(ROW))
    assert lines[:2] == [
        "held against the state before the run",
        "  slice label = 0: quiet, said of 0",
    ]
    assert lines[6] == "  and 2 more; --json lists them"
    assert lines[7].startswith("1 look since 2026-01-05: 1.00% of a false-alarm budget of 5.00%")
    assert list(below(PLAIN)) == []


def test_a_pipe_gets_a_table_and_lines_that_name_their_monitor(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show([ROW, PLAIN])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["monitor", "verdict"]
    assert [line.split()[0] for line in lines[1:3]] == ["drift", "health"]
    assert lines[3] == "drift: held against the state before the run"
    assert all(line.startswith("drift: ") for line in lines[3:])


def test_a_terminal_gets_a_paragraph_each(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    shown = StringIO()
    terminal = Console(file=shown, force_terminal=True, width=70, highlight=False, no_color=True)
    monkeypatch.setattr(console, "out", terminal)
    show([ROW | {"summary": "a [bold] \x1b[31mtext"}])
    text = shown.getvalue()
    assert "drift: watch  p = 0.004" in text
    assert "    a [bold] " in text
    assert "\x1b[31m" not in text
    assert "      slice label = 4: quiet, said of 4" in text
    assert "label = 5" not in text


def test_every_line_says_who_what_and_why() -> None:
    for verdict in ("watch", "quiet", "alarm", "cannot tell"):
        line = told("notes", ROW | {"verdict": verdict})
        assert line == f"notes: drift: {verdict}: as seen"


def test_monitors_that_are_quiet_share_a_line_after_a_run() -> None:
    quiet = [PLAIN | {"monitor": name, "verdict": "quiet"} for name in ("health", "outliers")]
    assert list(after_run("notes", 2, [quiet[0], ROW, quiet[1]])) == [
        "notes: drift: watch: as seen",
        "notes: quiet: health, outliers; `vecmill monitor notes --version 2` says what they saw",
    ]
    assert list(after_run("notes", 1, quiet[:1])) == ["notes: health: quiet: as seen"]


def test_monitors_that_wait_for_a_second_run_share_a_line() -> None:
    first = {"verdict": "cannot tell", "summary": f"{FIRST}; and limits"}
    few = ROW | {"verdict": "cannot tell", "summary": "too few"}
    rows = [ROW | first, ROW | first | {"monitor": "records"}, PLAIN, few]
    health, drift, first_run = after_run("notes", 2, rows)
    assert (health, drift) == (
        "notes: health: watch: as seen",
        "notes: drift: cannot tell: too few",
    )
    assert first_run == (
        "notes: this is the first run of v2, so there is nothing to compare it with yet: drift, "
        "records begin with the next"
    )


def test_a_part_whose_name_says_its_kind_is_told_once() -> None:
    moved = {"kind": "cluster", "name": "cluster 3 'goal'", "verdict": "alarm", "summary": "so"}
    lines = list(below(PLAIN | {"parts": (moved,)}))
    assert lines == ["  cluster 3 'goal': alarm, so"]


def test_a_p_value_that_is_tiny_is_not_shown_as_none() -> None:
    row = {"p_value": 5.3e-12, "effect_size": 1e-12}
    assert figures(row) == {"p_value": "5.3e-12", "effect_size": 1e-12}
    assert figures({"p_value": None})["p_value"] is None
