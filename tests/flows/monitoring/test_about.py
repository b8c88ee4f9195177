"""What an alarm is known by: the same from look to look while nothing new has happened."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.monitoring.about import HOLDS_UP, about, moved, together
from flows.monitors import slices
from flows.monitors.base import Part, Sample
from storage.model import FindingRow

if TYPE_CHECKING:
    from collections.abc import Sequence

FOUND = FindingRow("m", "alarm", "so", 1.0, 0.0, 0.01, 0.1, 10, 10, None, ("a", "b"))


def row(*parts: tuple[Any, ...]) -> FindingRow:
    made = tuple(vars(Part(kind, name, verdict, "so")) for kind, name, verdict in parts)
    return replace(FOUND, parts=made)


def test_it_is_the_parts_that_are_alarms_and_not_how_they_are_said() -> None:
    found = row(
        ("word", "goal", "alarm"), ("cluster", "cluster 3", "alarm"), ("slice", "b = 1", "alarm"),
        ("slice", "a = 1", "alarm"), ("slice", "c = 1", "quiet"), ("check", "lengths", "alarm"),
    )  # fmt: skip
    assert about(found) == ("check lengths", "slice a = 1", "slice b = 1")
    assert about(replace(found, statistic=9.0, record_ids=("z",))) == about(found)
    assert about(row()) == ()
    assert about(replace(row(), blocks="publishing")) == (HOLDS_UP,)


def test_clusters_that_are_made_anew_at_each_look_are_nothing_to_know_an_alarm_by() -> None:
    for name in ("cluster 3", "cluster 3 'season, game'", "cluster 12 'it's\nthere'"):
        assert about(row(("cluster", name, "alarm"))) == ()
    assert about(row(("cluster", "returns", "alarm"))) == ("cluster returns",)


def test_where_numbers_are_cut_does_not_matter() -> None:
    for name in ("age < 31", "31 <= age < 40.5", "age >= 40.5"):
        assert about(row(("slice", name, "alarm"))) == ("slice age by size",)
    for name in ("a = 1 <= b < 3", "age is missing", "label is a rare value"):
        assert about(row(("slice", name, "alarm"))) == (f"slice {name}",)
    assert about(row(("check", "component 3", "alarm"))) == ()


def test_of_records_that_detectors_found_it_is_the_records() -> None:
    found = row(("detector", "lof", "alarm"), ("detector", "knn", "quiet"))
    assert about(found) == ("record 'a'", "record 'b'")
    assert moved(found.parts, found.record_ids) == "records a and b"


def test_what_several_say_stands_once() -> None:
    found = [("label = a", "drift"), ("", "encoder"), ("label = a", "slices")]
    assert together(found) == ["label = a (drift, slices)", "encoder"]


def test_it_stays_the_same_while_the_same_slice_has_changed() -> None:
    """Other records of the same kind, look after look: no alarm is about anything new."""
    rng = np.random.default_rng(0)

    def sample(n: int, labels: Sequence[str], shift: float) -> Sample:
        named = [labels[k % len(labels)] for k in range(n)]
        vectors = rng.normal(size=(n, 8)).astype(np.float32)
        vectors[[name == "c" for name in named]] += np.float32(shift)
        ids = [f"r{k}" for k in range(n)]
        hashes = [str(rng.integers(1 << 60)) for _ in ids]
        return Sample(vectors, ids, hashes, {"label": named})

    before = sample(600, ("a", "b", "c"), 0.0)
    known = set()
    for seed in range(3):
        now = sample(300, ("a", "b", "c"), 2.0)
        found = slices.compare(before, now, np.random.default_rng(seed), slices.Params())
        assert found.verdict == "alarm"
        known.add(about(row(*((p.kind, p.name, p.verdict) for p in found.parts))))
    assert known == {("slice label = c",)}
