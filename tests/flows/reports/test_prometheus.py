"""Metrics: what Prometheus' own parser reads back is what the catalog has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_fd_to_metric_families

from flows.cli import run_command
from flows.reports.prometheus import write
from flows.sources.base import SourceError
from storage.ids import new_run_id
from storage.model import UsageError
from tests.flows.reports.reporting import finding, ran, records

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.project import Project


def read(path: Path) -> dict[tuple[str, frozenset[str]], float]:
    with path.open(encoding="utf-8") as file:
        families = list(text_fd_to_metric_families(file))
    assert all(family.documentation and family.type == "gauge" for family in families)
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_metrics_are_written_after_each_run_whatever_came_of_it(project: Project) -> None:
    """No monitor looks after one that failed, or found nothing to do."""
    project.more = '[reports]\nprometheus = "vecmill.prom"\n'
    target, feature = project.root / "vecmill.prom", frozenset({"notes"})
    project.write(records(0, 3))
    project.run()
    first = read(target)
    project.run()
    again = read(target)
    ended = "vecmill_last_run_success_timestamp_seconds", feature
    assert again[ended] > first[ended]
    assert again["vecmill_last_run_failed", feature] == 0
    (project.root / "notes.csv").unlink()
    with pytest.raises(SourceError, match="no file matches"):
        project.run()
    failed = read(target)
    assert failed["vecmill_last_run_failed", feature] == 1
    assert failed[ended] == again[ended]
    assert failed["vecmill_rows", frozenset({"notes", "1", "live"})] == 3


def test_metrics_are_what_the_catalog_has(project: Project, tmp_path: Path) -> None:
    run = ran(project, *records(0, 30), ("bad", "FAIL", "x"))
    rows = [
        finding(
            "drift", "alarm", p_value=0.25, series={"looks": 3.0, "budget": 0.05, "spent": 0.01}
        ),
        finding("health", "quiet", p_value=None),
    ]
    project.stores().catalog.add_findings("notes", 1, run, rows)
    target = tmp_path / "vecmill.prom"
    write(project.settings(), target)
    found = read(target)
    of = {"notes", "1"}
    assert found["vecmill_rows", frozenset({*of, "live"})] == 30
    assert found["vecmill_dead_letters", frozenset({*of, "live"})] == 1
    told = {
        verdict: found["vecmill_finding", frozenset({*of, "drift", verdict})]
        for verdict in ("quiet", "watch", "alarm", "cannot tell")
    }
    assert told == {"quiet": 0, "watch": 0, "alarm": 1, "cannot tell": 0}
    assert found["vecmill_finding_p_value", frozenset({*of, "drift"})] == 0.25
    assert ("vecmill_finding_p_value", frozenset({*of, "health"})) not in found
    assert found["vecmill_series_looks", frozenset({*of, "drift"})] == 3
    assert found["vecmill_series_budget_spent", frozenset({*of, "drift"})] == 0.01
    started = project.runs()[0]["started_at"].timestamp()
    last = found["vecmill_last_run_timestamp_seconds", frozenset({"notes"})]
    assert last == pytest.approx(started, abs=1e-3)
    assert found["vecmill_last_run_failed", frozenset({"notes"})] == 0
    killed = project.stores().logs.open("notes", new_run_id())  # before it was in the catalog
    killed.write("begin", {"feature": "notes"})
    write(project.settings(), target)
    assert read(target)["vecmill_last_run_failed", frozenset({"notes"})] == 1


def test_a_feature_that_never_ran_has_none(project: Project, tmp_path: Path) -> None:
    project.write(records(0, 3))
    write(project.settings(), tmp_path / "vecmill.prom")
    assert {name for name, _ in read(tmp_path / "vecmill.prom")} == {"vecmill_build_info"}


def test_the_command_writes_metrics_and_no_page(project: Project, tmp_path: Path) -> None:
    ran(project, *records(0, 30))
    conf = ["--conf", str(project.settings().conf)]
    target = tmp_path / "vecmill.prom"
    assert run_command(["report", "notes", "--prometheus", str(target), *conf]) == 0
    assert read(target)["vecmill_rows", frozenset({"notes", "1", "live"})] == 30
    assert not (project.root / "data" / "reports").exists()
    assert [path.name for path in tmp_path.glob("vecmill.prom*")] == ["vecmill.prom"]
    with pytest.raises(UsageError, match="cannot write metrics into"):
        write(project.settings(), tmp_path / "no" / "such.prom")
