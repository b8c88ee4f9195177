"""The values that the catalog holds, as the rest of Vecmill sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

Standing: TypeAlias = Literal["candidate", "live", "retired"]


class StorageError(Exception):
    """The store cannot do as asked; the message says what it met and what helps."""


class OutageError(StorageError):
    """The store could not be reached just now; another try may do."""


class UsageError(StorageError):
    """What was asked of the store is not there, or no sense can be made of it."""


@dataclass(frozen=True)
class Counts:
    """What a run found and did, in records.

    ``records = new + changed + updated + unchanged + dead`` and
    ``new + changed = encoded + resumed + deduplicated``.

    Attributes:
        records: rows the source gave, readable or not.
        new: ids that were not in the version.
        changed: ids whose content is another than in the version.
        updated: ids whose content is the same but whose kept columns or event time differ.
        unchanged: ids with nothing to do.
        deleted: ids that vanished from the source and were removed from the version.
        deduplicated: new or changed records that share the vector of an equal content.
        encoded: contents that went through the encoder in this run.
        resumed: contents that an interrupted earlier run had encoded and staged.
        dead: records that could not be read or encoded; each has a dead letter.
    """

    records: int = 0
    new: int = 0
    changed: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    deduplicated: int = 0
    encoded: int = 0
    resumed: int = 0
    dead: int = 0


@dataclass(frozen=True)
class Version:
    """The rows that one fingerprint made of one feature: one Lance table.

    Attributes:
        kind: of its encoder; with ``params`` and ``state`` it builds the encoder again.
        state: the digest of what the encoder learned, None where it learns nothing.
        types: what the source's columns were read as when each first was.
    """

    feature: str
    version: int
    fingerprint: str
    recipe: Mapping[str, object]
    kind: str
    params: Mapping[str, object]
    modality: str
    metric: str
    dim: int
    state: str | None
    types: Mapping[str, str]
    standing: Standing

    @property
    def table(self) -> str:
        """The name of its Lance table, and of its view in SQL."""
        return f"{self.feature}_v{self.version}"


@dataclass(frozen=True)
class Manifest:
    """What a run published: from now on readers see this state of the table.

    Attributes:
        lance_version: the Lance version of the table; readers never look at another.
    """

    feature: str
    version: int
    run_id: str
    lance_version: int
    fingerprint: str
    counts: Counts
    rows: int
    published_at: datetime


@dataclass(frozen=True)
class DeadLetter:
    """A record that could not be read or encoded, and why."""

    place: str
    reason: str
    stage: Literal["read", "encode"]
    record_id: str | None = None
    content_hash: str | None = None


@dataclass(frozen=True)
class FindingRow:
    """A monitor's finding, as the catalog keeps it."""

    monitor: str
    verdict: str
    summary: str
    statistic: float | None
    threshold: float | None
    p_value: float | None
    effect_size: float | None
    n_reference: int
    n_current: int
    reference_run: str | None
    record_ids: tuple[str, ...] = ()
    detail: Mapping[str, float] = field(default_factory=dict)
