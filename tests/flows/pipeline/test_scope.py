"""What part of a source a run takes on, by itself and handed on as plain values."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from flows.pipeline.scope import Scope, refuse_naive
from storage.model import UsageError

SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


def test_without_arguments_it_is_a_whole_and_careful_run() -> None:
    whole = Scope()
    assert (whole.window, whole.partial) == (None, False)
    assert whole.plain() == {
        "kind": "run",
        "since": None,
        "until": None,
        "limit": None,
        "full": False,
        "retry_dead": False,
        "allow_deletes": False,
        "allow_alarms": False,
    }


@pytest.mark.parametrize(
    ("scope", "window", "partial"),
    [
        (Scope(since=SINCE), (SINCE, None), True),
        (Scope(until=UNTIL), (None, UNTIL), True),
        (Scope(since=SINCE, until=UNTIL), (SINCE, UNTIL), True),
        (Scope(limit=0), None, True),
        (Scope(full=True, retry_dead=True, allow_deletes=True, allow_alarms=True), None, False),
    ],
)
def test_bounds_and_a_limit_leave_records_out(
    scope: Scope, window: tuple[datetime | None, datetime | None] | None, *, partial: bool
) -> None:
    assert (scope.window, scope.partial) == (window, partial)


@pytest.mark.parametrize(
    "scope",
    [
        Scope(),
        Scope("backfill", SINCE, UNTIL, 5),
        Scope("replay", full=True, retry_dead=True),
        Scope(allow_deletes=True),
        Scope(allow_alarms=True),
    ],
)
def test_what_is_handed_on_as_json_is_the_same(scope: Scope) -> None:
    assert Scope.parse(json.loads(json.dumps(scope.plain()))) == scope


def test_nothing_handed_on_is_the_whole_and_what_was_is_left_as_it_was() -> None:
    given = {"since": SINCE.isoformat(), "until": UNTIL}
    assert Scope.parse(None) == Scope.parse({}) == Scope()
    assert Scope.parse(given) == Scope(since=SINCE, until=UNTIL)
    assert given == {"since": SINCE.isoformat(), "until": UNTIL}


def test_a_bound_needs_a_zone() -> None:
    refuse_naive("--since", None)
    refuse_naive("--since", SINCE)
    told = r"^--since needs a time zone, got 2026-01-01T00:00:00; add one, as \+00:00$"
    with pytest.raises(UsageError, match=told):
        refuse_naive("--since", SINCE.replace(tzinfo=None))
