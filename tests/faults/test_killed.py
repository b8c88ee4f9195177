"""A command that is killed at any change to any file of the store is made good by the next one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.faults.scenes import SCENES, instants
from tests.faults.trials import Mode

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.outcome import Twin
    from tests.faults.trials import Trials

KILLS = int(os.environ.get("VECMILL_KILLS", "2"))
"""Instants that the slow tests try of each scene and in each way."""

SEED = int(os.environ.get("VECMILL_SEED", "1"))


def test_a_run_is_made_good_wherever_it_is_killed(
    trials: Trials, twin_of: Callable[[str], Twin]
) -> None:
    twin = twin_of("next")
    assert twin.changes > 100, "no change of DuckDB's, Lance's or Polars' was seen"
    for at in instants(twin.changes, 3, SEED):
        assert twin.strike(trials, Mode.KILL, at).killed


@pytest.mark.slow
@pytest.mark.parametrize("mode", [Mode.KILL, Mode.TEAR])
@pytest.mark.parametrize("name", SCENES)
def test_anything_is_made_good_wherever_it_is_killed(
    trials: Trials, twin_of: Callable[[str], Twin], name: str, mode: Mode
) -> None:
    twin = twin_of(name)
    struck = [twin.strike(trials, mode, at) for at in instants(twin.changes, KILLS, SEED)]
    # How many changes a command makes varies a little, and only a write can be torn: the instants
    # may all come too late, as at the end of gc, which removes files.
    assert any(ended.killed for ended in struck) or twin.strike(trials, mode, 1).killed
