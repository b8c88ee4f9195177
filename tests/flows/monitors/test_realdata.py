"""The monitors on real vectors: news, docstrings and program code, encoded with MiniLM."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from encoders import registry
from flows.demo import raw as demo_raw
from flows.monitors import drift, health
from tests.flows.monitors.samples import sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.slow


@pytest.mark.realdata
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("m", [1, 3, 20, 120])
def test_news_are_sound_at_any_size(news: NDArray[np.float32], m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(news))
    reference, current = sample(news[rows[:120]], "r"), sample(news[rows[120 : 120 + m]], "c")
    finding = health.compare(reference, current, rng, health.Params())
    assert finding.verdict == ("quiet" if m >= 20 else "cannot tell"), finding.summary


@pytest.mark.realdata
def test_news_against_news_are_flagged_no_more_often_than_alpha(news: NDArray[np.float32]) -> None:
    alarms = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(news))[:100]
        params = drift.Params(alpha=0.05, permutations=199, features=128)
        samples = sample(news[rows[:50]], "r"), sample(news[rows[50:]], "c")
        finding = drift.compare(*samples, rng, params)
        alarms += finding.verdict == "alarm"
    assert 0 < alarms <= 14, "binomial(100, 0.05) is in there 998 times of 1,000"


def test_the_shift_of_the_demo_is_found() -> None:
    rng = np.random.default_rng(0)
    minilm = registry.build("sentence", registry.params_type("sentence")())
    picked = [rng.choice(len(rows), 60, replace=False) for rows in (texts(), code())]
    before, after = (
        sample(minilm.encode([rows[int(i)] for i in chosen]), name)
        for rows, chosen, name in zip((texts(), code()), picked, "rc", strict=True)
    )
    finding = drift.compare(before, after, rng, drift.Params())
    assert finding.verdict == "alarm", finding.summary
    assert finding.detail["mean_shift"] > finding.detail["smallest_visible"]
    assert health.compare(before, after, rng, health.Params()).verdict == "quiet"


def texts() -> list[str]:
    return [_start(row) for row in demo_raw.docstrings()]


def code() -> list[str]:
    return [_start(row) for row in demo_raw.code()]


def _start(row: dict[str, str]) -> str:
    # short texts encode in a fraction of the time, and show the same
    return f"{row['title']}\n{row['body']}"[:300]
