"""Sentence models on real texts: what is published of them, and what may not change a vector."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy.stats import spearmanr

from encoders._chunks import Chunk
from encoders.sentence import Params, SentenceEncoder, build, splitter

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = [pytest.mark.slow, pytest.mark.realdata]


@pytest.fixture(scope="module")
def news(data: Path) -> list[str]:
    with (data / "text" / "ag_news.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:60]
    return [f"{row['title']}\n{row['body']}" for row in rows]


@pytest.fixture(scope="module")
def pairs(data: Path) -> list[list[str]]:
    with (data / "text" / "stsb_dev.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[::3]


@pytest.fixture(scope="module")
def minilm() -> SentenceEncoder:
    return build(Params())


def agreement(left: NDArray[np.float32], right: NDArray[np.float32], scores: list[float]) -> float:
    """Spearman's correlation of the cosines of unit vectors with what people said."""
    return float(spearmanr((left * right).sum(axis=1), scores).statistic)


def test_fewer_dimensions_and_a_short_type_cost_little(
    minilm: SentenceEncoder, pairs: list[list[str]]
) -> None:
    """Matryoshka cuts of a model that was not trained for them: it loses a point at a third."""
    scores = [float(row[2]) for row in pairs]
    short = build(Params(truncate_dim=128, dtype="bfloat16"))
    texts = [[row[at] for row in pairs] for at in (0, 1)]
    full = [minilm.encode(side) for side in texts]
    found = [short.encode(side) for side in texts]
    whole = agreement(full[0], full[1], scores)
    assert whole > 0.83, "published for the whole test split: 0.82"
    assert whole - 0.03 < agreement(found[0], found[1], scores) < whole + 0.01
    first = full[0][:, :128] / np.linalg.norm(full[0][:, :128], axis=1, keepdims=True)
    assert (found[0] * first).sum(axis=1).min() > 0.999


def test_a_short_type_gives_a_text_one_vector(news: list[str]) -> None:
    encoder = build(Params(dtype="bfloat16"))
    together = encoder.encode(news)
    alone = np.concatenate([encoder.encode([text]) for text in news[:8]])
    np.testing.assert_array_equal(alone, together[:8])
    np.testing.assert_array_equal(encoder.encode(news[::-1])[::-1], together)


def test_chunks_of_real_texts_are_read_whole(minilm: SentenceEncoder, news: list[str]) -> None:
    chunk = Chunk(tokens=32, overlap=8)
    cut = splitter(Params(chunk=chunk))
    assert cut is not None
    spans = cut(news)
    encoder = build(Params(chunk=chunk, max_tokens=32))
    for text, found in zip(news, spans, strict=True):
        covered = {at for start, end in found for at in range(start, end)}
        assert all(text[at].isspace() for at in range(len(text)) if at not in covered)
    parts = [text[a:b] for text, found in zip(news, spans, strict=True) for a, b in found]
    assert len(parts) > 2 * len(news)
    assert encoder.truncated(parts).texts == 0
    assert minilm.truncated(news).limit == 256


def test_pooled_chunks_find_what_stands_beyond_the_limit(
    minilm: SentenceEncoder, news: list[str]
) -> None:
    """The whole of thirty articles as one text: the model alone reads some eight of them."""
    text = "\n".join(news[:30])
    pooled = build(Params(chunk=Chunk(tokens=128, overlap=16, pool="mean")))
    assert minilm.truncated([text]).cut > 0
    inside = minilm.encode(news[:30])
    last = slice(20, 30)
    assert (inside[last] @ pooled.encode([text])[0]).mean() > (
        inside[last] @ minilm.encode([text])[0]
    ).mean() + 0.05
