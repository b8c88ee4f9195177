"""Saying that a run goes on from what earlier ones have encoded, and what became of those."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.staging import staged_files

if TYPE_CHECKING:
    from flows.pipeline.steps import Run

_HOW = {"crashed": "was killed", "failed": "failed"}
_NAMED = 3


def note(run: Run) -> None:
    """Note what a run that has met staged work of others finds of it.

    Behind a cursor that stays until the whole source is read, whether it is of use or not.
    """
    staged = staged_files(run.folder.parent)
    earlier = sorted({file.parent.name for file in staged} - {run.run_id})
    if not earlier:
        return
    rows = run.stores.catalog.query(
        "SELECT run_id, status FROM runs WHERE list_contains($1, run_id)", earlier
    )
    ended = {row["run_id"]: _HOW.get(row["status"], "has ended") for row in rows.to_pylist()}
    told = [f"{one}, which {ended.get(one, 'was killed')}" for one in earlier[-_NAMED:]]
    more = f", and {len(earlier) - _NAMED} before" if len(earlier) > _NAMED else ""
    run.reporter.note(
        f"{run.feature.name}: goes on from what was encoded by the run {' and '.join(told)}{more}"
    )
