"""Findings in the light of those of earlier runs, as the catalog remembers them."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from flows.config.settings import Feature, Monitor, Plugin
from flows.monitoring import series
from flows.monitoring.in_series import in_series
from flows.monitoring.series import Look
from flows.monitors import drift
from storage.catalog import Catalog
from storage.ids import new_run_id
from storage.model import Counts, FindingRow, Manifest, Version

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 1, 5, 6, tzinfo=UTC)
VERSION = Version(
    *("notes", 1, "print", {}, "tabular", {}, "row", "l2", 2, None, {}, "live"),
)
FEATURE = Feature("notes", Plugin("notes", "table", None), Plugin("mill", "tabular", None))


@dataclass
class Looks:
    """A feature whose runs each bring ten rows a day, and are looked at.

    Attributes:
        p: what `look` finds where nothing else is said.
    """

    catalog: Catalog
    params: drift.Params = field(default_factory=drift.Params)
    feature: Feature = FEATURE
    manifests: list[Manifest] = field(default_factory=list)
    p: float = 0.5

    def run(self, *, rows: int = 10, kind: str = "run", **counts: int) -> Manifest:
        """Publish a run."""
        day = len(self.manifests)
        at = START + timedelta(days=day)
        before = self.manifests[-1].rows if day else 0
        manifest = Manifest(
            *("notes", 1, new_run_id(at), day + 1, "print"),
            Counts(**{"new": rows} | counts),
            *(before + rows, at, kind),
        )
        self.manifests.append(manifest)
        return manifest

    def finding(self, p: float | None, effect: float = 1.0) -> FindingRow:
        """What the monitor says by itself."""
        alone = "cannot tell" if p is None else "alarm" if p <= self.params.alpha else "quiet"
        return FindingRow(
            *("drift", alone, "as seen", 1.0, 1.0, p, effect, 100, 10, None),
            detail={"least_p": 1 / (self.params.permutations + 1)},
        )

    def look(self, p: float | None = None, **changes: object) -> FindingRow:
        """Publish a run and look at it."""
        self.run()
        row = self.finding(self.p if p is None else p)
        return self.again(replace(row, **changes))  # type: ignore[arg-type] # of whichever field

    def again(self, row: FindingRow, current: Manifest | None = None) -> FindingRow:
        """Look at the last run, or another, and keep the finding."""
        current = current or self.manifests[-1]
        plugin = Monitor("drift", "drift", self.params)
        given = (self.feature, self.catalog, VERSION, self.manifests, current, [plugin], [row])
        (found,) = in_series(*given)
        self.catalog.add_findings("notes", 1, current.run_id, [found])
        return found


@pytest.fixture
def looks(tmp_path: Path, empty_catalog: Path) -> Looks:
    looks = Looks(Catalog(shutil.copyfile(empty_catalog, tmp_path / "catalog.duckdb")))
    looks.run()
    return looks


def test_looks_add_up_and_one_taken_again_does_not_count_twice(looks: Looks) -> None:
    findings = [looks.look(p) for p in (0.3, 0.008, 0.6)]
    assert looks.again(looks.finding(0.6)) == findings[-1]
    last = findings[-1].series
    assert (last["looks"], last["since"]) == (3, looks.manifests[1].run_id)
    assert last["level"] == pytest.approx(0.025 * series.weight(3))
    assert last["spent"] == pytest.approx(0.025 * (1 - series.left(3)))
    assert last["low"] == 1
    assert last["expected"] == pytest.approx(0.03)
    so_far = [Look(p) for p in (0.3, 0.008, 0.6)]
    assert last["e_value"] == series.stand(so_far, 0.05, independent=True).e_value
    assert last["enough"] == pytest.approx(40)


def test_a_run_looked_at_again_after_later_ones_is_judged_by_those_before_it(looks: Looks) -> None:
    findings = [looks.look(p) for p in (0.3, 0.2, 0.6)]
    assert looks.again(looks.finding(0.2), looks.manifests[2]) == findings[1]


def test_a_run_that_is_yet_to_be_published_is_judged_by_those_before_it(looks: Looks) -> None:
    looks.look()
    coming = looks.run()
    looks.manifests.pop()
    finding = looks.again(looks.finding(0.4), coming)
    assert finding.series["looks"] == 2
    assert "e_value" in finding.series


def test_a_first_alarm_is_one_as_it_was_without_a_series(looks: Looks) -> None:
    finding = looks.look(0.01)
    assert (finding.verdict, finding.alone, finding.summary) == ("alarm", "alarm", "as seen")


def test_an_alarm_ends_the_series_and_the_next_has_a_fresh_budget(looks: Looks) -> None:
    looks.look()
    assert looks.look(1e-4).verdict == "alarm"
    finding = looks.look()
    assert finding.series["looks"] == 1
    assert finding.series["since"] == looks.manifests[-1].run_id


def test_what_one_look_in_many_shows_by_chance_is_watched(looks: Looks) -> None:
    for _ in range(5):
        looks.look()
    finding = looks.look(0.005, record_ids=("r1",))
    assert (finding.alone, finding.verdict) == ("alarm", "watch")
    assert finding.summary == (
        "as seen; an alarm by itself, but one such among 6 looks comes by chance in 6% of series: "
        "by now it takes p ≤ 0.00071, or 2 more such looks in a row; after 5 looks one is an alarm "
        "at p ≤ 0.00071, and no p-value below 0.001 is possible, so no single look can be one, if "
        "not several in a row: raise permutations"
    )
    assert finding.record_ids == ("r1",), "who looks into it wants to know where"
    assert [looks.look(0.005).verdict for _ in range(2)] == ["watch", "alarm"]


def test_a_limit_that_does_not_hold_is_an_alarm_whatever_the_series_says(looks: Looks) -> None:
    looks.look(0.4)
    broken = {"verdict": "alarm", "summary": "too few", "detail": {"broken_limits": 1.0}}
    found = looks.look(0.7, **broken)
    assert (found.verdict, found.alone, found.summary) == ("alarm", "alarm", "too few")
    after = looks.look(0.3)
    assert after.series["looks"] == 3, "it tells nothing of chance, so the series goes on"
    looks.run()
    looks.again(replace(looks.finding(None), verdict="alarm"))
    assert looks.look(0.3).series["looks"] == 4, "nor where no check could be made beside it"
    both = looks.look(1e-9, **broken)
    assert (both.verdict, looks.look(0.3).series["looks"]) == ("alarm", 1)


def test_a_limit_that_does_not_hold_is_told_where_the_looks_together_are_an_alarm(
    looks: Looks,
) -> None:
    for p in (*[None] * 5, 0.005, 0.005):
        assert looks.look(p).verdict != "alarm"
    broken = {"verdict": "alarm", "summary": "too few", "detail": {"broken_limits": 1.0}}
    found = looks.look(0.005, **broken)
    assert found.verdict == "alarm"
    assert found.summary == (
        "too few; and besides, the 8 looks since 2026-01-06 together are an alarm"
    )


def test_looks_that_are_all_a_little_low_are_an_alarm_together(looks: Looks) -> None:
    verdicts = [looks.look(0.02).verdict for _ in range(6)]
    assert verdicts[:3] == ["quiet"] * 3
    assert "alarm" in verdicts
    n = verdicts.index("alarm") + 1
    rows = looks.catalog.query("SELECT summary, alone FROM findings WHERE verdict = 'alarm'")
    (row,) = rows.to_pylist()
    assert row["alone"] == "quiet"
    assert row["summary"].startswith(
        f"the {n} looks since 2026-01-06 together are an alarm, which this one alone is not; "
        "this look: as seen"
    )


def test_a_change_too_small_to_matter_is_none_however_often_it_is_seen(looks: Looks) -> None:
    looks.params = drift.Params(min_effect=2.0)
    for _ in range(12):
        finding = looks.look(0.001, verdict="quiet")
    assert finding.verdict == "quiet"
    assert float(finding.series["e_value"]) < 1
    assert finding.series["low"] == 12, "the measured rate is of what was found"


def test_where_permutations_are_too_few_the_summary_says_so(looks: Looks) -> None:
    looks.feature = replace(looks.feature, reference="first")
    looks.look()
    summaries = [looks.look().summary for _ in range(8)]
    assert summaries[0] == "as seen"
    assert summaries[-1].endswith("so no single look can be one: raise permutations")


@pytest.mark.parametrize(
    "change",
    [{"reference": "first"}, {"false_alarms": 0.2}, {"alpha": 0.02}],
    ids=lambda change: next(iter(change)),
)
def test_another_configuration_begins_a_series(looks: Looks, change: dict[str, Any]) -> None:
    looks.look()
    looks.look()
    if "alpha" in change:
        looks.params = replace(looks.params, **change)
    else:
        looks.feature = replace(looks.feature, **change)
    assert looks.look().series["looks"] == 1
    assert looks.look().series["looks"] == 2


def test_more_permutations_go_on_with_the_series(looks: Looks) -> None:
    looks.look()
    looks.params = drift.Params(permutations=9999)
    assert looks.look().series["looks"] == 2


@pytest.mark.parametrize("reference", ["first", "3 runs", "28 days", "weekday"])
def test_only_single_looks_count_where_the_reference_does_not_grow(
    looks: Looks, reference: str
) -> None:
    looks.feature = replace(looks.feature, reference=reference)
    for _ in range(9):
        looks.look()
    finding = looks.look(0.004)
    assert finding.series["level"] == pytest.approx(0.05 * series.weight(10))
    assert "e_value" not in finding.series
    assert "such look" not in finding.summary
    assert finding.verdict == "watch"


@pytest.mark.parametrize(
    "between",
    [{"changed": 1}, {"deleted": 1}, {"kind": "erase", "rows": 0}, {"rows": -1, "new": 0}],
    ids=str,
)
def test_nor_where_rows_of_earlier_runs_were_changed_or_removed(
    looks: Looks, between: dict[str, Any]
) -> None:
    assert "e_value" in looks.look().series
    looks.run(**between)
    assert "e_value" not in looks.look().series


def test_rows_that_are_only_added_between_looks_tie_them_not(looks: Looks) -> None:
    looks.look()
    looks.run(kind="backfill")
    looks.run(rows=0)
    assert "e_value" in looks.look().series


def test_a_look_at_a_run_that_published_nothing_ends_the_gathering(looks: Looks) -> None:
    looks.look()
    refused = looks.run()
    looks.manifests.pop()
    looks.again(looks.finding(0.3), refused)
    looks.run()
    finding = looks.look()
    assert finding.series["looks"] == 3
    assert "e_value" not in finding.series


def test_what_has_no_p_value_is_in_no_series_and_spends_nothing(looks: Looks) -> None:
    looks.look()
    looks.run()
    row = looks.finding(None)
    assert looks.again(row) == row
    assert looks.look().series["looks"] == 2


def test_findings_of_earlier_releases_are_no_part_of_a_series(looks: Looks) -> None:
    looks.look()
    with looks.catalog.transaction() as con:
        con.execute("UPDATE findings SET series = NULL, alone = NULL")
    assert looks.look().series["looks"] == 1
