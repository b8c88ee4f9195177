"""Encoders built once; samples to learn from even, and the same for the same source."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from flows.output.progress import Silent
from flows.pipeline.fitting import built, forget, params_json
from flows.pipeline.learning import sample
from flows.sources.base import Chunk
from storage.ids import hash_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from encoders.base import Encoder


class Texts:
    """A source of given texts, in chunks of ten."""

    kept: dict[str, pl.DataType] = {}  # noqa: RUF012 - as the protocol has it
    types: dict[str, str] = {}  # noqa: RUF012 - as above

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def scan(self) -> Iterator[Chunk]:
        for start in range(0, len(self.texts), 10):
            some = self.texts[start : start + 10]
            hashes = [hash_text(text) for text in some]
            yield Chunk(pl.DataFrame({"content": some, "content_hash": hashes}))


def drawn(texts: list[str], size: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    found: list[str] = sample(Texts(texts), size, rng, Silent())["content"].to_list()
    return found


def test_a_sample_is_even_over_the_source() -> None:
    texts = [f"text {n}" for n in range(60)]
    counts = dict.fromkeys(texts, 0)
    for seed in range(80):
        sample = drawn(texts, 15, seed)
        assert len(set(sample)) == 15
        for text in sample:
            counts[text] += 1
    # each is drawn with a chance of 1/4: 20 of 80 times, give or take 4.5 standard deviations
    assert max(abs(count - 20) for count in counts.values()) < 4.5 * np.sqrt(80 * 3 / 16)


def test_a_content_that_comes_often_is_no_likelier_than_others() -> None:
    texts = [text for n in range(150) for text in (f"text {n}", "often")]
    times = sum("often" in drawn(texts, 15, seed) for seed in range(60))
    # 15 of 151: 6 of 60 times, give or take 4.5 standard deviations
    assert times < 6 + 4.5 * np.sqrt(60 * 0.1 * 0.9)


def test_a_small_source_is_taken_whole_and_each_content_once() -> None:
    assert sorted(drawn(["a", "b", "a", "c"] * 8, 15, 0)) == ["a", "b", "c"]
    assert drawn([f"text {n}" for n in range(40)], 9, 1) == drawn(
        [f"text {n}" for n in range(40)], 9, 1
    )


def test_threads_that_want_an_encoder_at_once_share_one(tmp_path: Path) -> None:
    # its filters are so long that threads would overlap while they build
    params = params_json({"rate": 96_000, "window_ms": 500.0, "hop_ms": 100.0, "mels": 80})
    start = Barrier(4)

    def get(_thread: int) -> Encoder:
        start.wait()
        return built("mfcc", params, None, tmp_path)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(get, range(4)))
    assert all(encoder is found[0] for encoder in found)
    forget()
    assert built("mfcc", params, None, tmp_path) is not found[0]
