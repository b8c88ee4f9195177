"""What the benchmarks of the monitors rest on: their rows, their cache, their exact MMD."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.monitors import base
from tests.bench import _changes
from tests.bench._rows import Rows
from tests.bench.drift_data import kept, sample
from tests.bench.drift_power import Point, exact_mmd, mcnemar

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.drift_data import Vectors


def test_rows_are_printed_and_kept_one_by_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.json"
    rows = Rows("first", {"name": 6, "rate": 4}, path)
    rows.add({"name": "mmd", "rate": "0.05"}, seconds=1.5)
    first = {"title": "first", "rows": [{"name": "mmd", "rate": "0.05", "seconds": 1.5}]}
    assert json.loads(path.read_text("utf-8")) == [first]
    rows.then("second", {"name": 4}).add({"name": "knn"})
    second = {"title": "second", "rows": [{"name": "knn"}]}
    assert json.loads(path.read_text("utf-8")) == [first, second]
    assert capsys.readouterr().out == "\nfirst\nname    rate\nmmd     0.05\n\nsecond\nname\nknn\n"


def test_contents_are_encoded_once_a_folder(tmp_path: Path) -> None:
    made = []

    def encode() -> Vectors:
        made.append(1)
        return np.ones((2, 3), dtype=np.float32)

    for raw in (b"a", b"a", b"b"):
        assert kept(tmp_path / "new", raw, encode).tolist() == [[1, 1, 1]] * 2
    assert len(made) == 2
    kept(None, b"a", encode)
    assert len(made) == 3


@pytest.mark.parametrize("shift", [0.0, 0.15, 0.3])
@pytest.mark.parametrize(("n", "m"), [(80, 80), (90, 60)])
def test_exact_mmd_of_the_benchmark_is_that_of_the_monitor(n: int, m: int, shift: float) -> None:
    rng = np.random.default_rng(n)
    vectors = rng.standard_normal((n + m, 5)).astype(np.float32)
    vectors[n:] += np.float32(shift)
    params = base.params_type("mmd_exact")(permutations=4999, most_permutations=0)
    pair = sample(vectors, np.arange(n)), sample(vectors, np.arange(n, n + m))
    theirs = base.compare("mmd_exact", *pair, np.random.default_rng(0), params).p_value
    assert theirs is not None
    ours = exact_mmd(vectors[:n], vectors[n:], np.random.default_rng(1))
    # five standard errors of a share of 999
    assert ours == pytest.approx(theirs, abs=5 * np.sqrt(max(theirs, 0.002) / 999))


def test_draws_that_one_test_flags_alone_are_what_mcnemar_counts() -> None:
    point = Point({"exact": [True] * 10 + [False] * 10, "mmd": [True] * 9 + [False] * 11})
    assert point.rate("mmd") == 0.45
    assert point.differences("mmd").sum() == -1
    assert mcnemar(point.differences("mmd")) == 1.0
    # 2 * P(at most 1 of 10) = 22 / 1024
    assert mcnemar(np.array([1] * 9 + [-1] + [0] * 10)) == pytest.approx(22 / 1024)


@pytest.mark.parametrize("strength", [0.2, 0.5])
def test_a_planted_change_brings_no_row_of_the_reference(strength: float) -> None:
    rng = np.random.default_rng(0)
    vectors = np.arange(400, dtype=np.float32)[:, None]
    labels = np.array(["a", "b"])[rng.integers(2, size=400)]
    rows = rng.permutation(400)
    reference, current, spare = rows[:100], rows[100:200], rows[200:]
    for change in (
        _changes.more_of(vectors, labels == "a", strength),
        _changes.swapped(vectors, labels, np.array(["a", "b"]), strength),
    ):
        changed = change(current, spare, rng).ravel().astype(int)
        assert len(set(changed.tolist())) == 100
        assert not set(changed.tolist()) & set(reference.tolist())
        assert 0 < len(set(changed.tolist()) - set(current.tolist())) <= 100 * strength


def test_strengths_shrink_as_samples_grow() -> None:
    vectors = np.zeros((1, 1), dtype=np.float32)
    unchanged = _changes.plain(vectors)
    curve = _changes.Curve("one", vectors, 2000, (0.1, 0.2), "{:.2f}", lambda _: unchanged)
    assert list(curve.at(500, [0, 1])) == ["0.10", "0.20"]
    assert list(curve.at(2000, [1])) == ["0.10"]
