"""Reports: the verdict in a sentence."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from flows.monitoring.looking import monitor
from flows.monitors.base import FIRST, Part
from flows.output.progress import Silent
from flows.reports.bars import pair_of
from flows.reports.index import sentence
from flows.reports.model import Look, Watched
from flows.reports.page import page
from flows.reports.verdict import Standing as About
from flows.reports.verdict import by_severity, conclude, standalone
from storage.model import Counts, Manifest
from tests.flows.maps.test_map_page import version
from tests.flows.reports.reporting import NOON, ran, records, reported

if TYPE_CHECKING:
    from storage.model import Standing
    from tests.flows.project import Project


def watched(name: str, verdict: str, blocks: str = "promotion", run: str = "run-2") -> Watched:
    look = Look(run, NOON, verdict, verdict, 1.0, 0.5, 0.01, 0.2, 100, 50)
    return Watched(name, verdict, "so", blocks, None, None, look, {}, (), (), (look,))


def said(*findings: Watched, standing: Standing = "live", heeded: bool = True) -> str:
    one = replace(version(), standing=standing, version=3)
    published = Manifest("notes", 3, "run-2", 2, "f", Counts(new=1), 1234, NOON)
    about = About(one, 2, published, heeded, (), (), ("run-1", "run-2"))
    return conclude(about, by_severity(findings)).sentence


def test_the_verdict_is_one_sentence() -> None:
    drift, health = watched("drift", "alarm"), watched("health", "quiet")
    assert said(drift, health) == (
        "notes v3, alarm: drift; 1 of 2 monitors raises it; readers see its 1,234 rows as of "
        "31 January 2026."
    )
    assert said(drift, watched("records", "alarm"), standing="candidate") == (
        "notes v3, alarm: drift, records; 2 of 2 monitors raise it; readers do not see it, "
        "v2 is live; its promotion is held up."
    )
    assert said(health) == (
        "notes v3 is fine: the one monitor sees nothing unusual; readers see its 1,234 rows as of "
        "31 January 2026."
    )
    assert said(health, watched("drift", "cannot tell")).startswith(
        "notes v3 looks fine as far as can be told: 1 of 2 monitors sees nothing unusual, and "
        "drift has too few new records to judge by; readers see"
    )
    assert said(watched("drift", "watch"), health).startswith("notes v3 bears watching: drift")
    assert said(watched("drift", "cannot tell")) == (
        "Nothing unusual is known of notes v3, and too little to judge it by: drift has too few "
        "new records to judge by; readers see its 1,234 rows as of 31 January 2026."
    )
    small = watched("drift", "cannot tell")
    earlier = [
        replace(small.now, run_id="run-1", verdict=verdict) for verdict in ("quiet", "watch")
    ]
    assert "judge by; when there was more, nothing unusual was seen; readers" in said(
        replace(small, looks=(earlier[0], small.now))
    )
    assert "judge by; when there was more, drift was not quiet; readers" in said(
        replace(small, looks=(*earlier, small.now))
    )
    waiting = replace(watched("drift", "cannot tell"), summary=f"{FIRST}; and more")
    assert said(health, waiting).startswith(
        "notes v3 looks fine as far as can be told: 1 of 2 monitors sees nothing unusual, and "
        "drift begins with the second run, which can be compared with it; readers see"
    )
    assert said(waiting, watched("labels", "cannot tell")) == (
        "Nothing unusual is known of notes v3, and too little to judge it by: labels has too few "
        "new records to judge by, and drift begins with the second run, which can be compared "
        "with it; readers see its 1,234 rows as of 31 January 2026."
    )
    assert said(waiting).startswith("notes v3 has nothing to be compared with yet: drift begins")
    names = [watched(name, "alarm") for name in "abcde"]
    assert ": a, b, c and 2 more; 5 of 5 monitors raise it; readers" in said(*names)


def test_the_verdict_begins_with_what_moved() -> None:
    names = ("label = Sports", "label = World", "label = Art", "label = Food")
    parts = tuple(Part("slice", name, "alarm", "so", {}) for name in names)
    drift = replace(watched("drift", "alarm"), parts=(Part("word", "goal", "alarm", "so"), *parts))
    detector = Part("detector", "lof", "alarm", "so")
    outliers = replace(watched("outliers", "alarm"), parts=(detector,), record_ids=("n1", "n2"))
    assert said(drift, outliers, watched("encoder", "alarm")).startswith(
        "notes v3, alarm: label = Sports, label = World, label = Art and 1 more (drift), encoder, "
        "records n1 and n2 (outliers); 3 of 3 monitors raise it; readers see"
    )
    assert said(drift).startswith("notes v3, alarm: label = Sports, label = World, label = Art")


def test_it_says_what_an_alarm_holds_up_and_what_not() -> None:
    harmless = watched("drift", "alarm", "nothing")
    assert said(harmless, standing="candidate").endswith("v2 is live; it holds nothing up.")
    alarm = watched("drift", "alarm")
    assert "do not ask for alarms" in said(alarm, standing="candidate", heeded=False)
    blocking = watched("records", "alarm", "publishing", run="run-3")
    assert said(blocking).endswith("the run that it is about was not published.")


def test_it_tells_of_runs_that_nobody_looked_at_and_of_one_that_failed(project: Project) -> None:
    ran(project, *records(0, 40))
    monitor(project.settings(), "notes", Silent())
    ran(project, *records(0, 60))
    assert "1 run has written to it since" in reported(project).conclusion.notes[0]
    assert reported(project).conclusion.advice == "vecmill monitor notes"
    (project.root / "notes.csv").write_text("what,is,this\n1,2,3\n", encoding="utf-8")
    with pytest.raises(Exception, match="id"):
        project.run()
    found = reported(project)
    assert found.conclusion.notes[0].startswith("The last run failed, on ")
    assert standalone(found).startswith("The last run failed, on ")
    assert standalone(found).endswith(f". {found.conclusion.sentence}")
    ended = " The last run of notes did not end well."
    assert sentence([found]) == f"{found.conclusion.sentence}{ended}"
    assert sentence([found, found]).endswith("The last run of notes and notes did not end well.")
    told = page(reported(project))  # it counted nothing, and a run that did is beside it
    assert 'data-name="Outcome">failed</td>' in told
    assert "None" not in told


def test_pairs_are_found_by_their_names() -> None:
    assert pair_of({"share_reference": 0.1, "share_current": 0.2}) == ("share", 0.1, 0.2)
    assert pair_of({"rank": 3.0, "rank_reference": 4.0}) == ("rank", 4.0, 3.0)
    both = {"n_reference": 9.0, "n_current": 8.0, "reference_share": 0.1, "current_share": 0.2}
    assert pair_of(both) == ("share", 0.1, 0.2)
    assert pair_of({"n_current": 3.0}) is None
