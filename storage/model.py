"""The values that the catalog holds, as the rest of Vecmill sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import pyarrow as pa

Standing: TypeAlias = Literal["candidate", "live", "retired"]


class StorageError(Exception):
    """The store cannot do as asked; the message says what it met and what helps."""


class OutageError(StorageError):
    """The store could not be reached just now; another try may do."""


class UsageError(StorageError):
    """What was asked of the store is not there, or no sense can be made of it."""


Form: TypeAlias = Literal["parquet", "arrow", "npy"]
"""What exports are written as; ``npy`` is a folder of vectors and rows."""


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

    @property
    def written(self) -> int:
        """Records with new vectors: new and changed ones."""
        return self.new + self.changed


@dataclass(frozen=True)
class Version:
    """The rows that one fingerprint made of one feature: one Lance table.

    Attributes:
        kind: of its encoder; with ``params`` and ``state`` it builds the encoder again.
        state: the digest of what the encoder learned, None where it learns nothing.
        types: what the source's columns were read as when each first was.
        history: whether it keeps every content that a record ever had.
        complete: whether a run over the whole source has been published into it.
        chunked: whether its rows are chunks of records, with the columns of `storage.parts.PARTS`.
        code_version: the Vecmill that made it.
        dropped_at: since when its table is gone; what the catalog says of it stays.
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
    history: bool = False
    complete: bool = False
    chunked: bool = False
    code_version: str | None = None
    created_at: datetime | None = None
    dropped_at: datetime | None = None

    @property
    def table(self) -> str:
        """The name of its Lance table, and of its view in SQL."""
        return f"{self.feature}_v{self.version}"


@dataclass(frozen=True)
class Manifest:
    """What a run published: from now on readers see this state of the table.

    Attributes:
        lance_version: the Lance version of the table; readers never look at another.
        kind: what made it: a ``run``, ``backfill``, ``replay``, ``gc`` or ``erase``.
        forgotten_at: since when that state cannot be read any more; None while it can.
        forgotten_by: what cleaned it away, ``gc`` or ``erase``.
    """

    feature: str
    version: int
    run_id: str
    lance_version: int
    fingerprint: str
    counts: Counts
    rows: int
    published_at: datetime
    kind: str = "run"
    forgotten_at: datetime | None = None
    forgotten_by: str | None = None


@dataclass(frozen=True)
class Cursor:
    """How far a version's runs have read its source.

    Attributes:
        source: a digest of the source's configuration; a cursor of another is worth nothing.
        stamp: of the source when a whole run last read it (`flows.sources.base.Stamped`).
        cursor: the highest value read (`flows.sources.base.Incremental`).
    """

    source: str
    stamp: str | None = None
    cursor: str | None = None


@dataclass(frozen=True)
class Pace:
    """How fast earlier runs of a version were, to tell how long the next one will take.

    Attributes:
        per_record: seconds to encode one.
        beside: seconds that a run takes for all else.
    """

    per_record: float
    beside: float

    def seconds(self, encoded: int, records: int) -> float:
        """How long a run will take that encodes so many of so many records; none, no time."""
        return self.beside + encoded * self.per_record if records else 0.0


@dataclass(frozen=True)
class Cut:
    """What an encoder did not read of the texts that a run gave it.

    Attributes:
        cut_texts: how many of them are longer than it reads.
        cut_tokens: tokens beyond its limit.
        text_tokens: tokens of all the texts.
    """

    cut_texts: int = 0
    cut_tokens: int = 0
    text_tokens: int = 0


@dataclass(frozen=True)
class Publication:
    """All that becomes public at once when a run is published.

    Attributes:
        manifest: what readers see from now on.
        dead: all dead letters of the version as of this run, columns as `DeadLetter`.
        types: what the source's columns were read as, for the next runs to keep to.
        encode_seconds: time spent encoding, for predictions.
        seconds: time since the run began.
        source: the name of the feature's source in the configuration.
        encoder: the name of its encoder there.
        whole: whether the run has read the whole source; only then is the version complete.
        cursor: how far the source is read; None leaves what was noted.
        cut: of the texts it encoded.
        profile: what the records were like whose contents it wrote, in counts, as plain values;
            None where it wrote none.
    """

    manifest: Manifest
    dead: pa.Table
    types: Mapping[str, str]
    source: str
    encoder: str
    encode_seconds: float = 0.0
    seconds: float = 0.0
    whole: bool = True
    cursor: Cursor | None = None
    cut: Cut = Cut()
    profile: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class DeadLetter:
    """A record that could not be read or encoded, and why."""

    place: str
    reason: str
    stage: Literal["read", "encode"]
    record_id: str | None = None
    content_hash: str | None = None


Blocks: TypeAlias = Literal["nothing", "promotion", "publishing"]
"""What an alarm keeps from happening."""


@dataclass(frozen=True)
class FindingRow:
    """A monitor's finding, as the catalog keeps it.

    Attributes:
        verdict: in the light of the looks before it.
        alone: what this look says by itself; `verdict` where that is all there is.
        reference: what the reference is, in words.
        reference_run: the run whose published state it was read at.
        parts: what it is about, as `flows.monitors.base.Part` in plain values.
        blocks: what an alarm of this monitor keeps from happening.
        series: what is known of the looks before it and of their error rate.
    """

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
    parts: tuple[Mapping[str, Any], ...] = ()
    blocks: Blocks = "promotion"
    reference: str | None = None
    alone: str | None = None
    series: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True)
class PastLook:
    """What is left of a monitor's finding over an earlier run, to judge a later one by.

    Attributes:
        alone: as in `FindingRow`.
        series: as there; empty for a finding without a p-value, or of an earlier release.
    """

    run_id: str
    monitor: str
    verdict: str
    alone: str
    p_value: float | None
    effect_size: float | None
    series: Mapping[str, float | str]
