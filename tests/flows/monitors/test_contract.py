"""What every monitor keeps to; a new file in `flows.monitors` is tested here by its name alone."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pytest

from flows.monitors import base
from tests.flows.monitors.samples import keeping, lumpy, lying, profile, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.monitors.base import Finding, Sample

SEEDS = 20
# a monitor that promises at most one false alarm in 20 runs gives more than 4 in 20 once in 400
FALSE_ALARMS = 4
MOST_SUMMARY = 300
"""Characters that a person reads on a line."""

every_monitor = pytest.mark.parametrize("kind", base.kinds())


def run(kind: str, reference: Sample, current: Sample, seed: int = 0) -> Finding:
    params = base.params_type(kind)()
    return base.compare(kind, reference, current, np.random.default_rng(seed), params)


def pair(n: int, m: int, seed: int = 0) -> tuple[Sample, Sample]:
    rng = np.random.default_rng(seed)
    reference, current = sample(lumpy(n, rng), "r"), sample(lumpy(m, rng), "c")
    return keeping(reference, rng), keeping(current, rng)


def spoil(current: Sample) -> Sample:
    """Far away, of one direction, of long texts, with bad rows, of another encoder, in pieces."""
    vectors = 50 + 1e-3 * current.vectors
    vectors[0, 0] = np.nan
    vectors[1, 1] = np.inf
    vectors[2] = 0
    vectors[3:6] = vectors[3]
    kept = dict(current.kept) | {"label": ["Sports"] * len(current)}
    records = profile(current.vectors, longer=10.0)
    canaries = None if current.canaries is None else vectors[: len(current.canaries)]
    return dataclasses.replace(
        current, vectors=vectors, kept=kept, records=records, canaries=canaries, lying=lying(100)
    )


def assert_sane(finding: Finding, kind: str, reference: Sample, current: Sample) -> None:
    assert finding.monitor == kind
    assert finding.verdict in {"quiet", "alarm", "cannot tell"}
    assert finding.summary.strip()
    assert not finding.summary.startswith(get_args(base.Verdict)), "it stands before it"
    assert len(finding.summary) <= MOST_SUMMARY
    for name in ("statistic", "threshold", "p_value", "effect_size"):
        value = getattr(finding, name)
        assert value is None or (type(value) is float and math.isfinite(value)), name
    assert finding.p_value is None or 0 < finding.p_value <= 1
    assert all(type(v) is float and math.isfinite(v) for v in finding.detail.values())
    assert 0 <= finding.n_reference <= len(reference)
    assert 0 <= finding.n_current <= len(current)
    assert set(finding.record_ids) <= set(current.record_ids)
    assert len(set(finding.record_ids)) == len(finding.record_ids)
    for part in finding.parts:
        assert part.kind in get_args(base.PartKind)
        assert part.name.strip()
        assert part.summary.strip()
        assert part.verdict in {"quiet", "alarm", "cannot tell"}
        assert all(type(v) is float and math.isfinite(v) for v in part.figures.values())
        assert set(part.record_ids) <= set(current.record_ids)
    fields = dataclasses.asdict(finding)
    listed = {"record_ids": list(finding.record_ids), "parts": _listed(fields["parts"])}
    assert json.loads(json.dumps(fields, allow_nan=False)) == fields | listed


def _listed(parts: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [part | {"record_ids": list(part["record_ids"])} for part in parts]


def test_the_monitors_are_found_by_their_file_names() -> None:
    assert {"drift", "encoder", "health"} <= set(base.kinds())
    assert not [kind for kind in base.kinds() if kind.startswith("_")]


@every_monitor
def test_params_are_frozen_and_have_defaults(kind: str) -> None:
    params = base.params_type(kind)()
    fields = dataclasses.fields(params)
    assert base.reads(kind) <= {field.name for field in dataclasses.fields(base.Sample)}
    with pytest.raises(dataclasses.FrozenInstanceError, match=fields[0].name):
        setattr(params, fields[0].name, fields[0].default)


@every_monitor
@pytest.mark.parametrize("m", [0, 1, 2, 3, 19, 20, 60])
@pytest.mark.parametrize("n", [0, 1, 2, 60])
def test_any_number_of_rows_gets_an_answer(kind: str, n: int, m: int) -> None:
    reference, current = pair(n, m)
    finding = run(kind, reference, current)
    assert_sane(finding, kind, reference, current)
    if m <= 2:
        assert finding.verdict == "cannot tell", "too few rows are an answer, not a pass"


@every_monitor
def test_what_a_monitor_reads_may_be_missing(kind: str) -> None:
    reference, current = (dataclasses.replace(s, kept={}, records=None) for s in pair(120, 60))
    finding = run(kind, reference, current)
    assert_sane(finding, kind, reference, current)
    assert "records" not in base.reads(kind) or finding.verdict == "cannot tell"


@every_monitor
def test_without_a_reference_all_say_so_in_the_same_words(kind: str) -> None:
    finding = run(kind, *pair(0, 60))
    assert ("first run" in finding.summary) == (base.FIRST in finding.summary)
    assert base.FIRST in finding.summary or kind in {"encoder", "health", "upkeep"}


@every_monitor
def test_equal_distributions_stay_quiet(kind: str) -> None:
    verdicts = [run(kind, *pair(150, 60, seed), seed).verdict for seed in range(SEEDS)]
    assert verdicts.count("alarm") <= FALSE_ALARMS
    assert "quiet" in verdicts


@every_monitor
def test_bad_vectors_are_answered_too(kind: str) -> None:
    reference, current = pair(120, 60)
    current = spoil(current)
    finding = run(kind, reference, current)
    assert_sane(finding, kind, reference, current)
    assert finding.verdict == "alarm"


@every_monitor
@pytest.mark.parametrize("value", [np.nan, 0.0, 7.0, 3e38])
def test_constant_samples_are_answered(kind: str, value: float) -> None:
    reference, current = (sample(np.full((40, 5), value), name) for name in "rc")
    assert_sane(run(kind, reference, current), kind, reference, current)
    reference, _ = pair(40, 0)
    current = sample(np.full((40, 6), value), "c")
    assert_sane(run(kind, reference, current), kind, reference, current)


@every_monitor
def test_the_inputs_are_left_alone_and_the_seed_decides(kind: str) -> None:
    reference, current = pair(120, 60)
    current = spoil(current)
    matrices = [m for s in (reference, current) for m in (s.vectors, s.canaries) if m is not None]
    before = [m.tobytes() for m in matrices]
    for matrix in matrices:
        matrix.setflags(write=False)
    first = run(kind, reference, current, seed=3)
    assert run(kind, reference, current, seed=3) == first
    assert [m.tobytes() for m in matrices] == before


@every_monitor
def test_chance_comes_from_the_generator_alone(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_keys: object) -> None:
        raise AssertionError("a monitor made its own randomness")

    reference, current = pair(120, 60)
    run(kind, reference, current)  # scipy makes a generator where it is first imported
    rng, params = np.random.default_rng(0), base.params_type(kind)()
    state = np.random.get_state(legacy=False)  # noqa: NPY002 - the global one is what is watched
    monkeypatch.setattr(np.random, "default_rng", refuse)
    base.compare(kind, reference, current, rng, params)
    after = np.random.get_state(legacy=False)  # noqa: NPY002 - as above
    assert str(after) == str(state)


@every_monitor
def test_importing_a_monitor_pulls_in_nothing_heavy(kind: str) -> None:
    heavy = "scipy sklearn torch pandas polars transformers"
    code = (
        f"import sys, flows.monitors.{kind}\n"
        f"sys.exit(' '.join(m for m in {heavy.split()!r} if m in sys.modules) or 0)"
    )
    done = subprocess.run(  # noqa: S603 - our own interpreter and a text from here
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
