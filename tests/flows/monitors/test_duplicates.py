from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.monitors import duplicates
from tests.flows.monitors.samples import lumpy, sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flows.monitors.base import Finding

PARAMS = duplicates.Params(alpha=0.1)


def compare(
    reference: NDArray[np.float64],
    current: NDArray[np.float64],
    params: duplicates.Params = PARAMS,
) -> Finding:
    rng = np.random.default_rng(1)
    return duplicates.compare(sample(reference, "r"), sample(current, "c"), rng, params)


def p_values(reference: NDArray[np.float64], current: NDArray[np.float64]) -> NDArray[np.float64]:
    unit = [rows / np.linalg.norm(rows, axis=1)[:, None] for rows in (reference, current)]
    return duplicates._twins(*unit).p  # noqa: SLF001 - what is proved is proved of these


@pytest.mark.parametrize("ties", [False, True])
def test_without_duplicates_an_alarm_is_as_rare_as_alpha(ties: bool) -> None:  # noqa: FBT001 - a case
    from scipy.stats import binom

    alarms = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        finding = compare(
            lumpy(120, rng, 4, ties=ties),
            lumpy(30, rng, 4, ties=ties),
            duplicates.Params(alpha=0.2),
        )
        alarms += finding.verdict == "alarm"
    assert alarms <= binom.ppf(0.999, 300, 0.2)
    assert ties or alarms > 0


def test_p_values_of_either_pool_are_never_too_small() -> None:
    """Each row of a set in turn is the record; that is as likely as any other order."""
    rng = np.random.default_rng(4)
    rows = np.round(rng.standard_normal((41, 3)), 1)
    rows = rows[np.abs(rows).sum(axis=1) > 0]
    others = np.concatenate([rows[:2] + 0.05, rng.standard_normal((6, 3))])
    found = [
        p_values(np.delete(rows, i, axis=0), np.vstack([rows[i : i + 1], others]))[0]
        for i in range(len(rows))
    ]
    for level in np.linspace(0.01, 1, 100):
        assert np.mean(np.array(found) <= level) <= level


def test_the_p_value_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(3)
    reference, current = rng.standard_normal((30, 4)), rng.standard_normal((7, 4))
    current[0] = reference[5] + 0.01
    current[2] = current[1] + 0.02
    before, now = (rows / np.linalg.norm(rows, axis=1)[:, None] for rows in (reference, current))

    def apart(row: NDArray[np.float64], pool: NDArray[np.float64]) -> float:
        return float(((pool - row) ** 2).sum(axis=1).min())

    for i, p in enumerate(p_values(reference, current)):
        joined = np.vstack([before, now[i : i + 1]])
        each = [apart(row, np.delete(joined, j, axis=0)) for j, row in enumerate(joined)]
        known = np.mean(np.array(each) <= each[-1] + 1e-12)
        others = np.delete(now, i, axis=0)
        each = [apart(row, others) for row in joined]
        fresh = np.mean(np.array(each) <= each[-1] + 1e-12)
        within = [apart(row, np.delete(before, j, axis=0)) for j, row in enumerate(before)]
        usual = np.mean(np.array([*within, 0.0]) <= each[-1] + 1e-12)
        assert p == pytest.approx(min(1, 2 * min(known, max(fresh, usual))))


def test_planted_twins_are_named_with_what_they_are_twins_of() -> None:
    rng = np.random.default_rng(0)
    reference, current = rng.standard_normal((600, 16)), rng.standard_normal((40, 16))
    for row in range(4):
        current[row] = 2 * reference[100 + row] + 0.01 * rng.standard_normal(16)
    for row in range(4, 8):
        current[row] = current[row + 4] + 0.01 * rng.standard_normal(16)
    finding = compare(reference, current)
    assert finding.verdict == "alarm", finding.summary
    assert set(finding.record_ids) == {f"c{row}" for row in range(12)}
    first = finding.parts[0].summary
    assert finding.summary.startswith(f"12 of 40 records are nearly others: {first} (p ")
    names = {part.name for part in finding.parts}
    assert {f"'c{row}' and 'r{100 + row}'" for row in range(4)} <= names
    assert len(names) == 8, "a pair within the run is one part"
    for part in finding.parts:
        assert part.figures["cosine"] > 0.99
        assert len(part.record_ids) == 1 + int(part.figures["within_run"])


def test_the_share_named_wrongly_is_at_most_alpha_on_average() -> None:
    shares = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        reference, current = rng.standard_normal((400, 8)), rng.standard_normal((60, 8))
        current[:15] = reference[:15] + 0.01 * rng.standard_normal((15, 8))
        finding = compare(reference, current, duplicates.Params(alpha=0.2, max_ids=60))
        wrong = [name for name in finding.record_ids if int(name[1:]) >= 15]
        assert len(finding.record_ids) - len(wrong) == 15
        shares.append(len(wrong) / len(finding.record_ids))
    assert np.mean(shares) <= 0.2 + 3 * np.std(shares) / np.sqrt(60)


def test_near_copies_that_the_reference_has_as_well_are_seldom_named() -> None:
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        batches = [np.repeat(rng.standard_normal((n, 8)), 2, axis=0) for n in (200, 20)]
        nearly = [rows + 0.01 * rng.standard_normal(rows.shape) for rows in batches]
        finding = compare(nearly[0], nearly[1], duplicates.Params(alpha=0.05))
        alarms += finding.verdict == "alarm"
    assert alarms <= 4, "all come in twos, and nearly all would be named if only the run had"


def test_equal_contents_are_no_near_duplicates() -> None:
    rng = np.random.default_rng(0)
    reference, current = rng.standard_normal((300, 8)), rng.standard_normal((30, 8))
    current[:10] = reference[:10]
    current[20:] = current[19]
    ours = sample(reference, "r")
    contents = [*ours.content_hashes[:10], *[f"c{row}" for row in range(10, 20)], *["c19"] * 10]
    theirs = sample(current, "c", contents)
    finding = duplicates.compare(ours, theirs, rng, PARAMS)
    assert finding.verdict != "alarm", finding.summary
    assert finding.n_reference + finding.n_current == 310


def test_rows_of_zeros_have_no_direction_and_are_left_out() -> None:
    rng = np.random.default_rng(0)
    reference, current = rng.standard_normal((60, 4)), rng.standard_normal((20, 4))
    reference[:5] = 0
    current[:3] = 0
    finding = compare(reference, current)
    assert (finding.n_reference, finding.n_current) == (55, 17)


def test_too_few_reference_rows_are_no_pass() -> None:
    rng = np.random.default_rng(0)
    finding = compare(rng.standard_normal((30, 4)), rng.standard_normal((20, 4)))
    assert finding.verdict == "cannot tell"
    assert "no p-value below 0.13" in finding.summary


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"alpha": 1.0}, "alpha must lie between 0 and 1"),
        ({"max_rows": 10}, "max_rows must be at least 20, got 10"),
        ({"min_current": 0}, "min_current must be at least 1"),
    ],
)
def test_params_are_checked(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        duplicates.Params(**keys)
