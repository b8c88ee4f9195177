"""What a schedule may say, when it is due, and what is said where it is wrong."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from flows.config.configuration import load
from flows.config.settings import SettingsError
from flows.operations.recurrence import ANCHOR, Recurrence

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.settings import Settings

FEATURES = """
[sources.news]
kind = "table"
path = "news.csv"
[encoders.mini]
kind = "mfcc"
[features.articles]
source = "news"
encoder = "mini"
schedule = "30 6 * * MON-FRI"
[features.photos]
source = "news"
encoder = "mini"
"""


def settings(folder: Path, text: str) -> Settings:
    file = folder / "vecmill.toml"
    file.write_text(FEATURES + text, encoding="utf-8")
    return load(file)


def test_a_schedule_says_what_when_and_how(tmp_path: Path) -> None:
    found = settings(
        tmp_path,
        """
        [schedules.nightly]
        does = "maintain"
        features = ["photos"]
        every = "6 hours"
        overlap = "queue"
        catch_up = false
        timeout = "2 hours"
        retries = 3
        retry_after = "5 minutes"
        active = false
        """,
    ).schedules["nightly"]
    assert (found.does, found.features, found.overlap) == ("maintain", ("photos",), "queue")
    assert found.when == Recurrence("every", "21600")
    assert (found.timeout, found.retries) == (timedelta(hours=2), 3)
    assert found.retry_after == timedelta(minutes=5)
    assert not found.catch_up
    assert not found.active


def test_the_schedule_of_a_feature_is_one_too(tmp_path: Path) -> None:
    found = settings(tmp_path, "").schedules
    assert list(found) == ["articles"]
    assert found["articles"].does == "run"
    assert found["articles"].features == ("articles",)
    assert found["articles"].when == Recurrence("cron", "30 6 * * MON-FRI")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("does = 'run'", "[schedules.s]: a schedule needs one of cron, every and rrule, got none"),
        ("cron = '0 * * * *'\nevery = '1 day'", "every and rrule, got cron and every"),
        ("cron = '0 * * *'", "cron must be a cron line of 5 fields such as '0 * * * *', got"),
        ("cron = '0 25 * * *'", "cron = '0 25 * * *' has a wrong hour; the fields are minute"),
        ("cron = '0 0 * * FRU'", "has a wrong day-of-week"),
        ("cron = '0 0 30 2 *'", "has a wrong day-of-month"),
        ("every = '6'", "every is a whole number above 0 with a unit, such as '30 minutes'"),
        ("every = '0 hours'", "every is a whole number above 0"),
        ("every = '6 fortnights'", "got '6 fortnights'"),
        ("rrule = 'FREQ=SOMETIMES'", "rrule must be a rule of RFC 5545 such as"),
        ("rrule = 'daily'", "rrule must be a rule of RFC 5545 such as"),
        ("rrule = 'FREQ=DAILY;UNTIL=20261225T000000Z'", "leave out the Z after UNTIL"),
        ("rrule = 'FREQ=MINUTELY'", "too fine with FREQ=MINUTELY; use every"),
        ("cron = '0 0 * * *'\ntimezone = 'Europe/Berlni'", "did you mean 'Europe/Berlin'?"),
        ("cron = '0 0 * * *'\ntimezone = 'x'", "got 'x'; names are such as 'Europe/Berlin'"),
        ("evry = '1 day'", "unknown key 'evry' in [schedules.s]; did you mean 'every'?"),
        ("every = '1 day'\ndoes = 'runs'", "does = 'runs': expected 'run', 'monitor', 'maintain'"),
        ("every = '1 day'\noverlap = 'kill'", "overlap = 'kill': expected 'refuse' or 'queue'"),
        ("every = '1 day'\nretries = 11", "retries must be 0 to 10, got 11"),
        ("every = '1 day'\ntimeout = 'long'", "timeout is a whole number above 0"),
        ("every = '1 day'\nfeatures = ['photo']", "not defined; did you mean 'photos'?"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, keys: str, said: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(said)):
        settings(tmp_path, f"[schedules.s]\n{keys}\n")


def test_names_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be a \[schedules\.articles\] beside it"):
        settings(tmp_path, "[schedules.articles]\nevery = '1 day'\n")
    with pytest.raises(SettingsError, match="a schedule cannot be called 'A/b'"):
        settings(tmp_path, "[schedules.'A/b']\nevery = '1 day'\n")


def test_a_wrong_schedule_of_a_feature_is_told_as_well(tmp_path: Path) -> None:
    text = "[features.more]\nsource = 'news'\nencoder = 'mini'\nschedule = '61 * * * *'\n"
    with pytest.raises(SettingsError, match=r"\[features\.more\].*wrong minute"):
        settings(tmp_path, text)


MOMENT = datetime(2026, 3, 27, 17, 3, 20, tzinfo=UTC)
"""A Friday; in Berlin the clocks go forward in the night to Sunday."""
BERLIN = "Europe/Berlin"
OF_NEW_YORK = "DTSTART;TZID=America/New_York:20260101T023000\n"
"""A beginning in another zone than the schedule's, which Prefect does not heed."""


