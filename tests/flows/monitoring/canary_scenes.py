"""Records whose canaries are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.monitoring.looking import monitor
from flows.output.progress import Silent

if TYPE_CHECKING:
    import polars as pl

    from storage.model import FindingRow
    from tests.flows.project import Project


def texts(first: int, stop: int, word: str = "text") -> list[tuple[str, str, str]]:
    return [(f"record-{n:03d}", f"{word} {n}", "x") for n in range(first, stop)]


def kept(project: Project, table: str = "notes_v1") -> pl.DataFrame:
    found = project.stores().canaries.load(table)
    assert found is not None, "there are no canaries"
    return found


def look(project: Project, name: str = "notes") -> dict[str, FindingRow]:
    return {f.monitor: f for f in monitor(project.settings(), name, Silent())}
