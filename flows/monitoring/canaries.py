"""Canaries: contents of a version that are encoded again, to see whether the encoder changed.

A fingerprint covers all of an encoder that can be seen from here. It cannot cover the model behind
an endpoint, nor what another release of a library, or another machine, makes of the same weights.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from encoders.base import EncoderError
from flows.config.settings import Engine, SettingsError
from flows.matrices import matrix
from flows.output.redact import redact
from flows.pipeline import fitting
from flows.pipeline.encode import Bounds, EncodingError, HangError, encode_records
from storage.model import StorageError
from storage.staging import SPOOL_COLUMNS

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    from flows.config.settings import Feature, Settings
    from flows.config.stores import Stores
    from flows.monitors.base import Sample
    from flows.output.progress import Reporter
    from storage.canaries import Choice
    from storage.model import Version
    from storage.staging import Staged

_OF_FILES = {"image", "audio"}
"""Modalities whose contents are paths."""


@dataclass(frozen=True)
class Canaries:
    """What a version's encoder gives its canaries now, beside what it gave them first.

    Attributes:
        record_ids: n ids, of the records whose contents they were.
        content_hashes: n hashes.
        first: ``(n, dim)`` float32, as they were encoded first.
        now: ``(n, dim)`` float32, as they are now, NaN where the encoder fails on one; None where
            nothing could be encoded.
        run_ids: n ids, of the runs that encoded them first.
        told: since when they are kept, in words.
        run_id: the run that first encoded any of them.
    """

    record_ids: list[str]
    content_hashes: list[str]
    first: NDArray[np.float32]
    now: NDArray[np.float32] | None
    run_ids: list[str]
    told: str
    run_id: str

    def beside(self, reference: Sample, current: Sample) -> tuple[Sample, Sample]:
        """Both samples, with the canaries of their side."""
        return replace(reference, canaries=self.first), replace(current, canaries=self.now)

    def as_reference(self, like: Sample, run_id: str) -> Sample | None:
        """The canaries as encoded now, to hold a sample of the same space against, if any are.

        Without those that the run looked at was the first to encode: these are of the sample.
        Their kept columns are not known; as missing values they would be a change of their own.
        """
        if self.now is None:
            return None
        others = np.array([run != run_id for run in self.run_ids])
        sound = np.flatnonzero(np.isfinite(self.now).all(axis=1) & others).tolist()
        if not sound:
            return None
        return replace(
            like,
            vectors=self.now[sound],
            record_ids=[self.record_ids[row] for row in sound],
            content_hashes=[self.content_hashes[row] for row in sound],
            kept={},
            sketch=None,  # of the old space
        )


class _Unchosen:
    """Chooses nothing: for a feature that keeps no canaries."""

    def add(self, records: pl.DataFrame) -> None:
        """Look at nothing."""

    def close(self) -> None:
        """Keep nothing."""


@dataclass(frozen=True)
class Local:
    """Chooses among contents that lie here: to fetch others again costs, and they may be gone."""

    choice: Choice

    def add(self, records: pl.DataFrame) -> None:
        """Look at the paths of files on this machine."""
        import polars as pl

        here = ~pl.col("content").str.contains("^[A-Za-z][A-Za-z0-9+.-]+://")
        self.choice.add(records.filter(here))

    def close(self) -> None:
        """Keep what was chosen."""
        self.choice.close()


def choice(feature: Feature, stores: Stores, version: Version) -> Choice | Local | _Unchosen:
    """What chooses a version's canaries among the contents that a run is to encode.

    Where the feature keeps none, those that are there go.
    """
    if not feature.canaries:
        stores.canaries.drop(version.table)
        return _Unchosen()
    chosen = stores.canaries.choice(version.table, feature.canaries)
    return Local(chosen) if version.modality in _OF_FILES else chosen


def encoded(
    feature: Feature,
    stores: Stores,
    version: Version,
    settings: Settings | None,
    reporter: Reporter,
) -> Canaries | None:
    """Encode a version's canaries again, as its encoder is built now; nothing is written.

    Files that are not there any more, or not what they were, are left out.

    Args:
        feature: the feature.
        stores: its store.
        version: the version.
        settings: the configuration, for where the project lies and how long its encoder may take.
        reporter: told where they cannot be encoded.

    Returns:
        None where there are none.
    """
    try:
        kept = stores.canaries.load(version.table) if feature.canaries else None
    except StorageError as error:
        reporter.note(f"{feature.name}: {error}")
        return None
    if kept is None:
        return None
    engine = Engine() if settings is None else settings.engine
    bounds = Bounds(feature.encoder.name, engine.encode_timeout, limits=feature.limits)
    root = None if settings is None else settings.root
    try:
        encoder = fitting.encoder_of(version, stores.states, root)
        staged = encode_records(encoder, kept.select(SPOOL_COLUMNS), bounds)
    except (EncodingError, EncoderError, SettingsError, StorageError, OSError) as error:
        if isinstance(error, HangError):
            fitting.forget()  # as `flows.engines.engine.Job` does
        reporter.note(
            f"{feature.name}: the canaries cannot be encoded again, so a change of the encoder "
            f"would not be seen: {redact(str(error))}"
        )
        return _of(kept, version.dim, None)
    return _of(kept, version.dim, staged)


def _of(kept: pl.DataFrame, dim: int, staged: Staged | None) -> Canaries:
    import polars as pl

    now = None
    if staged is not None:
        kept = kept.filter(~pl.col("content_hash").is_in(list(staged.passing)))
        place = {content: row for row, content in enumerate(staged.hashes)}
        lost = np.full((1, dim), np.nan, np.float32)
        rows = [place.get(content, len(place)) for content in kept["content_hash"]]
        now = np.concatenate([staged.vectors, lost])[rows]
    first = matrix(kept.select("vector").to_arrow().column("vector"), dim)
    begun = kept.sort("encoded_at").head(1)
    run_id = str(begun["run_id"].item()) if len(begun) else ""
    since = f"on {begun['encoded_at'].item():%Y-%m-%d}, {run_id}" if len(begun) else ""
    return Canaries(
        kept["record_id"].to_list(),
        kept["content_hash"].to_list(),
        first,
        now,
        kept["run_id"].to_list(),
        f"{len(kept)} canaries, as first encoded {since}",
        run_id,
    )
