"""Records cut into chunks, each a row of its own that says of which record it is, and where.

Texts are cut by the splitter of their encoder, recordings into windows (`flows.pipeline.windows`).

An encoder with a limit reads the beginning of a long text and no more. One that offers a splitter
(`encoders.registry.splitter`) has its texts cut first: the rest of a run then sees a chunk as it
would see a record, by the id ``RECORD#N`` and by the hash of the chunk's own text, so that an edit
in one place has only those chunks encoded again that it touched. What goes by whole records, as
numbering, duplicates, limits and erasing do, goes by the columns of `storage.parts.PARTS`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from encoders import registry
from encoders.base import EncoderError
from flows.config.parsing import parse_params
from flows.config.settings import SettingsError
from flows.config.templates import TemplateError, fill
from flows.pipeline import fitting
from flows.pipeline.windows import Windows
from flows.sources.base import Chunk, SourceUsageError
from storage.ids import hash_text
from storage.parts import PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from encoders.base import Splitter
    from encoders.windows import Window
    from flows.config.settings import Feature
    from flows.sources.base import Source
    from storage.model import Version
    from storage.parts import Parts


class Cutter(Protocol):
    """Cuts records into the rows of a version.

    Attributes:
        parts: the columns that these have, after the kept ones.
    """

    @property
    def parts(self) -> Parts:
        """The columns that tell a row's record and place."""
        ...

    def cut(self, chunk: Chunk) -> Chunk:
        """Each record as its parts, in order; what cannot be cut becomes a reject."""
        ...


@dataclass(frozen=True)
class Texts:
    """Cuts texts by the splitter of their encoder."""

    splitter: Splitter
    parts: Parts = PARTS

    def cut(self, chunk: Chunk) -> Chunk:
        """See `split`."""
        return split(chunk, self.splitter)


def cutter_of(feature: Feature, version: Version | None) -> Cutter | None:
    """How a version's records are cut, or those of one that the configured encoder would begin.

    Returns:
        None where records are encoded whole.

    Raises:
        SettingsError: if a parameter holds an environment variable that is not set.
    """
    if version is not None and not version.chunked:
        return None
    kind, params = _encoder(feature, version)
    window = _window(kind, params)
    if window is not None:
        return None if window.pool else Windows(window, feature.limits)
    splitter = _splitter(kind, params)
    return None if splitter is None else Texts(splitter)


def sample_cutter(feature: Feature) -> Cutter | None:
    """How records are cut for the configured encoder to learn from, be its windows pooled or not.

    Chunks of texts are not: what learns from texts learns from whole ones.
    """
    window = _window(*_encoder(feature, None))
    return None if window is None else Windows(window, feature.limits)


def _encoder(feature: Feature, version: Version | None) -> tuple[str, str]:
    """The kind and the parameters, as JSON, of a version's encoder or the configured one."""
    if version is not None:
        return version.kind, fitting.params_json(dict(version.params))
    plugin = feature.encoder
    return plugin.kind, fitting.params_json(fitting.params_of(plugin))


def _window(kind: str, params: str) -> Window | None:
    return registry.window(kind, _filled(kind, params))


@lru_cache(maxsize=8)
def _splitter(kind: str, params: str) -> Splitter | None:
    """Kept, since one may read a tokenizer; a run asks for it more than once."""
    return registry.splitter(kind, _filled(kind, params))


def _filled(kind: str, params: str) -> object:
    try:
        filled = fill(json.loads(params), f"an encoder of kind {kind!r}")
    except TemplateError as error:
        raise SettingsError(str(error)) from error
    return parse_params(kind, filled)


def kept_columns(source: Source, cutter: Cutter | None) -> dict[str, pl.DataType]:
    """The columns that are kept beside the vectors, and their types."""
    if cutter is None:
        return source.kept
    import polars as pl

    text, number = pl.String(), pl.Int64()
    types = (text, text, number, number, number)
    return {**source.kept, **dict(zip(cutter.parts.names, types, strict=True))}


def is_chunked(feature: Feature, version: Version | None) -> bool:
    """Whether a version's rows are chunks; needs no tokenizer where there is a version."""
    return cutter_of(feature, None) is not None if version is None else version.chunked


def check(feature: Feature, source: Source) -> None:
    """Refuse what cannot be together with chunks; for a feature whose version has them as rows.

    Raises:
        SettingsError: if the feature is to keep a history.
        SourceUsageError: if the source keeps a column that is called as one of ours.
    """
    if feature.history:
        plugin = feature.encoder
        recordings = registry.modality(plugin.kind, plugin.params) == "audio"
        whole, part = ("recording", "window") if recordings else ("text", "chunk")
        raise SettingsError(
            f"[features.{feature.name}] has history = true, and its encoder {plugin.name!r} cuts "
            f"{whole}s into {part}s, which have no history: what was one {whole} yesterday may be "
            f"three {part}s today. Take history out, or let the encoder pool the {part}s of a "
            f"{whole} into one vector"
        )
    clash = sorted(name for name in source.kept if name.lower() in PARTS.names)
    if clash:
        raise SourceUsageError(
            f"the source {feature.source.name!r} keeps a column {clash[0]!r}, and the encoder "
            f"{feature.encoder.name!r} makes a row a chunk with columns {', '.join(PARTS.names)}; "
            "rename it in the source, leave it out of keep, or let the encoder pool"
        )


def split(chunk: Chunk, splitter: Splitter) -> Chunk:
    """Cut records into their chunks, each a record with the columns of `PARTS` after the kept ones.

    Args:
        chunk: of a source of texts. What could not be read is handed on as it is.
        splitter: cuts the texts.

    Raises:
        EncoderError: if the splitter breaks its contract.
    """
    import polars as pl

    records = chunk.records
    texts: Sequence[str] = records["content"].to_list()
    spans = splitter(texts)
    _check_spans(texts, spans)
    rows = [row for row, of in enumerate(spans) for _ in of]
    numbers = [number for of in spans for number in range(len(of))]
    starts = [start for of in spans for start, _ in of]
    ends = [end for of in spans for _, end in of]
    cut = [texts[row][start:end] for row, start, end in zip(rows, starts, ends, strict=True)]
    whole = records[rows]
    own = {
        "record_id": whole["record_id"] + "#" + pl.Series(numbers, dtype=pl.Int64).cast(pl.String),
        "content": pl.Series(cut, dtype=pl.String),
        "content_hash": pl.Series([hash_text(text) for text in cut], dtype=pl.String),
        PARTS.parent: whole["record_id"],
        PARTS.whole: whole["content_hash"],
        PARTS.number: pl.Series(numbers, dtype=pl.Int64),
        PARTS.start: pl.Series(starts, dtype=pl.Int64),
        PARTS.end: pl.Series(ends, dtype=pl.Int64),
    }
    return Chunk(whole.with_columns(**own), chunk.rejects)


def _check_spans(texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]]) -> None:
    """A splitter is a plug-in's: what it breaks of its contract would only show much later."""
    if len(spans) != len(texts):
        raise EncoderError(
            f"the encoder's splitter must give a list of spans for each text, got {len(spans)} "
            f"lists for {len(texts)} texts; its author can mend it, and with pool texts are not "
            "split before they are encoded"
        )
    for text, of in zip(texts, spans, strict=True):
        if not of or any(not 0 <= start <= end <= len(text) for start, end in of):
            raise EncoderError(
                f"the encoder's splitter must give at least one span within a text, got {of!r:.80} "
                f"for one of {len(text)} characters"
            )
