"""Fitting as a step: which records, which version, what is said, and what the next run does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from flows.cli import run_command
from flows.lifecycle import promotion as lifecycle
from flows.output.figures import told
from flows.output.progress import Silent
from flows.pipeline import versions
from flows.pipeline.fit import Fitted, fit
from flows.pipeline.learning import Draw, FittingError
from flows.pipeline.scope import Scope
from storage import fits
from storage.locks import exclusive
from storage.model import StorageError, UsageError
from tests.flows.shop import Heard

if TYPE_CHECKING:
    from tests.flows.project import Project

HEADER = ("id", "text", "label", "at")
MILL = ("the mill grinds grain", "a mill makes flour", "flour is ground grain", "grain and flour")
PETS = ("the cat sleeps", "a dog barks", "the dog chases a cat", "cat and dog")
ROWS = (
    *((f"m{n}", text, "mill", f"2026-01-0{n + 1}") for n, text in enumerate(MILL)),
    *((f"p{n}", text, "pets", f"2026-02-0{n + 1}") for n, text in enumerate(PETS)),
    ("t", "timeless", "none", ""),
)


@pytest.fixture
def texts(project: Project) -> Project:
    """The mill in January, pets in February, and one text of no time."""
    project.source = {"event_time": "at"}
    project.encoder = {"kind": "lsa", "dim": 4, "min_texts": 1, "max_share": 1.0}
    project.write(ROWS, HEADER)
    return project


def fitted(project: Project, *, told: Silent | None = None, **draw: Any) -> Fitted:  # noqa: ANN401 - any of Draw
    return fit(project.settings(), "notes", Draw(**draw), told or Silent())


def month(number: int) -> datetime:
    return datetime(2026, number, 1, tzinfo=UTC)


def words(project: Project, version: int) -> set[str]:
    """The words that a version's encoder has learned."""
    known = next(v for v in project.versions() if v.version == version)
    path = project.stores().states / f"{known.state}.safetensors"
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return set(json.loads(file.metadata()["meta"])["vocabulary"])


def targets(project: Project) -> list[Any]:
    return versions.targets(project.settings().feature("notes"), project.stores())


def test_a_first_fit_is_filled_by_the_next_run_and_goes_live(texts: Project) -> None:
    found = fitted(texts)
    assert (found.version.version, found.new, found.filled, found.live) == (1, True, False, None)
    assert "`vecmill run notes` encodes with it, and makes it live" in found.advice()
    assert texts.rows_or_none("notes") is None
    outcome = texts.run()
    assert (outcome.version, outcome.standing, outcome.counts.encoded) == (1, "live", 9)
    assert texts.stores().catalog.query("FROM fits").num_rows == 1


def test_a_window_teaches_what_lies_in_it(texts: Project) -> None:
    found = fitted(texts, since=month(1), until=month(2))
    assert found.fit.records == 4
    assert "grain" in words(texts, 1)
    assert not words(texts, 1) & {"cat", "timeless"}
    found = fitted(texts, since=month(2))
    assert (found.version.version, found.fit.records) == (2, 4)
    assert not words(texts, 2) & {"grain", "timeless"}


def test_a_sample_is_as_large_as_asked(texts: Project) -> None:
    assert fitted(texts, size=3).fit.records == 3
    assert fitted(texts, size=3).fit.state == fitted(texts, size=3).fit.state


def test_the_same_records_teach_the_same(texts: Project) -> None:
    first = fitted(texts)
    again = fitted(texts)
    assert (again.version.version, again.new) == (1, False)
    assert again.fit.state == first.fit.state
    assert "notes_v1 is still a version without vectors" in again.advice()
    texts.run()
    assert "nothing has changed" in fitted(texts).advice()
    assert [v.version for v in texts.versions()] == [1]


