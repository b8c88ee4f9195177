"""A check of a configuration, as programs read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flows.cli import run_command

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

EVERY = "is a whole number above 0 with a unit, such as '30 minutes', '6 hours' or '2 days'"


def ask(
    capsys: pytest.CaptureFixture[str], conf: Path, *more: str
) -> tuple[int, list[dict[str, Any]]]:
    capsys.readouterr()
    code = run_command(["check", "--json", "--conf", str(conf), *more])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]
