"""Reports: what is gathered, the verdict in a sentence, and where the files lie and end."""

from __future__ import annotations

import json
import webbrowser
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from flows.cli import run_command
from flows.config.settings import Gc, SettingsError
from flows.maps.drawing import Asked, draw
from flows.monitoring.looking import monitor
from flows.monitors.base import FIRST, Part
from flows.output import redact
from flows.output.progress import Silent
from flows.reports import kept as kept_reports
from flows.reports.bars import pair_of
from flows.reports.gather import collect
from flows.reports.index import sentence
from flows.reports.model import Look, Report, Watched
from flows.reports.page import page
from flows.reports.short import markdown
from flows.reports.verdict import Standing as About
from flows.reports.verdict import by_severity, conclude, standalone
from flows.upkeep.erase import Eraser
from flows.upkeep.gc import Collector
from storage.model import Counts, FindingRow, Manifest, UsageError
from tests.flows.maps.test_map_page import version

if TYPE_CHECKING:
    from pathlib import Path

    from storage.model import Standing
    from tests.flows.project import Project

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
NOW = Gc(keep_runs=1, keep_days=0, grace_hours=0, drop_retired_after_days=0)


def records(first: int, last: int, word: str = "text") -> list[tuple[str, str, str]]:
    return [(f"record-{k:03}", f"{word} {k}", f"label {k % 3}") for k in range(first, last)]


def ran(project: Project, *rows: tuple[str, str, str]) -> str:
    project.write(rows)
    return project.run().run


def finding(monitor: str, verdict: str, **more: Any) -> FindingRow:  # noqa: ANN401 - its fields
    given: dict[str, Any] = {
        "monitor": monitor, "verdict": verdict, "summary": f"{monitor} says {verdict}",
        "statistic": 0.2, "threshold": 0.1, "p_value": 0.01, "effect_size": 0.3,
        "n_reference": 40, "n_current": 20, "reference_run": None,
    }  # fmt: skip
    return FindingRow(**given | more)


def reported(project: Project, *, pictures: bool = True) -> Report:
    return collect(project.settings(), "notes", Silent(), pictures=pictures)


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


# --- the verdict ----------------------------------------------------------------------------------


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


# --- files ----------------------------------------------------------------------------------------


def pages(project: Project) -> list[str]:
    return sorted(file.name for file in (project.root / "data" / "reports").glob("*"))


def command(project: Project, *arguments: str) -> int:
    return run_command(["report", *arguments, "--conf", str(project.settings().conf)])


def test_the_command_writes_into_the_store_or_where_it_is_told(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(project, *records(0, 30))
    assert command(project, "notes") == 0
    assert command(project, "notes", "--version", "v1") == 0
    assert pages(project) == ["notes.html", "notes_v1.html"]
    assert command(project) == 0
    assert pages(project) == ["all-features.html", "notes.html", "notes_v1.html"]
    over = (project.root / "data" / "reports" / "all-features.html").read_text("utf-8")
    assert 'href="notes.html"' in over
    capsys.readouterr()
    target = tmp_path / "elsewhere.html"
    assert command(project, "notes", "-o", str(target)) == 0
    assert "`vecmill erase` does not reach it" in capsys.readouterr().err
    assert target.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert command(project, "-o", str(target)) == 0
    assert "href=" not in target.read_text("utf-8").split("<main")[1], "leads to no other page"
    assert command(project, "notes", "-o", str(tmp_path / "no" / "such.html")) != 0
    assert command(project, "--version", "1") != 0


def test_json_is_the_same_and_writes_no_page(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    ran(project, *records(0, 30))
    capsys.readouterr()
    assert command(project, "notes", "--json") == 0
    [row] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (row["feature"], row["version"], row["conclusion"]["state"]) == (
        "notes", 1, "unwatched",
    )  # fmt: skip
    assert len(row["places"]["current"]["ids"]) == 30
    assert not (project.root / "data" / "reports").exists()


def test_it_is_opened_where_that_is_asked_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    ran(project, *records(0, 30))
    assert command(project, "notes", "--open", "--json") == 0
    assert opened == [(project.root / "data" / "reports" / "notes.html").as_uri()]


def test_an_erasure_reaches_kept_reports(project: Project) -> None:
    evil = "<MARK-ID & more>"
    ran(project, (evil, "MARK-TEXT", "MARK-LABEL"), *records(0, 30))
    row = finding("drift", "alarm", record_ids=(evil,))
    project.stores().catalog.add_findings("notes", 1, project.runs()[0]["run_id"], [row])
    assert command(project) == 0
    folder = project.root / "data" / "reports"
    (folder / ".notes.html.1.tmp").write_text("MARK-TEXT", encoding="utf-8")
    assert "MARK-LABEL" in (folder / "notes.html").read_text("utf-8")
    project.write(records(0, 30))
    eraser = Eraser(project.settings(), "notes", [evil])
    assert eraser.look(Silent())["kept reports"] == 1
    receipt = eraser.erase(Silent())
    assert receipt["proved"], receipt["proof"]
    assert receipt["removed"]["kept reports"] == 3
    assert pages(project) == []
    assert command(project, "notes") == 0
    assert "MARK" not in (folder / "notes.html").read_text("utf-8")
    assert kept_reports.naming(project.settings(), "notes", [evil]) == 0


def test_gc_removes_reports_of_what_is_gone(project: Project) -> None:
    ran(project, *records(0, 30))
    project.encoder = {"revision": 2}
    project.run()
    project.promote(2)
    for arguments in ((), ("notes", "--version", "1"), ("notes", "--version", "2")):
        assert command(project, *arguments) == 0
    folder = project.root / "data" / "reports"
    (folder / "nobody.html").write_text("of a feature that is gone", encoding="utf-8")
    (folder / ".notes.html.1.tmp").write_text("half a page", encoding="utf-8")
    gone = Collector(project.settings(), NOW).collect([], Silent())
    kinds = [item.what for item in gone if item.kind == "report"]
    assert len(kinds) == 3
    assert pages(project) == ["all-features.html", "notes.html", "notes_v2.html"]