def test_the_next_run_fills_the_candidate_beside_the_live_version(texts: Project) -> None:
    texts.run()
    found = fitted(texts, until=month(2))
    assert (found.version.version, found.version.standing, found.live) == (2, "candidate", 1)
    for command in ("vecmill run notes`", "vecmill compare notes 1 2", "vecmill promote notes 2"):
        assert command in found.advice()
    assert targets(texts) == ["configured", 2]
    for one in targets(texts):
        outcome = texts.run(target=one)
    assert (outcome.version, outcome.standing, outcome.counts.encoded) == (2, "candidate", 9)
    assert targets(texts) == ["configured"]
    assert texts.run().version == 1
    texts.promote(2)
    assert texts.run().version == 2


def test_only_the_newest_fit_of_the_encoder_as_configured_waits(texts: Project) -> None:
    texts.run()
    fitted(texts, until=month(2))
    fitted(texts, since=month(2))
    assert targets(texts) == ["configured", 3]
    texts.feature = {"update": "both"}
    assert targets(texts) == ["live", 3]
    texts.feature = {"update": "live"}
    assert targets(texts) == ["live"]
    assert "`vecmill run notes --version 3` encodes" in fitted(texts, since=month(2)).advice()
    texts.feature = {}
    texts.encoder = texts.encoder | {"dim": 3}
    assert targets(texts) == ["configured"]


@pytest.mark.parametrize("live", [False, True])
def test_a_fit_gives_up_what_an_earlier_one_left_unfilled(texts: Project, *, live: bool) -> None:
    if live:
        texts.run()
    first = fitted(texts, until=month(2)).version.version
    again = fitted(texts, since=month(2))
    second = again.version.version
    assert (again.retired, again.row()["retired"]) == ((first,), [first])
    assert f"notes_v{first}, of an earlier fit and never filled, is retired" in again.advice()
    assert [v.standing for v in texts.versions()][-2:] == ["retired", "candidate"]
    back = fitted(texts, until=month(2))
    assert (back.version.version, back.version.standing, back.new) == (first, "candidate", False)
    assert back.retired == (second,)
    ran = [texts.run(target=one).version for one in targets(texts)]
    assert ran == ([1, first] if live else [first])
    assert [v.standing for v in texts.versions()] == (
        ["live", "candidate", "retired"] if live else ["live", "retired"]
    )
    assert fitted(texts, since=month(2)).retired == (), "what a run has filled stays"


def test_a_candidate_that_a_limited_run_began_is_finished_by_a_plain_one(texts: Project) -> None:
    texts.run()
    fitted(texts, until=month(2))
    part = texts.run(target=2, scope=Scope(limit=3))
    assert (part.version, part.rows, part.complete) == (2, 3, False)
    assert targets(texts) == ["configured", 2]
    conf = str(texts.settings().conf)
    assert run_command(["run", "notes", "--direct", "--conf", conf]) == 0
    assert texts.versions()[1].complete
    assert texts.rows("notes_v2").keys() == texts.rows("notes_v1").keys()
    assert targets(texts) == ["configured"]


@pytest.mark.parametrize("by_refit", [False, True])
def test_both_keeps_what_was_learned_anew_up_to_date(texts: Project, *, by_refit: bool) -> None:
    texts.feature = {"update": "both"}
    texts.run()
    texts.write([*ROWS, ("s", "some more grain", "mill", "2026-01-09")], HEADER)
    if by_refit:
        assert texts.run(refit=True).version == 2
    else:
        assert fitted(texts).version.version == 2
        texts.run(target=2)
    texts.write([*ROWS, ("u", "a cat and a mill", "pets", "2026-02-09")], HEADER)
    assert targets(texts) == ["live", 2]
    for one in targets(texts):
        texts.run(target=one)
    assert texts.rows("notes_v2").keys() == texts.rows("notes_v1").keys()
    assert "u" in texts.rows("notes_v2")
    texts.promote(2)
    assert targets(texts) == ["live"]


def test_a_candidate_that_the_live_version_has_overtaken_waits_no_more(texts: Project) -> None:
    texts.feature = {"update": "both"}
    texts.run()
    texts.run(target=fitted(texts, until=month(2)).version.version)
    texts.run(target=fitted(texts, since=month(2)).version.version)
    assert targets(texts) == ["live", 3]
    texts.promote(3)
    assert targets(texts) == ["live"]
    assert not fitted(texts, until=month(2)).new
    assert targets(texts) == ["live", 2], "it was asked for again"
    assert lifecycle.retire(texts.settings(), "notes", 2)
    assert targets(texts) == ["live"]


