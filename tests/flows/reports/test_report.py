"""Reports: what is gathered of a feature, its runs and its records."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from flows.config.settings import SettingsError
from flows.maps.drawing import Asked, draw
from flows.monitoring.looking import monitor
from flows.monitors.base import Part
from flows.output import redact
from flows.output.progress import Silent
from flows.reports.gather import collect
from flows.reports.short import markdown
from flows.upkeep.gc import Collector
from storage.model import UsageError
from tests.flows.reports.reporting import NOON, NOW, finding, ran, records, reported

if TYPE_CHECKING:
    from tests.flows.project import Project


def test_it_says_what_to_do_where_there_is_nothing_yet(project: Project) -> None:
    project.write(records(0, 30))
    empty = reported(project)
    assert (empty.version, empty.conclusion.state) == (None, "empty")
    assert empty.conclusion.sentence == "notes has no vectors yet: no run of it is published."
    assert empty.conclusion.advice == "vecmill run notes"
    project.run()
    unseen = reported(project)
    assert unseen.conclusion.state == "unwatched"
    assert unseen.conclusion.advice == "vecmill monitor notes"
    assert set(unseen.missing) >= {"drift", "health"}
    with pytest.raises(UsageError, match="notes has no version v7"):
        collect(project.settings(), "notes", Silent(), 7)
    with pytest.raises(SettingsError, match="no feature 'notse'; did you mean 'notes'"):
        collect(project.settings(), "notse", Silent())


def test_it_tells_of_the_last_look_and_of_all_before(project: Project) -> None:
    project.feature = {"monitors": ["drift", "health"]}
    first = ran(project, *records(0, 60))
    monitor(project.settings(), "notes", Silent())
    second = ran(project, *records(0, 60), *records(100, 160, "quite another thing"))
    kept = {row.monitor: row for row in monitor(project.settings(), "notes", Silent())}
    found = reported(project)
    assert {w.monitor for w in found.findings} == {"drift", "health"}
    for watched in found.findings:
        row = kept[watched.monitor]
        assert (watched.verdict, watched.summary) == (row.verdict, row.summary)
        assert [look.run_id for look in watched.looks] == [first, second]
        assert watched.now.p_value == row.p_value
        assert watched.reference == row.reference
        assert watched.detail == row.detail
    drift = next(w for w in found.findings if w.monitor == "drift")
    assert [look.verdict for look in drift.looks] == ["cannot tell", drift.verdict]
    assert not drift.is_check
    assert [run.run_id for run in found.runs] == [second, first]
    assert dict(found.states)["Reference"].startswith(first)
    assert found.facts["Rows"] == "120"


def test_equal_states_give_equal_reports(project: Project) -> None:
    ran(project, *records(0, 40))
    ran(project, *records(0, 60))
    monitor(project.settings(), "notes", Silent())
    one, two = reported(project), reported(project)
    assert replace(one, made_at=NOON) == replace(two, made_at=NOON)
    json.dumps(one.row(), default=str, allow_nan=False)


def test_the_map_shows_the_run_over_what_it_was_held_against(project: Project) -> None:
    ran(project, *records(0, 40))
    ran(project, *records(0, 40), *records(100, 115))
    places = reported(project).places
    assert places is not None
    assert places.method == "pca"
    assert sorted(places.reference.ids) == [i for i, *_ in records(0, 40)]
    assert sorted(places.current.ids) == [i for i, *_ in records(100, 115)]
    every = [*places.reference.x, *places.reference.y, *places.current.x, *places.current.y]
    assert 0 <= min(every) <= max(every) <= 1


def test_the_places_of_the_reference_do_not_hang_on_the_current_records(project: Project) -> None:
    ran(project, *records(0, 40))
    ran(project, *records(0, 40), ("record-900", "text 7", "x"))
    places = reported(project).places
    assert places is not None
    there = dict(zip(places.reference.ids, zip(places.reference.x, places.reference.y, strict=True),
                     strict=True))  # fmt: skip
    [new] = zip(places.current.x, places.current.y, strict=True)
    assert new == pytest.approx(there["record-007"], abs=2e-3), "the same content elsewhere"


def test_where_a_map_is_kept_records_lie_where_it_has_them(project: Project) -> None:
    ran(project, *records(0, 40))
    kept = draw(project.settings(), "notes", Asked("tsne"), Silent())
    ran(project, *records(0, 40), *records(100, 110))
    places = reported(project).places
    assert places is not None
    assert (places.method, len(places.current.ids)) == ("tsne", 10)
    known = dict(zip(kept.rows["record_id"].to_pylist(), kept.places.tolist(), strict=True))
    x = [known[i][0] for i in places.reference.ids]
    at = sorted(range(len(x)), key=x.__getitem__)
    drawn = [places.reference.x[k] for k in at]
    assert drawn == sorted(drawn), "the order along an axis is that of the kept map"


def test_records_are_shown_as_kept_and_those_that_are_gone_by_name(project: Project) -> None:
    project.source = {"keep": ["label", "text"]}
    run = ran(project, *records(0, 30))
    parts = (vars(Part("slice", "label = a", "alarm", "all", {}, ("record-004",))),)
    rows = [finding("drift", "alarm", record_ids=("record-003", "was-here"), parts=parts),
            finding("outliers", "quiet", record_ids=("record-003",))]  # fmt: skip
    project.stores().catalog.add_findings("notes", 1, run, rows)
    cards = {card.record_id: card for card in reported(project).gallery}
    assert list(cards) == ["record-003", "was-here", "record-004"]
    assert cards["record-003"].columns == {"label": "label 0", "text": "text 3"}
    assert cards["record-003"].because == ("drift: alarm", "outliers: quiet")
    assert cards["record-004"].because == ("drift: label = a",)
    assert not cards["was-here"].here
    assert reported(project, pictures=False).gallery == ()


def test_what_changed_since_the_last_version_is_told(project: Project) -> None:
    ran(project, *records(0, 30))
    project.encoder = {"revision": 2}
    project.run()
    found = collect(project.settings(), "notes", Silent(), 2)
    told = " ".join(found.changes)
    assert "revision is 2 instead of 1" in told
    assert "Notes_v2 holds 30 of the 30 records of notes_v1" in told.replace("notes_v2", "Notes_v2")
    assert reported(project).changes == ("v1 is the first version of notes.",)


def test_no_secret_is_in_it(project: Project) -> None:
    secret = "hunter-two-and-more"  # noqa: S105 - nobody's
    redact.remember("SECRET", secret)
    run = ran(project, ("a", f"text {secret}", secret), *records(0, 30))
    parts = (vars(Part("word", secret, "alarm", f"{secret} moved", {}, ("a",))),)
    rows = [finding("drift", "alarm", summary=f"of {secret}", parts=parts, record_ids=("a",))]
    project.stores().catalog.add_findings("notes", 1, run, rows)
    found = reported(project)
    assert secret not in json.dumps(found.row(), default=str)
    assert "${SECRET}" in found.findings[0].summary
    assert secret not in markdown(found)


def test_a_version_that_was_dropped_can_still_be_told_of(project: Project) -> None:
    ran(project, *records(0, 30))
    project.stores().catalog.add_findings(
        "notes", 1, project.runs()[0]["run_id"], [finding("drift", "alarm", record_ids=("x",))]
    )
    project.encoder = {"revision": 2}
    project.run()
    project.promote(2)
    Collector(project.settings(), NOW).collect([], Silent())
    found = collect(project.settings(), "notes", Silent(), 1)
    assert "its table was dropped on " in found.conclusion.sentence
    assert found.places is None
    assert [card.here for card in found.gallery] == [False]
    assert found.left_out == ("There is no map: no state of the run can be read any more.",)
    after = collect(project.settings(), "notes", Silent(), 2)
    assert "cannot be held against each other" in " ".join(after.changes)


def test_of_a_history_and_of_chunks_rows_are_shown(project: Project) -> None:
    project.source = {"event_time": "at"}
    project.feature = {"history": True}
    header = ("id", "text", "label", "at")
    for month, word in ((1, "text"), (2, "another")):
        rows = [(*row, f"2026-0{month}-01") for row in records(0, 30, word)]
        project.write(rows, header)
        run = project.run().run
    row = finding("drift", "alarm", record_ids=("record-004",))
    project.stores().catalog.add_findings("notes", 1, run, [row])
    found = reported(project)
    assert found.places is not None
    assert len(found.places.current.ids) == 30
    [card] = found.gallery
    assert card.columns["event_time"].startswith("2026-02-01")
