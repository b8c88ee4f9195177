"""Gates: what they ask by default, what they say, and what they cannot be set to."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from flows.lifecycle.gates import Gates, Seen, judge
from flows.lifecycle.similarity import Estimate

FINE = Seen(complete=True, dead=0.0, coverage=1.0)
NEAR = Estimate(0.8, 0.01, 0.1)


def failed(gates: Gates, seen: Seen, against: str | None = "notes_v1") -> list[str]:
    return [verdict.gate for verdict in judge(gates, seen, against) if not verdict.passed]


def test_by_default_the_space_is_not_asked_for() -> None:
    gates = Gates()
    asked = [verdict.gate for verdict in judge(gates, FINE, "notes_v1")]
    assert (asked, gates.of_the_space) == (["complete", "no_alarms", "min_coverage"], False)
    assert failed(gates, FINE) == []


@pytest.mark.parametrize(
    ("gate", "seen", "said"),
    [
        ("complete", replace(FINE, complete=False), "no run over the whole source"),
        ("no_alarms", replace(FINE, alarms=("drift", "health")), "alarms by drift, health"),
        ("min_coverage", replace(FINE, coverage=0.9, missing=("a", "b")), "holds 90.00%.*a, b"),
        ("min_fresh", replace(FINE, fresh=0.5), "50.00% of the records that notes_v1 has too"),
    ],
)
def test_what_the_defaults_protect_from(gate: str, seen: Seen, said: str) -> None:
    assert failed(Gates(), seen) == [gate]
    [verdict] = [verdict for verdict in judge(Gates(), seen, "notes_v1") if not verdict.passed]
    assert re.search(said, verdict.told), verdict.told
    assert verdict.row()["gate"] == gate


def test_defaults_can_be_turned_off() -> None:
    seen = replace(FINE, alarms=("drift",), coverage=0.0, fresh=0.0)
    assert failed(Gates(min_coverage=0, min_fresh=0, no_alarms=False), seen) == []


@pytest.mark.parametrize(
    ("gates", "passes", "fails"),
    [
        (Gates(min_overlap=0.7), {"overlap": NEAR}, {"overlap": replace(NEAR, value=0.6)}),
        (Gates(min_cka=0.8), {"cka": NEAR}, {"cka": replace(NEAR, value=0.79)}),
        (Gates(max_procrustes=0.8), {"procrustes": NEAR}, {"procrustes": replace(NEAR, value=0.9)}),
        (Gates(max_dead=0.1), {"dead": 0.1}, {"dead": 0.11}),
    ],
)
def test_gates_that_are_set(
    gates: Gates, passes: dict[str, Estimate], fails: dict[str, Estimate]
) -> None:
    assert failed(gates, replace(FINE, **passes)) == []  # type: ignore[arg-type] # by name
    assert len(failed(gates, replace(FINE, **fails))) == 1  # type: ignore[arg-type] # by name


def test_what_cannot_be_told_does_not_pass() -> None:
    [verdict] = judge(Gates(min_cka=0.1), replace(FINE, sampled=4), "notes_v1")[-1:]
    assert (verdict.passed, verdict.found) == (False, None)
    assert "cannot be compared with notes_v1: 4 records" in verdict.told


def test_where_nothing_is_live_there_is_nothing_to_compare_with() -> None:
    gates = Gates(min_overlap=0.9)
    assert failed(gates, Seen(complete=True, dead=0.0), None) == []
    assert failed(gates, Seen(complete=False, dead=0.0), None) == ["complete"]


def test_a_share_that_is_not_whole_is_never_told_as_all() -> None:
    verdicts = judge(Gates(), replace(FINE, coverage=1 - 1e-9), "notes_v1")
    assert "holds 99.99% of the records" in verdicts[-1].told


@pytest.mark.parametrize("key", ["min_coverage", "max_dead", "min_overlap"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_gate_is_a_share(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{key} is a share from 0 to 1, got"):
        replace(Gates(), **{key: value})  # type: ignore[arg-type] # by name