def test_what_was_learned_is_kept_and_shown(
    texts: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    told_of = Heard()
    fitted(texts, told=told_of, since=month(1), until=month(2))
    assert told_of.notes == [
        "notes: learned: texts 4, terms seen 10, vocabulary 10, dim 4, kept share 1"
    ]
    version = texts.versions()[0]
    found = fits.newest(texts.stores().catalog, "notes", version.state)
    assert found is not None
    assert (found.records, found.wanted, found.version) == (4, 20_000, 1)
    assert (found.since, found.until) == (month(1), month(2))
    assert found.figures["vocabulary"] == 10
    conf = str(texts.settings().conf)
    assert run_command(["versions", "notes", "--json", "--conf", conf]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["learned_from"] == "4 records from 2026-01-01 00:00 to 2026-02-01 00:00"
    assert run_command(["recipe", "notes", "1", "--json", "--conf", conf]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["fit"]["records"], row["fit"]["figures"]["vocabulary"]) == (4, 10)


def test_a_run_that_fits_tells_its_figures(
    texts: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["run", "--direct", "--conf", str(texts.settings().conf)]) == 0
    assert "notes: learned: texts 9, terms seen 16" in capsys.readouterr().err


def test_the_command_says_what_comes_next(
    texts: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = str(texts.settings().conf)
    asked = ["fit", "notes", "--since", "2026-02-01", "--sample", "3", "--direct", "--conf", conf]
    assert run_command([*asked, "--json"]) == 0
    printed = capsys.readouterr()
    row = json.loads(printed.out)
    assert (row["version"], row["new"], row["records"], row["wanted"]) == (1, True, 3, 3)
    assert row["since"] == "2026-02-01T00:00:00+00:00"
    assert "notes_v1 is a new version without vectors; `vecmill run notes`" in printed.err
    assert run_command(asked) == 0
    printed = capsys.readouterr()
    assert "candidate" in printed.out
    assert "notes_v1 is still a version without vectors" in printed.err


def test_a_fit_waits_its_turn(texts: Project) -> None:
    texts.engine = {"wait_seconds": 0.2}
    stores, begun, done = texts.stores(), Event(), Event()

    def hold() -> None:
        with exclusive(stores.locks / "notes.lock", "notes", 1.0, lambda _: None):
            begun.set()
            done.wait(60)

    thread = Thread(target=hold)
    thread.start()
    begun.wait(60)
    try:
        with pytest.raises(StorageError, match="another run of notes still holds"):
            fitted(texts)
    finally:
        done.set()
        thread.join()
    assert fitted(texts).new


def test_an_encoder_that_does_not_learn_is_told_of(project: Project) -> None:
    project.write([("a", "mill", "x")])
    with pytest.raises(UsageError, match="kind 'letters' has nothing to learn from records"):
        fitted(project)


def test_a_draw_of_nothing_is_refused(texts: Project) -> None:
    with pytest.raises(UsageError, match="--sample must be at least 1, got 0"):
        Draw(0)
    with pytest.raises(UsageError, match="a window ends after it begins; got --since 2026-02-01"):
        Draw(None, month(2), month(1))
    with pytest.raises(UsageError, match=r"until needs a time zone, got 2026-01-01T00:00:00"):
        Draw(None, None, month(1).replace(tzinfo=None))
    with pytest.raises(FittingError, match="of the 0 drawn from the source 'notes' with an event"):
        fitted(texts, since=month(6))
    assert texts.versions() == []


def test_overfitting_is_said_in_plain_words() -> None:
    figures = {"epochs": 9, "best_epoch": 4, "held_out_loss": 2.34567, "overfitted": True}
    first, second = told(figures)
    assert first == "learned: epochs 9, best epoch 4, held out loss 2.346"
    assert "it overfitted" in second
    assert "what is kept is epoch 4 of 9, from before that" in second
    assert list(told({"overfitted": False})) == []
