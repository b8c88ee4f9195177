from __future__ import annotations

import csv
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.monitors import _explain, drift
from tests.flows.monitors.samples import sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.monitors.base import Part, Sample

WORDS = tuple(
    f"{start}{end}" for start in ("ba", "ke", "mi", "so") for end in ("lor", "nat", "pim")
)


def texts(n: int, rng: np.random.Generator, more: str = "", share: float = 0.0) -> list[str]:
    drawn = rng.choice(WORDS, (n, 4))
    added = rng.random(n) < share
    return [
        " ".join(row) + (f" {more}" if extra else "")
        for row, extra in zip(drawn, added, strict=True)
    ]


def keeps(name: str, columns: Mapping[str, Sequence[object]]) -> Sample:
    n = len(next(iter(columns.values())))
    return replace(sample(np.zeros((n, 2)), name), kept=columns)


def named(parts: Sequence[Part], kind: str = "word") -> list[str]:
    return [part.name for part in parts if part.kind == kind]


def test_the_words_that_came_and_went_are_told() -> None:
    rng = np.random.default_rng(0)
    before = keeps("r", {"title": texts(200, rng, "Yesterday", 0.4)})
    now = keeps("c", {"title": texts(150, rng, "Goal, goal: GOAL!", 0.3)})
    parts = _explain.explain(before, now)
    assert set(named(parts)[:2]) == {"goal", "yesterday"}
    goal, yesterday = sorted(parts[:2], key=lambda part: part.name)
    having = [row for row, text in enumerate(now.kept["title"]) if "goal" in str(text)]
    assert goal.record_ids == tuple(f"c{row}" for row in having[:5])
    assert yesterday.record_ids == ()
    assert goal.figures["z"] > 0 > yesterday.figures["z"]
    assert goal.figures["share_current"] == pytest.approx(len(having) / 150)
    assert goal.summary == f"0 % → {len(having) / 1.5:.0f} % of texts have it"


def test_a_word_is_named_only_if_three_records_have_it() -> None:
    rng = np.random.default_rng(0)
    # two of 6 current texts: surprising enough, but they would tell whose they are
    plain, few = texts(2000, rng), texts(6, rng)
    for count, expected in ((2, []), (3, ["hapax"])):
        some = [f"{text} hapax" if row < count else text for row, text in enumerate(few)]
        parts = _explain.explain(keeps("r", {"t": plain}), keeps("c", {"t": some}))
        assert named(parts) == expected


def test_copies_of_a_content_and_parts_of_a_record_count_once() -> None:
    rng = np.random.default_rng(0)
    plain, few = texts(2000, rng), texts(6, rng)
    few[0] += " hapax"
    rows = [0] * 9 + [1, 2, 3, 4, 5]
    current = keeps("c", {"t": [few[row] for row in rows]})
    copies = replace(current, content_hashes=[f"{row}" for row in rows])
    assert named(_explain.explain(keeps("r", {"t": plain}), copies)) == []
    owners = [f"owner {row}" for row in rows]
    of_parts = replace(current, kept={**current.kept, "parent_id": owners})
    before = keeps("r", {"t": plain, "parent_id": [f"{row}" for row in range(2000)]})
    assert named(_explain.explain(before, of_parts)) == []
    assert "hapax" in named(_explain.explain(keeps("r", {"t": plain}), current))


def test_the_values_that_moved_are_told() -> None:
    rng = np.random.default_rng(0)
    before = keeps("r", {"label": rng.choice(["a", "b", "c"], 300).tolist()})
    now = keeps("c", {"label": rng.choice(["a", "b", "c"], 200, p=[0.7, 0.15, 0.15]).tolist()})
    parts = _explain.explain(before, now)
    assert named(parts, "slice")[0] == "label = a"
    assert parts[0].verdict == "cannot tell"
    assert "no column of texts is kept" in parts[0].summary
    assert set(parts[1].record_ids) <= {
        f"c{row}" for row, value in enumerate(now.kept["label"]) if value == "a"
    }


def test_nothing_is_told_where_nothing_moved() -> None:
    told = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        pair = [
            keeps(name, {"t": texts(n, rng), "label": rng.choice(list("abc"), n).tolist()})
            for name, n in (("r", 150), ("c", 60))
        ]
        told += len(_explain.explain(*pair)) > 0
    # at most one run in ten by each of two families: binomial(40, 0.2) is in there 999 of 1,000
    assert told <= 17


@pytest.mark.parametrize("words", [["", ""], ["the and", "of the"], ["one", "two"]])
def test_texts_without_words_are_answered(words: list[str]) -> None:
    rows = [f"{word} {word} {word}" for word in words] * 10
    parts = _explain.explain(keeps("r", {"t": rows}), keeps("c", {"t": rows}))
    assert [part for part in parts if part.verdict == "alarm"] == []


def test_the_z_score_is_that_of_the_paper() -> None:
    before, now = np.array([3.0, 50.0]), np.array([30.0, 48.0])
    z = _explain.log_odds(before, now, 100, 100)
    prior = 20 * 33 / 200
    ours, theirs = ((have + prior, 100 - have + 20 - prior) for have in (3.0, 30.0))
    delta = np.log(theirs[0] / theirs[1]) - np.log(ours[0] / ours[1])
    assert z[0] == pytest.approx(delta / np.sqrt(sum(1 / x for x in (*ours, *theirs))))
    assert abs(z[1]) < 0.5


def test_drift_tells_the_words_of_an_alarm_and_of_no_other_verdict() -> None:
    rng = np.random.default_rng(0)
    columns = {"t": texts(120, rng, "comet", 0.4)}
    before = replace(sample(rng.standard_normal((200, 3)), "r"), kept={"t": texts(200, rng)})
    params = drift.Params(permutations=199, features=64)
    for shift, words in ((0.0, []), (3.0, ["comet"])):
        moved = sample(rng.standard_normal((120, 3)) + shift, "c")
        finding = drift.compare(before, replace(moved, kept=columns), rng, params)
        assert finding.verdict == ("alarm" if words else "quiet")
        assert named(finding.parts) == words


def test_the_id_of_a_record_that_rows_are_parts_of_is_no_text() -> None:
    kept = {"parent_id": ["minutes of one meeting"] * 3}
    assert _explain.texts(kept) is None
    assert _explain.texts(kept | {"text": ["a few plain words"] * 3}) == ["a few plain words"] * 3


@pytest.mark.realdata
@pytest.mark.slow
def test_the_words_of_more_sports_are_of_sports() -> None:
    data = os.environ.get("VECMILL_TEST_DATA")
    if data is None:
        pytest.skip("VECMILL_TEST_DATA is not set")
    with (Path(data) / "text" / "ag_news.csv").open(encoding="utf-8", newline="") as file:
        news = list(csv.DictReader(file))
    sports = [row for row in news[1000:] if row["label"] == "sports"]
    chosen = {"r": news[:1000], "c": sports[:1000]}
    pair = [
        keeps(name, {key: [row[key] for row in rows] for key in ("title", "body", "label")})
        for name, rows in chosen.items()
    ]
    parts = _explain.explain(*pair)
    grown = {part.name for part in parts if part.kind == "word" and part.figures["z"] > 0}
    assert grown & {"game", "team", "season", "night", "coach", "cup"}
    assert "label = sports" in named(parts, "slice")
