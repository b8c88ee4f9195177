"""When a run must not be published: too much is dead, or too much would be gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.output import units

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from flows.config.settings import Feature
    from flows.pipeline.scope import Scope
    from storage.model import FindingRow

FEW_ROWS = 20
"""So few records may all go: a small table is mended sooner than a refusal is understood."""


class RunError(Exception):
    """A run cannot go on; nothing of it is published."""


def refuse_dead(feature: Feature, records: int, letters: pa.Table) -> None:
    """Refuse a run in which too many records cannot be read or encoded.

    Args:
        feature: the feature.
        records: that the letters are a share of: the source's, or the version's where a run has
            read a part of the source only.
        letters: the dead letters among them, columns as `storage.model.DeadLetter`.

    Raises:
        RunError: if more are dead than ``max_dead`` allows.
    """
    dead = len(letters)
    # 29 / 100 is 0.29 to the last bit, but 0.29 * 100 is less than 29.
    if dead == 0 or dead / records <= feature.max_dead:
        return
    shown = letters.slice(0, 3).to_pylist()
    examples = "; ".join(f"{row['place']}: {row['reason']}" for row in shown)
    raise RunError(
        f"{feature.name}: {dead:,} of {units.several(records, 'record')} cannot be read or "
        f"encoded, more than max_dead = {feature.max_dead:g} allows, so nothing is published. "
        f"The first: {examples}. Mend them (`vecmill dead {feature.name}` lists all), or raise "
        f"max_dead in [features.{feature.name}]"
    )


def refuse_deletes(feature: Feature, gone: int, ids: int) -> None:
    """Refuse a run that would remove most of what readers see: the source may be half there.

    Args:
        feature: the feature.
        gone: the records that would go.
        ids: the records that are published.

    Raises:
        RunError: if more would go than ``max_deleted`` allows.
    """
    if ids <= FEW_ROWS or gone / ids <= feature.max_deleted:
        return
    raise RunError(
        f"{feature.name}: {gone:,} of {ids:,} published records are not in the source "
        f"any more, more than max_deleted = {feature.max_deleted:g} allows, so nothing is "
        "published: the source may be empty or half written. If they are to go, run with "
        f'--allow-deletes; to keep their vectors set vanished = "keep" in '
        f"[features.{feature.name}]"
    )


def refuse_alarms(
    feature: Feature, scope: Scope, findings: Sequence[FindingRow], *, kept: bool = True
) -> None:
    """Refuse a run over which a monitor raises an alarm that is to keep it from being published.

    Args:
        feature: the feature.
        scope: of the run.
        findings: of the monitors that block publishing.
        kept: whether what was encoded is of use to the next run; if not, the encoder has changed.

    Raises:
        RunError: if one is an alarm.
    """
    alarms = [finding for finding in findings if finding.verdict == "alarm"]
    if not alarms:
        return
    said = "; ".join(f"{alarm.monitor}: {alarm.summary}" for alarm in alarms)
    named = list(dict.fromkeys(record for alarm in alarms for record in alarm.record_ids))
    looked = f"Look at the records {', '.join(map(repr, named[:5]))} first" if named else "Look"
    left = "what was encoded is kept for the next run"
    advice = f"{looked} in the source, mend it, and run again"
    if not kept:
        left = "what was encoded is forgotten, since the encoder has changed"
        advice = "Put the encoder back to what it was, and run again"
    monitors = " and ".join(f"[monitors.{alarm.monitor}]" for alarm in alarms)
    raise RunError(
        f"{feature.name}: {said}. An alarm of {monitors} blocks publishing, "
        f"so nothing is published; {left}. {advice}; or publish all the same with "
        f"`vecmill {scope.kind} {feature.name} --allow-alarms`, which keeps the finding"
    )
