"""Why a feature has no live version, and what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flows.lifecycle.status import status
from flows.output.standing_lines import went_wrong

if TYPE_CHECKING:
    from flows.config.settings import Settings


def unlive(settings: Settings, name: str) -> str:
    """That a feature has no live version yet: since its last run failed, or none has been made."""
    broken = [
        row
        for row in status(settings)
        if row["feature"] == name and row["last_status"] in {"failed", "crashed"}
    ]
    if not broken:
        return f"{name} has no live version yet; run `vecmill run {name}` first"
    last = max(broken, key=lambda row: str(row["last_run"]))
    return f"{name} has no live version yet: its {went_wrong(last, datetime.now(UTC))}"
