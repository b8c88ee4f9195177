"""The monitor of raw records: each check alone, the limits, and how often it is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from flows.monitors import _counts, _usual, records
from flows.monitors._profile import Look, Profile, bucket, merged, usual_length
from flows.monitors._record_checks import holm
from flows.monitors.base import Finding, Part, Sample

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def of(profile: Profile | None, kept: dict[str, list[object]] | None = None) -> Sample:
    n = len(next(iter((kept or {"": []}).values())))
    ids = [f"r{row}" for row in range(n)]
    return Sample(np.zeros((n, 2), np.float32), ids, ids, kept or {}, profile)


def check(before: Profile | None, now: Profile | None, **params: Any) -> Finding:  # noqa: ANN401 - keys of Params
    rng = np.random.default_rng(3)
    return records.compare(of(before), of(now), rng, records.Params(**params))


def part(finding: Finding, name: str) -> Part:
    return next(part for part in finding.parts if part.name == name)


def usual(n: int = 300, seed: int = 0, **changes: Any) -> Profile:  # noqa: ANN401 - keys of Profile
    """What a run of the ordinary kind is like."""
    rng = np.random.default_rng(seed)
    lengths: dict[int, int] = {}
    for size in rng.lognormal(5, 0.5, n):
        lengths[bucket(max(size, 1))] = lengths.get(bucket(max(size, 1)), 0) + 1
    missing = int(rng.binomial(n, 0.02))
    cut = int(rng.binomial(n, 0.05))
    english = int(rng.binomial(n, 0.95))
    given = Profile(
        contents=n,
        unit="characters",
        lengths=lengths,
        languages={"en": english, "fr": n - english},
        nulls={"label": (missing, n), "event_time": (n, n)},
        rows=n,
        empty=int(rng.binomial(n, 0.01)),
        texts=n,
        cut_texts=cut,
        text_tokens=100 * n,
        cut_tokens=20 * cut,
    )
    return replace(given, **changes)


def in_turn(profile: Profile, nth: int, rows: int = 300, hours: float = 2.0) -> Profile:
    at = NOW + timedelta(days=nth)
    look = Look(rows, at, at - timedelta(hours=hours))
    return replace(profile, rows=rows, runs=(look,), newest=look.newest, oldest=look.newest)


def series(runs: int, seed: int = 0) -> Profile | None:
    rng = np.random.default_rng(seed)
    drawn = zip(rng.lognormal(5.7, 0.2, runs), rng.lognormal(0.7, 0.3, runs), strict=True)
    return merged(
        in_turn(usual(seed=100 * seed + n), n, int(rows), hours)
        for n, (rows, hours) in enumerate(drawn)
    )


def test_alike_is_quiet_and_says_what_was_checked() -> None:
    finding = check(series(8), in_turn(usual(seed=50), 8))
    assert finding.verdict == "quiet", finding.summary
    assert {p.name: p.verdict for p in finding.parts} == dict.fromkeys(
        ("volume", "freshness", "nulls", "lengths", "languages", "empty", "cut"), "quiet"
    )
    assert part(finding, "volume").figures["records"] == 300
    assert (finding.n_reference, finding.n_current) == (8 * 300, 300)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("nulls of label", {"nulls": {"label": (60, 300)}}, " → 20 % of contents"),
        (
            "lengths",
            {"lengths": {bucket(900): 300}},
            "longer than some 899 characters, before than 146",
        ),
        ("languages", {"languages": {"en": 200, "de": 100}}, "de 0 % → 33 % of texts"),
        ("empty", {"empty": 60}, " → 17 % of records have nothing in them"),
        ("cut", {"cut_texts": 90, "cut_tokens": 9000}, " → 30 % of tokens are cut"),
    ],
)
def test_each_check_sees_its_own(name: str, change: dict[str, Any], words: str) -> None:
    finding = check(series(8), in_turn(usual(seed=50, **change), 8))
    alarms = [p for p in finding.parts if p.verdict == "alarm"]
    assert [p.name for p in alarms] == [name], finding.summary
    assert words in finding.summary
    assert alarms[0].figures["p_adjusted"] <= 0.01
    assert finding.p_value == alarms[0].figures["p_adjusted"]


@pytest.mark.parametrize(("rows", "hours", "name"), [(3000, 2, "volume"), (300, 72, "freshness")])
def test_ten_times_the_volume_and_a_late_feed_are_seen(rows: int, hours: int, name: str) -> None:
    finding = check(series(8), in_turn(usual(seed=50), 8, rows, hours))
    assert [p.name for p in finding.parts if p.verdict == "alarm"] == [name], finding.summary


def test_a_run_that_went_wrong_before_hides_no_second_one() -> None:
    before = [in_turn(usual(seed=n), n, 300 + n) for n in range(10)]
    before[4] = in_turn(usual(seed=4), 4, 3000)
    finding = check(merged(before), in_turn(usual(seed=50), 10, 3000), checks=("volume",))
    assert finding.verdict == "alarm", finding.summary


def test_what_cannot_be_told_is_said() -> None:
    first = in_turn(usual(), 0)
    assert check(None, first).summary.startswith("nothing to compare with yet")
    assert check(series(8), None).summary.startswith("no profile of the records")
    few = check(series(4), in_turn(usual(seed=9), 5))
    assert part(few, "volume").verdict == "cannot tell"
    assert part(few, "volume").summary == "5 runs before it are needed, and there are 4"
    look = replace(first.runs[0], kind="other")
    backfill = check(series(8), replace(first, runs=(look,)), min_records=1000)
    assert part(backfill, "freshness").summary.startswith("a version's first run, a backfill")
    assert backfill.verdict == "quiet", "a backfill is as large as it is asked to be"
    small = check(usual(), usual(15, seed=2))
    assert small.verdict == "cannot tell"
    told = part(small, "languages").summary
    assert told == "20 texts a side are needed, and there are 300 and 15"
    assert small.summary == (
        "too little to judge volume, freshness, nulls, lengths, languages, empty, cut by; the "
        "parts say what is missing (15 against 300 contents)"
    )
    alone = check(usual(), usual(15, seed=2), checks=("languages",))
    assert alone.summary == f"languages: {told} (15 against 300 contents)"


def test_a_small_change_is_none_however_sure() -> None:
    before = usual(nulls={"label": (0, 100_000)})
    now = usual(seed=1, nulls={"label": (1000, 100_000)})
    assert check(before, now, checks=("nulls",)).verdict == "quiet"
    assert check(before, now, checks=("nulls",), min_difference=0.005).verdict == "alarm"


def test_the_records_that_lack_a_value_are_named() -> None:
    kept: dict[str, list[object]] = {"label": ["a", None, "b", None]}
    rng = np.random.default_rng(0)
    now = usual(nulls={"label": (150, 300)})
    params = records.Params(checks=("nulls",))
    finding = records.compare(of(usual()), of(now, kept), rng, params)
    assert finding.record_ids == part(finding, "nulls of label").record_ids == ("r1", "r3")


@pytest.mark.parametrize(
    ("limit", "change", "words"),
    [
        ({"max_null_share": 0.1}, {"nulls": {"label": (60, 300)}}, "max_null_share is 10 %"),
        ({"max_null_share": {"label": 0.1}}, {"nulls": {"label": (60, 300)}}, "label has no"),
        ({"min_records": 1000}, {}, "300 records were written, and min_records is 1,000"),
        ({"max_records": 100}, {}, "300 records were written, and max_records is 100"),
        ({"max_age": "90 minutes"}, {}, "2.0 hours old, and max_age is 90 minutes"),
        ({"languages": ["en"]}, {"languages": {"en": 200, "de": 100}}, "(de)"),
        ({"max_empty_share": 0.1}, {"empty": 100}, "25 % of records are empty"),
        ({"max_cut_share": 0.1}, {"cut_tokens": 9000}, "30 % of tokens are cut"),
    ],
)
def test_limits_hold_on_a_first_run(
    limit: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    first = in_turn(usual(), 0)
    first = replace(first, runs=(replace(first.runs[0], kind="first"),), **change)
    finding = check(None, first, **limit)
    assert finding.verdict == "alarm"
    assert words in finding.summary
    kept = in_turn(usual(400, languages={"en": 390, "unknown": 10}), 0, 400, 0.5)
    within = {"max_null_share": 0.5, "min_records": 10, "max_records": 10_000,
              "max_age": "2 days", "languages": ["en"], "max_cut_share": 0.5}  # fmt: skip
    assert check(None, kept, **within).verdict == "quiet"


def test_a_limit_on_what_is_not_there_cannot_be_told() -> None:
    finding = check(None, usual(languages={"unknown": 9}), max_null_share={"colour": 0.1},
                    languages=["en"])  # fmt: skip
    assert finding.verdict == "cannot tell"
    assert "max_null_share names colour, which the records do not have" in finding.summary


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"alpha": 0}, "alpha must lie between 0 and 1, got 0"),
        ({"checks": ("volumes",)}, "checks must be among volume, .*got 'volumes'"),
        ({"alpha": 1e-4}, "out of reach of 7 checks with permutations = 4999; raise .*70000"),
        ({"max_age": "2 moons"}, "max_age must be a number of minutes, .*got '2 moons'"),
        ({"max_null_share": {"label": 2}}, "label must be a share from 0 to 1, got 2"),
        ({"min_records": 5, "max_records": 4}, r"max_records \(4\) must not be below min_records"),
        ({"min_ratio": 0.5}, "min_ratio must be at least 1"),
        ({"min_contents": 1}, "min_contents must be at least 2"),
    ],
)
def test_params_that_make_no_sense_are_refused(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        records.Params(**keys)


@pytest.mark.slow
def test_false_alarms_are_as_rare_as_promised() -> None:
    # Without the least differences, which hold most of them back: the bare tests must keep alpha.
    params = records.Params(alpha=0.1, min_difference=0.0, min_ratio=1.0, permutations=499)
    alarms = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        *before, last = (
            in_turn(usual(150, seed=1000 * seed + n), n, int(rows), float(hours))
            for n, (rows, hours) in enumerate(
                zip(rng.lognormal(6, 0.4, 9), rng.lognormal(1, 0.5, 9), strict=True)
            )
        )
        finding = records.compare(of(merged(before)), of(last), rng, params)
        alarms += finding.verdict == "alarm"
    # 15 are expected at most; 26 or more of 150 come once in 400 times at a rate of 0.1
    assert alarms < 26


def test_profiles_add_up_and_come_back_from_plain_values() -> None:
    one, two = in_turn(usual(seed=1), 0), in_turn(usual(seed=2), 1)
    both = one + two
    assert both.contents == 600
    assert sum(both.lengths.values()) == 600
    assert both.nulls["label"][1] == 600
    assert (both.oldest, both.newest) == (one.newest, two.newest)
    assert both.runs == one.runs + two.runs
    assert Profile.parse(both.plain()) == replace(both, runs=())
    assert one + Profile() == one


def test_lengths_are_told_to_a_tenth() -> None:
    for size in (1, 9, 100, 12_345):
        assert usual_length({bucket(size): 3}) == pytest.approx(size, rel=0.09)


def test_permutations_agree_with_scipy() -> None:
    from scipy.stats import chi2_contingency, fisher_exact, ks_2samp

    rng = np.random.default_rng(0)
    table = np.stack([rng.multinomial(400, [0.3, 0.3, 0.4]), rng.multinomial(90, [0.3, 0.4, 0.3])])
    _, p = _counts.permuted(table, _counts.chi_squared, 9999, rng)
    assert p == pytest.approx(chi2_contingency(table).pvalue, abs=0.02)
    drawn = rng.integers(0, 60, 400), rng.integers(0, 66, 90)
    histograms = np.stack([np.bincount(side, minlength=66) for side in drawn])
    found, p = _counts.permuted(histograms, _counts.distance, 9999, rng)
    oracle = ks_2samp(*drawn)
    assert found == pytest.approx(oracle.statistic)
    assert p <= oracle.pvalue + 0.02, "without ties it would be the same"
    exact = fisher_exact(np.array([[9, 91], [3, 297]]), alternative="greater").pvalue
    assert _counts.rise((3, 300), (9, 100)) == pytest.approx(exact)


def test_holm_makes_good_for_the_number() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


@pytest.mark.slow
@pytest.mark.parametrize("runs", [5, 20])
def test_the_next_of_a_row_of_runs_is_as_rarely_unusual_as_promised(runs: int) -> None:
    rng = np.random.default_rng(runs)
    rows = rng.lognormal(5, 0.5, (200, runs + 1))
    unusual = sum(_usual.judge(row[:-1], row[-1], 0.0, rng).either <= 0.1 for row in rows)
    assert 7 <= unusual <= 35, "200 draws at a rate of 0.1 leave that once in 400 times"
