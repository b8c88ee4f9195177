"""Profiles of raw records, taken where they stream by: counts, and no word of any record.

What a text says is looked at in one way only: its language is told, of as many texts a run as tell
the shares well. They are drawn by content hash, so that a run that was broken off and run again
draws the same ones.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.monitors._profile import EVENT_TIME, UNKNOWN, Profile, bucket
from flows.sources.base import COLUMNS
from storage.frames import apart
from storage.parts import PARTS, TIMES

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl
    import pyarrow as pa

    from storage.model import Counts
    from storage.staging import Unread

MAX_TEXTS = 2000
"""Texts a run whose language is told: a share is then known to within some 2 %."""

_LEAST_CHARACTERS, _MOST_CHARACTERS = 20, 500
_LEAST_PROBABILITY = 0.5
_EMPTY = ("the content is empty", "the content is null", "the text is blank", "the file is empty")
"""What sources say of contents with nothing in them."""
_PARTS = {*PARTS.names, *TIMES.names}


class Profiler:
    """Takes the profile of one run.

    Args:
        modality: of the records, as `flows.sources.base.Modality`.
        whole: whether each row is a record, and none a part of one.
    """

    def __init__(self, modality: str, *, whole: bool = True) -> None:
        self._modality = modality
        self._whole = whole
        self._profile = Profile()
        self._drawn: pl.DataFrame | None = None

    def add(self, rows: pl.DataFrame) -> None:
        """Take in contents that are new to the version, columns as `flows.sources.base.Chunk`."""
        if not len(rows):
            return
        unit, lengths = self._lengths(rows)
        self._profile += Profile(
            contents=len(rows),
            unit=unit if lengths else None,
            lengths=Counter(bucket(length) for length in lengths if length >= 1),
            nulls={name: (n, len(rows)) for name, n in _nulls(rows, self._modality)},
            newest=rows["event_time"].max(),  # type: ignore[arg-type]  # a moment or None
            oldest=rows["event_time"].min(),  # type: ignore[arg-type]  # a moment or None
        )
        if self._modality == "text":
            self._draw(rows)

    def profile(self, counts: Counts, unread: Unread, empty: int) -> Profile:
        """What all of them were like.

        Args:
            counts: what the run did.
            unread: what the encoder did not read of the texts.
            empty: how many records were refused for the first time since their text is empty.
        """
        cut = unread.cut
        return replace(
            self._profile,
            languages=languages([] if self._drawn is None else self._drawn["content"].to_list()),
            rows=counts.written,
            empty=empty,
            texts=unread.texts,
            cut_texts=cut.cut_texts,
            text_tokens=cut.text_tokens,
            cut_tokens=cut.cut_tokens,
        )

    def _lengths(self, rows: pl.DataFrame) -> tuple[str, list[int]]:
        """How long the contents are, and in which unit; nothing of what has no length."""
        if self._modality == "text":
            return "characters", rows["content"].str.len_chars().to_list()
        if self._modality in {"image", "audio"} and self._whole:
            return "bytes", [size for path in rows["content"] if (size := _size(path))]
        return "", []

    def _draw(self, rows: pl.DataFrame) -> None:
        import polars as pl

        held = rows.select("content_hash", pl.col("content").str.slice(0, _MOST_CHARACTERS))
        if self._drawn is not None:
            held = pl.concat([self._drawn, held])
        self._drawn = apart(held.bottom_k(MAX_TEXTS, by="content_hash"))


def languages(texts: Iterable[str]) -> dict[str, int]:
    """How many of the texts are in which language (ISO 639-1), or in none that can be told."""
    return dict(Counter(map(_language, texts)))


def _language(text: str) -> str:
    if len(text.strip()) < _LEAST_CHARACTERS:
        return UNKNOWN
    found, probability = _identifier().classify(text)
    return str(found) if probability >= _LEAST_PROBABILITY else UNKNOWN


@cache
def _identifier() -> Any:  # noqa: ANN401 - the package has no types
    """The model takes half a second to load, so it is kept, and not loaded for short texts."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _nulls(rows: pl.DataFrame, modality: str) -> Iterable[tuple[str, int]]:
    """How many values are missing: of event times, of kept columns, of fields of the content."""
    yield EVENT_TIME, rows["event_time"].null_count()
    if modality == "tabular":
        fields = rows["content"].struct.unnest()
        yield from ((name, fields[name].null_count()) for name in fields.columns)
    for name in rows.columns:
        if name not in COLUMNS and name not in _PARTS:
            yield name, rows[name].null_count()


def _size(path: str) -> int:
    """Bytes of a file that lies here; 0 of any other, which would have to be asked for."""
    if "://" in path:
        return 0
    try:
        return Path(path).stat().st_size
    except OSError:  # gone meanwhile: a dead letter will say so
        return 0


def newly_empty(dead: pa.Table, before: pa.Table) -> int:
    """How many records are dead letters now, and were not before, since nothing is in them.

    Args:
        dead: the dead letters as of a run, columns as `storage.model.DeadLetter`.
        before: those that were published before it.
    """
    now, then = (_empty(letters) for letters in (dead, before))
    return len(now.join(then, on=("named", "reason"), how="anti"))


def _empty(letters: pa.Table) -> pl.DataFrame:
    import polars as pl

    refused = pl.any_horizontal(pl.col("reason").str.starts_with(words) for words in _EMPTY)
    return (
        pl.DataFrame(letters)
        .filter((pl.col("stage") == "read") & refused)
        .select("reason", named=pl.coalesce("record_id", "place"))
    )
