"""A second look at a run whose reference is gone: what the first look found is not lost by it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flows.monitoring.judging import Judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from flows.config.settings import Monitor
    from flows.monitoring.references import Absent
    from storage.model import FindingRow

_GRAVITY = ("cannot tell", "quiet", "watch", "alarm")


def standing(
    monitors: Sequence[Monitor],
    rows: Sequence[FindingRow],
    earlier: Mapping[str, FindingRow],
    absent: Absent | None,
    note: Callable[[str], None],
) -> tuple[list[FindingRow], list[FindingRow]]:
    """What is to be told of a run, and what of it is new and to be kept.

    Without what it was held against a monitor knows less than when it looked first, so that only
    a graver finding takes the place of that one. Records that were erased since are named in none.

    Args:
        monitors: the monitors that have looked.
        rows: what they say now, in their order.
        earlier: what they said of the same run before, by name.
        absent: why there is nothing to compare with; None where there is something.
        note: told, in a sentence, of each finding that stays.
    """
    if absent is None or absent.by is None:
        return list(rows), list(rows)
    told, new = [], []
    for plugin, row in zip(monitors, rows, strict=True):
        before = earlier.get(plugin.name)
        if before is None or not _stays(plugin, before, row):
            told.append(row)
            new.append(row)
            continue
        since = f"{before.reference}, which `vecmill {absent.by}` has cleaned away since"
        told.append(replace(before, reference=since))
        note(
            f"{plugin.name}: what was found before stays ({before.verdict}), since `vecmill "
            f"{absent.by}` has cleaned away what the run was held against"
        )
    return told, new


def _stays(plugin: Monitor, before: FindingRow, row: FindingRow) -> bool:
    if before.reference_run is None or Judge.of_encoder(plugin):
        return False
    return _GRAVITY.index(row.verdict) <= _GRAVITY.index(before.verdict)
