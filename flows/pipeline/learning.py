"""Encoders that learn, let loose on a sample of their feature's source."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

import encoders.base
from encoders import registry
from encoders.abilities import Labelled
from encoders.base import Learner
from flows.config.nearest import hint
from flows.config.settings import SettingsError
from flows.output.figures import told
from flows.pipeline.chunking import sample_cutter
from flows.pipeline.decode import Decoded, decode
from flows.pipeline.reading import inside
from flows.pipeline.scope import refuse_naive
from flows.sources.base import Chunk, Deferred, Windowed
from storage import fits
from storage.fits import Fit
from storage.ids import fingerprint, hash_text, seed
from storage.model import UsageError
from storage.states import States

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    import polars as pl

    from flows.config.settings import Feature
    from flows.config.stores import Stores
    from flows.output.progress import Reporter
    from flows.pipeline.chunking import Cutter
    from flows.sources.base import Source


class FittingError(Exception):
    """There is nothing that an encoder could learn from."""


@dataclass(frozen=True)
class Draw:
    """Which records an encoder is to learn from.

    Attributes:
        size: how many at most; what the encoder itself asks for where it is None.
        since: with an event time at or after this, with a zone; None has no bound.
        until: with an event time before this, with a zone; None has no bound.

    Raises:
        UsageError: if that leaves none.
    """

    size: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.size < 1:
            raise UsageError(f"--sample must be at least 1, got {self.size}")
        for name, at in (("since", self.since), ("until", self.until)):
            refuse_naive(name, at)
        if self.since and self.until and self.since >= self.until:
            raise UsageError(
                f"a window ends after it begins; got --since {self.since:%Y-%m-%d %H:%M} and "
                f"--until {self.until:%Y-%m-%d %H:%M}"
            )

    @property
    def bounded(self) -> bool:
        """Whether records are left out by their event time."""
        return self.since is not None or self.until is not None


ALL = Draw()


@dataclass(frozen=True)
class _Watch:
    """Tells the reporter of a run how a fit goes on; see `encoders.learning.Watch`."""

    feature: str
    reporter: Reporter

    def stage(self, name: str, total: int | None) -> None:
        """Begin the next stage."""
        self.reporter.stage(self.feature, name, total)

    def advance(self, steps: int) -> None:
        """Move on."""
        self.reporter.advance(steps)

    def note(self, message: str) -> None:
        """Hand a message on."""
        self.reporter.note(f"{self.feature}: {message}")


def fit(
    feature: Feature, source: Source, stores: Stores, reporter: Reporter, draw: Draw = ALL
) -> Fit | None:
    """Let the feature's encoder learn from a sample of its source, and keep what it learned.

    The sample is drawn evenly over the source, with a seed from the encoder's own recipe, so that
    the same records and recipe always give the same state.

    Returns:
        The fit, as the catalog has it now; None where the encoder has nothing to learn.

    Raises:
        FittingError: if the source has no record there that can be decoded.
        SettingsError: if the encoder learns from labels in a column that the source does not keep.
        StorageError: if no vectors can be written.
    """
    kind = feature.encoder.kind
    encoder: Any = registry.build(kind, feature.encoder.params)  # `built` must stay unfitted
    if not isinstance(encoder, Learner):
        return None
    # A fit may take long, and is for nothing without a run, which will make a version of it.
    stores.vectors.check_writable(stores.catalog.next_table(feature.name))
    before = fingerprint(encoder.recipe())  # type: ignore[attr-defined] # every Learner is an Encoder
    rng = np.random.default_rng(seed(before))
    wanted = draw.size or encoder.fit_size
    label = encoder.label if isinstance(encoder, Labelled) else None
    check_label(feature, source)
    reporter.stage(feature.name, "sample", None)
    cutter = sample_cutter(feature)
    content = sample(source, wanted, rng, reporter, draw, label, cutter)
    if isinstance(source, Deferred):
        content = source.fetch(content)
    batch, rows = _decoded(feature, content["content"], draw)
    reporter.stage(feature.name, "fit", None)
    started = time.perf_counter()
    watch = _Watch(feature.name, reporter)
    if isinstance(encoder, Labelled) and label is not None:
        encoder.fit_labelled(batch, content[rows]["label"].to_list(), rng, watch)
    else:
        encoder.fit(batch, rng, watch)
    seconds = time.perf_counter() - started
    state = encoder.state()
    digest = encoders.base.digest(state)
    figures = cast("Mapping[str, Any]", state.meta.get("figures", {}))
    for sentence in told(figures):
        reporter.note(f"{feature.name}: {sentence}")
    States(stores.states).save(digest, state.arrays, state.meta)
    found = Fit(
        feature=feature.name,
        unfitted=before,
        state=digest,
        records=len(rows),
        wanted=wanted,
        since=draw.since,
        until=draw.until,
        figures=figures,
        seconds=seconds,
    )
    fits.add(stores.catalog, found)
    return found


def check_label(feature: Feature, source: Source) -> None:
    """Refuse an encoder that learns from labels which the source does not keep.

    Raises:
        SettingsError: says what it keeps.
    """
    label = getattr(feature.encoder.params, "label", None)
    if label is not None and label not in source.kept:
        raise SettingsError(
            f"the encoder {feature.encoder.name!r} learns from the labels in {label!r}, which the "
            f"source {feature.source.name!r} does not keep: add it to keep, or for files to their "
            f"pattern{hint(label, source.kept)}"
        )


def _decoded(feature: Feature, content: pl.Series, draw: Draw) -> tuple[Any, list[int]]:
    """The sample as the encoder takes it, and which of its records are in it."""
    # A source without a record cannot tell the type of its content.
    nothing = Decoded([], [], {})
    modality = registry.modality(feature.encoder.kind, feature.encoder.params)
    decoded = decode(modality, content, limits=feature.limits) if len(content) else nothing
    if not decoded.rows:
        where = " with an event time in the window" if draw.bounded else ""
        first = next(iter((decoded.dead | decoded.passing).values()), "")
        raise FittingError(
            f"the encoder {feature.encoder.name!r} must learn from records first, but none of the "
            f"{len(content)} drawn from the source {feature.source.name!r}{where} can be read"
            + (f". The first: {first}" if first else f"; see `vecmill plan {feature.name}`")
        )
    return decoded.batch, decoded.rows


def sample(
    source: Source,
    size: int,
    rng: np.random.Generator,
    reporter: Reporter,
    draw: Draw = ALL,
    label: str | None = None,
    cutter: Cutter | None = None,
) -> pl.DataFrame:
    """An even sample without replacement of the source's contents, each content once.

    The draw hangs on the content, so that one that comes often has one chance as any other. Where
    records are cut, it is of their parts.

    Returns:
        Columns ``content``, and ``label``: the kept column of that name as text, of the first
        record with that content; null where no column is asked for.
    """
    import polars as pl

    salt = rng.bytes(8).hex()
    labels = (pl.lit(None) if label is None else pl.col(label)).cast(pl.String)
    kept: pl.DataFrame | None = None
    for records in _within(source, draw, cutter):
        reporter.advance(len(records))
        hashes = records["content_hash"].to_list()
        drawn = records.select("content", "content_hash", label=labels).with_columns(
            key=pl.Series([hash_text(salt + h) for h in hashes], dtype=pl.String)
        )
        both = drawn if kept is None else pl.concat([kept, drawn])
        kept = both.unique("content_hash", keep="first", maintain_order=True).bottom_k(
            size, by="key"
        )
    if kept is None:
        return pl.DataFrame({"content": [], "label": []})
    return kept.sort("key").select("content", "label")


def _within(source: Source, draw: Draw, cutter: Cutter | None) -> Iterator[pl.DataFrame]:
    """The records of the source, those of the window alone where there is one, or their parts."""
    window = (draw.since, draw.until)
    if draw.bounded and isinstance(source, Windowed):
        chunks = source.scan_window(*window)
    else:
        chunks = source.scan()
    for chunk in chunks:
        records = chunk.records.filter(inside(window)) if draw.bounded else chunk.records
        yield records if cutter is None else cutter.cut(Chunk(records)).records
