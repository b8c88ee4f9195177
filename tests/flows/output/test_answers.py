"""Rows as JSON Lines."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING

from flows.output.answers import print_json

if TYPE_CHECKING:
    import pytest


def test_moments_are_iso_8601(capsys: pytest.CaptureFixture[str]) -> None:
    moment = datetime(2026, 1, 31, 3, 0, 0, 250_000, tzinfo=UTC)
    print_json([{"at": moment, "days": [date(2026, 1, 31)], "of": {"day": time(3, 0)}}], json=True)
    assert json.loads(capsys.readouterr().out) == {
        "at": "2026-01-31T03:00:00.250000+00:00",
        "days": ["2026-01-31"],
        "of": {"day": "03:00:00"},
    }
