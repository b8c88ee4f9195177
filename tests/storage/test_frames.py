"""Frames of a stream: what is held, and what is gathered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from storage.canaries import Canaries
from storage.frames import apart, gathered
from storage.staging import Spool

if TYPE_CHECKING:
    from pathlib import Path


def held(texts: pl.Series) -> int:
    """Bytes of all buffers that a column of texts keeps in memory."""
    arrow = texts.to_arrow(compat_level=pl.CompatLevel.newest())
    return sum(buffer.size for buffer in arrow.buffers() if buffer is not None)


def chunk(n: int, rows: int = 500) -> pl.DataFrame:
    """Records of 2,000 letters each, the hash of whose content is their number."""
    ids = [f"{n * rows + i:08}" for i in range(rows)]
    texts = [one + "x" * 2000 for one in ids]
    return pl.DataFrame(
        {"record_id": ids, "place": ids, "content": texts, "content_hash": ids[::-1]}
    )


def test_rows_apart_keep_nothing_else_in_memory() -> None:
    rows = chunk(0)
    few = rows.filter(pl.col("record_id").str.ends_with("77"))
    assert held(few["content"]) > 500_000, "polars copies texts by itself now"
    alone = apart(few)
    assert alone.equals(few)
    assert alone.schema == few.schema
    assert held(alone["content"]) < 20_000


def test_a_choice_of_canaries_keeps_no_other_texts(tmp_path: Path) -> None:
    choice = Canaries(tmp_path).choice("t", 10)
    for n in range(20):
        choice.add(chunk(n))
    assert choice._held is not None  # noqa: SLF001 - what memory holds has no other name
    assert len(choice._held) == 10  # noqa: SLF001 - as above
    assert held(choice._held["content"]) < 100_000  # noqa: SLF001 - as above


def test_a_spool_of_few_rows_a_chunk_keeps_no_other_texts(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1000)
    for n in range(20):
        spool.add(chunk(n).filter(pl.col("record_id").str.ends_with("77")))
    assert sum(held(some["content"]) for some in spool._held) < 400_000  # noqa: SLF001 - as above
    (shard,) = spool.close()
    assert len(pl.read_parquet(shard)) == 100


def test_frames_are_gathered_in_order_and_none_is_lost() -> None:
    frames = [pl.DataFrame({"n": list(range(a, b))}) for a, b in ((0, 3), (3, 3), (3, 9), (9, 10))]
    found = [frame["n"].to_list() for frame in gathered(frames, 4)]
    assert found == [[0, 1, 2, 3, 4, 5, 6, 7, 8], [9]]
    assert list(gathered([frames[1]])) == []
