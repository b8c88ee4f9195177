"""Work that goes on while pages are shown."""

from __future__ import annotations

import threading

import pyarrow as pa
import pytest

from flows.output.markup import Html
from flows.ui import frame
from flows.ui.jobs import KEPT, MOST, Job, Jobs
from storage.model import UsageError


def ended(job: Job) -> Job:
    assert job.ended.wait(60)
    return job


def test_a_job_says_how_far_it_is_and_then_what_it_came_to() -> None:
    jobs, go, told = Jobs(), threading.Event(), threading.Event()

    def work(job: Job) -> Html:
        job.stage("notes", "read", 40)
        job.advance(10)
        job.note("a note")
        told.set()
        go.wait(60)
        return Html("<p>done</p>")

    job = jobs.start({"a": "b"}, "Beginning", "lane", work)
    assert told.wait(60)
    shown = frame.slot(job)
    assert "notes: read …" in shown
    assert "10 of 40 records" in shown
    assert 'max="40"' in shown
    assert "a note" in shown
    assert f'data-job="/jobs/{job.id}"' in shown
    go.set()
    shown = frame.slot(ended(job))
    assert "<p>done</p>" in shown
    assert "data-job" not in shown
    assert jobs.find(job.id) is job


def test_jobs_of_one_lane_follow_one_another() -> None:
    jobs, go, order = Jobs(), threading.Event(), list[str]()

    def first(_: Job) -> Html:
        go.wait(60)
        order.append("first")
        return Html("")

    def second(_: Job) -> Html:
        order.append("second")
        return Html("")

    one = jobs.start({}, "One", "lane", first)
    while one.doing != "One":
        one.ended.wait(0.01)
    two = jobs.start({}, "Two", "lane", second)
    aside = ended(jobs.start({}, "Three", "another lane", second))
    assert aside.error is None
    assert two.doing in {"Two", "Waiting for another one to end"}
    go.set()
    ended(one)
    ended(two)
    assert order == ["second", "first", "second"]


def test_no_more_are_begun_than_may_wait_and_one_that_goes_on_can_be_shared() -> None:
    jobs, go = Jobs(), threading.Event()

    def work(_: Job) -> Html:
        go.wait(60)
        return Html("")

    made = [jobs.start({}, "Work", "lane", work) for _ in range(MOST)]
    assert jobs.going("lane") is made[-1]
    assert jobs.going("another lane") is None
    with pytest.raises(UsageError, match=f"{MOST} questions wait"):
        jobs.start({}, "Work", "another lane", work)
    go.set()
    for job in made:
        ended(job)
    assert jobs.going("lane") is None
    assert ended(jobs.start({}, "Work", "another lane", work)).error is None


def test_an_error_is_told_in_its_words_and_a_fault_of_ours_as_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    jobs = Jobs()

    def refused(_: Job) -> Html:
        raise UsageError("there is no <such> thing")

    def broken(_: Job) -> Html:
        raise ZeroDivisionError("by nothing")

    shown = frame.slot(ended(jobs.start({}, "One", "lane", refused)))
    assert "there is no &lt;such&gt; thing" in shown
    assert 'role="alert"' in shown
    assert capsys.readouterr().err == ""
    shown = frame.slot(ended(jobs.start({}, "Two", "lane", broken)))
    assert "this is a fault of Vecmill" in shown
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_the_oldest_are_forgotten_and_rows_sooner() -> None:
    jobs = Jobs()

    def work(job: Job) -> Html:
        job.rows = pa.table({"a": [1]})
        return Html("")

    made = [ended(jobs.start({}, "Work", "lane", work)) for _ in range(KEPT + 3)]
    kept = [job for job in made if jobs.find(job.id) is not None]
    assert len(kept) <= KEPT + 1
    assert kept == made[-len(kept) :]
    assert 1 <= sum(job.rows is not None for job in kept) <= 5
    assert made[-1].rows is not None
    assert jobs.find(None) is None
    assert jobs.find("") is None
