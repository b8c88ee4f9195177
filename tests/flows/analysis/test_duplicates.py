"""duplicates: what is found is what comparing every pair finds."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pytest

from flows.analysis import duplicates as module
from flows.analysis.duplicates import duplicates
from flows.cli import run_command
from flows.output.progress import Silent
from storage.model import UsageError
from tests.flows.project import vector
from tests.flows.topics import texts, topical

if TYPE_CHECKING:
    from flows.analysis.duplicates import Found
    from tests.flows.project import Project


def find(project: Project, threshold: float) -> Found:
    return duplicates(project.settings(), "notes", Silent(), threshold)


def by_brute_force(project: Project, threshold: float) -> dict[frozenset[str], float]:
    """The groups that all pairs of published vectors link, and the lowest cosine within each."""
    rows = project.rows()
    units = {key: vector(row) / np.linalg.norm(vector(row)) for key, row in rows.items()}
    parent = {key: key for key in rows}

    def root(key: str) -> str:
        while parent[key] != key:
            key = parent[key]
        return key

    for one, first in units.items():
        for other, second in units.items():
            if first @ second >= threshold:
                parent[root(one)] = root(other)
    members = defaultdict(set)
    for key in rows:
        members[root(key)].add(key)
    return {
        frozenset(group): min(float(units[a] @ units[b]) for a in group for b in group)
        for group in members.values()
        if len(group) > 1
    }


def varied(project: Project, n: int = 150) -> Project:
    """Texts with copies, and with ones that differ in a word or two."""
    rows = texts(n)
    rows += [(f"copy {k}", rows[k][1], rows[k][2]) for k in range(0, n, 10)]
    rows += [(f"near {k}", rows[k][1] + " worda", rows[k][2]) for k in range(0, n, 7)]
    order = np.random.default_rng(4).permutation(len(rows))
    topical(project, [rows[k] for k in order], dim=30)
    project.run()
    return project


@pytest.mark.parametrize("threshold", [0.8, 0.9, 0.99])
def test_groups_are_those_of_all_pairs(
    project: Project, threshold: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    varied(project)
    # Blocks that are far smaller than the table, so that groups reach over several.
    monkeypatch.setattr(module, "_OUTER", 32)
    monkeypatch.setattr(module, "_INNER", 8)
    found = find(project, threshold)
    expected = by_brute_force(project, threshold)
    assert {frozenset(group.record_ids) for group in found.groups} == set(expected)
    for group in found.groups:
        lowest = expected[frozenset(group.record_ids)]
        assert group.lowest == pytest.approx(lowest, abs=1e-5)
    sizes = [len(group.record_ids) for group in found.groups]
    assert sizes == sorted(sizes, reverse=True)
    assert found.rows == len(project.rows())


def test_copies_are_told_from_what_is_only_near(project: Project) -> None:
    varied(project)
    rows = project.rows()
    for group in find(project, 0.9).groups:
        contents = {rows[one]["content_hash"] for one in group.record_ids}
        assert group.contents == len(contents)
        assert group.kind == ("exact" if len(contents) == 1 else "near")
        if group.kind == "exact":
            assert group.lowest == 1.0


def test_a_chain_shows_its_lowest_similarity(project: Project) -> None:
    varied(project)
    chains = [group for group in find(project, 0.8).groups if group.lowest and group.lowest < 0.79]
    assert chains
    assert all(group.kind == "near" and group.contents > 2 for group in chains)


def test_rows_without_a_direction_are_passed_over(project: Project) -> None:
    topical(project, [*texts(20), ("e1", "zzz", "x"), ("e2", "zzz", "x")])
    project.encoder = project.encoder | {"min_texts": 3}
    project.run()
    found = find(project, 0.999)
    assert found.passed_over == 2
    assert not {"e1", "e2"} & {one for group in found.groups for one in group.record_ids}
    assert "2 have no vector to compare" in found.sentences()[-1]


def test_a_history_is_looked_through_by_what_records_are_now(project: Project) -> None:
    project.source = {"event_time": "at"}
    project.feature = {"history": True}
    header = ("id", "text", "label", "at")
    project.write([("a", "one", "x", "2026-01-01"), ("b", "one", "x", "2026-01-01")], header)
    project.run()
    assert [set(g.record_ids) for g in find(project, 0.999).groups] == [{"a", "b"}]
    project.write([("a", "two", "x", "2026-02-01"), ("b", "one", "x", "2026-01-01")], header)
    project.run()
    assert find(project, 0.999).groups == ()


def test_a_threshold_is_a_cosine(project: Project) -> None:
    for threshold in (0.0, 1.01):
        with pytest.raises(UsageError, match="--threshold is a cosine above 0 and at most 1, got"):
            find(project, threshold)


def test_the_command_prints(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    varied(project, 40)
    conf = ["--conf", str(project.settings().conf)]
    assert run_command(["duplicates", "notes", "--threshold", "0.999", *conf]) == 0
    assert "records would go" in capsys.readouterr().out
    assert run_command(["duplicates", "notes", "--threshold", "0.999", "--json", *conf]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    pairs = {frozenset(row["record_ids"]) for row in rows}
    assert {frozenset({f"r{k}", f"copy {k}"}) for k in (10, 20, 30)} <= pairs