@pytest.mark.parametrize(
    ("recurrence", "expected"),
    [
        (Recurrence("cron", "30 6 * * MON-FRI", BERLIN), "2026-03-30T06:30+02:00"),
        (Recurrence("cron", "0 18 * * *", BERLIN), "2026-03-28T18:00+01:00"),
        (Recurrence.every(timedelta(hours=6)), "2026-03-27T18:00+00:00"),
        (Recurrence.every(timedelta(seconds=30)), "2026-03-27T17:03:30+00:00"),
        (Recurrence.every(timedelta(hours=36)), "2026-03-28T12:00+00:00"),
        (Recurrence.every(timedelta(days=1), BERLIN), "2026-03-28T00:00+01:00"),
        (Recurrence.every(timedelta(weeks=1), BERLIN), "2026-04-01T00:00+02:00"),
        (Recurrence("rrule", "FREQ=WEEKLY;BYDAY=MO;BYHOUR=6", BERLIN), "2026-03-30T06:00+02:00"),
    ],
)
def test_it_is_due_when_prefect_has_it_due(recurrence: Recurrence, expected: str) -> None:
    found = recurrence.after(MOMENT)
    assert found == datetime.fromisoformat(expected)
    theirs = _of_prefect(recurrence)
    moment: datetime | None = found
    for date in asyncio.run(theirs.get_dates(n=12, start=MOMENT)):
        assert moment == date
        assert moment is not None
        moment = recurrence.after(moment)


@pytest.mark.parametrize(
    "recurrence",
    [
        Recurrence("cron", "30 2 * * *", BERLIN),
        Recurrence("cron", "30 * * * *", BERLIN),
        Recurrence("cron", "*/20 */2 * * *", BERLIN),
        Recurrence("cron", "30 1,2 * * *", BERLIN),
        Recurrence("rrule", "FREQ=DAILY;BYHOUR=2;BYMINUTE=30", BERLIN),
        Recurrence("rrule", "FREQ=HOURLY;BYMINUTE=30", BERLIN),
        Recurrence("rrule", f"{OF_NEW_YORK}RRULE:FREQ=DAILY", BERLIN),
        Recurrence.every(timedelta(hours=1), BERLIN),
        Recurrence.every(timedelta(hours=36), BERLIN),
    ],
    ids=lambda recurrence: recurrence.text,
)
@pytest.mark.parametrize(
    "eve", [datetime(2026, 3, 28, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)]
)
def test_what_is_due_in_the_hour_that_the_clocks_skip_or_double_is_due_when_prefect_has_it(
    eve: datetime, recurrence: Recurrence
) -> None:
    moment: datetime | None = eve + timedelta(hours=21, minutes=1)
    for theirs in asyncio.run(_of_prefect(recurrence).get_dates(n=12, start=moment)):
        assert moment is not None
        moment = recurrence.after(moment)
        assert moment is not None
        assert moment.astimezone(UTC) == theirs.astimezone(UTC)


def test_prefect_is_told_the_zone_of_what_the_clock_on_the_wall_decides() -> None:
    from flows.operations.deployments import due

    by_the_wall = (
        Recurrence("cron", "30 2 * * *", BERLIN),
        Recurrence.every(timedelta(days=1), BERLIN),
    )
    assert {due(one, active=True).timezone for one in by_the_wall} == {BERLIN}
    assert due(Recurrence.every(timedelta(hours=1), BERLIN), active=True).timezone == "UTC"


def test_a_start_of_the_hour_that_the_clocks_skip_is_told_by_a_time_that_there_is() -> None:
    due = Recurrence("cron", "30 2 * * *", BERLIN).after(datetime(2026, 3, 28, 21, tzinfo=UTC))
    assert f"{due:%d %H:%M %Z}" == "29 01:30 CET"


def _of_prefect(recurrence: Recurrence) -> Any:  # noqa: ANN401 - one of three
    from prefect.server.schemas import schedules

    zone = recurrence.counted_in
    if recurrence.kind == "cron":
        return schedules.CronSchedule(cron=recurrence.text, timezone=zone)
    if recurrence.kind == "rrule":
        return schedules.RRuleSchedule(rrule=recurrence.text, timezone=zone)
    keys = {"interval": recurrence.interval, "anchor_date": ANCHOR, "timezone": zone}
    return schedules.IntervalSchedule.model_validate(keys)


def test_what_is_due_no_more_says_so() -> None:
    over = Recurrence("rrule", "DTSTART:20260101T000000\nRRULE:FREQ=DAILY;COUNT=3")
    assert over.after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime(2026, 1, 2, tzinfo=UTC)
    assert over.after(MOMENT) is None


@pytest.mark.parametrize(
    ("interval", "told"),
    [
        (timedelta(hours=1), "every hour"),
        (timedelta(days=1), "every day"),
        (timedelta(minutes=90), "every 90 minutes"),
        (timedelta(weeks=1), "every 7 days"),
    ],
)
def test_an_interval_is_told_as_people_say_it(interval: timedelta, told: str) -> None:
    assert Recurrence.every(interval).told() == told


def test_an_interval_is_not_shifted_by_a_new_start() -> None:
    every = Recurrence.every(timedelta(hours=7))
    first = every.after(MOMENT)
    assert first is not None
    assert every.after(first - timedelta(seconds=1)) == first
    assert first.astimezone(ZoneInfo("UTC")).minute == 0


@pytest.mark.parametrize(
    ("interval", "told"),
    [
        (timedelta(minutes=1), "every minute"),
        (timedelta(minutes=90), "every 90 minutes"),
        (timedelta(hours=1), "every hour"),
        (timedelta(days=1), "every day"),
        (timedelta(days=2), "every 2 days"),
    ],
)
def test_how_often_is_told_in_words(interval: timedelta, told: str) -> None:
    assert Recurrence.every(interval).told() == told
