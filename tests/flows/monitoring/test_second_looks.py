"""A second look at a run: what it was held against may be gone, and what was found is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from flows.config.settings import Gc
from flows.monitoring.looking import monitor
from flows.output.progress import Silent
from flows.upkeep.erase import Eraser
from flows.upkeep.gc import Collector
from tests.flows.shop import Heard

if TYPE_CHECKING:
    from storage.model import FindingRow
    from tests.flows.project import Project

GOOD = [(f"note-{n}", f"a note of number {n}", "x") for n in range(60)]
# of half of the new ones the label is missing
MORE = [(f"note-{n}", f"a note of number {n}", "" if n % 2 else "x") for n in range(60, 140)]
GONE = "the reference no longer exists: the earlier state was forgotten by `vecmill {}`"
NOTHING_STAYS = Gc(keep_runs=1, keep_days=0, drop_retired_after_days=0, grace_hours=0)


@pytest.fixture
def looked(project: Project) -> Project:
    """A project whose last run was an alarm of one monitor, and quiet by another."""
    project.feature = {"monitors": ["records", "mmd", "health"]}
    for rows in (GOOD, [*GOOD, *MORE]):
        project.write(rows)
        project.run()
    records, mmd, _ = seen(project)
    assert (records.verdict, mmd.verdict) == ("alarm", "quiet")
    return project


def seen(project: Project, heard: Heard | None = None) -> list[FindingRow]:
    return monitor(project.settings(), "notes", heard or Silent())


def kept(project: Project) -> dict[str, tuple[str, list[str]]]:
    rows = project.stores().catalog.query("FROM findings").to_pylist()
    return {row["monitor"]: (row["verdict"], row["record_ids"]) for row in rows}


def forget(project: Project, by: str, record: str) -> None:
    if by == "gc":
        project.run()
        Collector(project.settings(), NOTHING_STAYS).collect([], Silent())
    else:
        Eraser(project.settings(), "notes", [record]).erase(Silent())


@pytest.mark.parametrize("by", ["erase", "gc"])
def test_what_was_found_stays_where_the_reference_is_gone(looked: Project, by: str) -> None:
    before = kept(looked)
    named = before["records"][1][0]
    forget(looked, by, named)
    for _ in range(2):
        heard = Heard()
        records, mmd, health = seen(looked, heard)
        assert (records.verdict, mmd.verdict, health.verdict) == ("alarm", "quiet", "quiet")
        assert records.p_value is not None
        told = f"the state before the run, which `vecmill {by}` has cleaned away since"
        assert records.reference == told
        assert (named in records.record_ids) == (by == "gc")
        assert [note for note in heard.notes if note.startswith("records: what was found before")]
    after = kept(looked)
    assert {name: verdict for name, (verdict, _) in after.items()} == {
        name: verdict for name, (verdict, _) in before.items()
    }
    rest = [one for one in before["records"][1] if by == "gc" or one != named]
    assert after["records"][1] == rest


@pytest.mark.parametrize("by", ["erase", "gc"])
@pytest.mark.parametrize("reference", ["previous", "first", "28 days"])
def test_who_looks_for_the_first_time_then_cannot_tell_and_says_why(
    looked: Project, by: str, reference: str
) -> None:
    forget(looked, by, "note-7")
    looked.feature = {
        "monitors": ["drift", "outliers", "duplicates", "slices", "labels"],
        "reference": reference,
    }
    for finding in seen(looked):
        assert finding.verdict == "cannot tell", finding.monitor
        assert finding.summary.startswith(GONE.format(by)), finding.summary


def test_a_graver_finding_takes_the_place_of_the_one_before(looked: Project) -> None:
    looked.more = "[monitors.health]\nmin_rows = 1000\n"
    assert [finding.verdict for finding in seen(looked)] == ["alarm", "quiet", "cannot tell"]
    forget(looked, "erase", "note-7")
    looked.more = ""
    assert [finding.verdict for finding in seen(looked)] == ["alarm", "quiet", "quiet"]
    assert kept(looked)["health"][0] == "quiet"


def test_the_next_run_is_held_against_what_an_erasure_left(looked: Project) -> None:
    forget(looked, "erase", "note-7")
    looked.write([*GOOD[:7], *GOOD[8:], *MORE, ("new-1", "another note", "x")])
    looked.run()
    records, mmd, _ = seen(looked)
    assert (records.n_reference, mmd.n_reference) == (140, 139)


def test_a_window_without_runs_is_told_as_that(looked: Project) -> None:
    with looked.stores().catalog.transaction() as con:
        con.execute("UPDATE manifests SET published_at = published_at - INTERVAL 9 DAY "
                    "WHERE lance_version = 1")  # fmt: skip
    looked.feature = {"monitors": ["mmd"], "reference": "5 days"}
    (finding,) = seen(looked)
    assert finding.summary == 'no run is such as reference = "5 days" says'


def test_the_command_says_what_stays_and_ends_as_for_an_alarm(
    looked: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    forget(looked, "erase", "note-7")
    assert run_command(["monitor", "notes", "--direct", "--conf", str(looked.settings().conf)]) == 3
    told = " ".join(capfd.readouterr().err.split())
    assert "records: what was found before stays (alarm), since `vecmill erase` has" in told
