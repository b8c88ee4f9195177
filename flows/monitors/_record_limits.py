"""The limits of `flows.monitors.records`: what a user says of any run's records, without chance."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from flows.monitors import _counts, _told
from flows.monitors._profile import EVENT_TIME, UNKNOWN
from flows.monitors._record_checks import lag_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.monitors._profile import Profile
    from flows.monitors.records import Params

_SPAN = re.compile(r"(?P<n>[1-9]\d{0,4}) (?P<unit>minute|hour|day|week)s?")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}


class Held(NamedTuple):
    """One limit, and whether a run kept to it.

    Attributes:
        name: the key that sets it.
        kept: whether; None where it cannot be told.
        said: in words.
        value, limit: what was measured, and what was allowed.
        column: the kept column whose missing values are behind it.
    """

    name: str
    kept: bool | None
    said: str
    value: float | None = None
    limit: float | None = None
    column: str | None = None


def seconds(span: str) -> int:
    """A span of time such as ``2 days``, in seconds.

    Raises:
        ValueError: if it cannot be understood.
    """
    found = _SPAN.fullmatch(span)
    if found is None:
        raise ValueError(
            f"max_age must be a number of minutes, hours, days or weeks, such as '2 days', "
            f"got {span!r}"
        )
    return int(found["n"]) * _SECONDS[found["unit"]]


def limits(now: Profile, params: Params) -> Iterator[Held]:
    """What becomes of each limit that is set.

    Numbers and ages of records are not those of backfills and replays, which are asked for out of
    turn.
    """
    in_turn = bool(now.runs) and now.runs[-1].kind != "other"
    if in_turn:
        yield from _sizes(now, params)
        yield from _ages(now, params)
    yield from _nulls(now, params)
    yield from _languages(now, params)
    for key, share, words in (
        ("max_empty_share", _counts.share(now.empty, now.empty + now.rows), "of records are empty"),
        ("max_cut_share", now.cut_share, "of tokens are cut"),
    ):
        most = getattr(params, key)
        if most is not None:
            said = f"{_told.share(share)} {words}, and {key} allows {_told.share(most)}"
            yield Held(key, share <= most, said, share, most)


def _sizes(now: Profile, params: Params) -> Iterator[Held]:
    rows = now.rows
    for key, sign in (("min_records", 1), ("max_records", -1)):
        bound = getattr(params, key)
        if bound is not None:
            said = f"{rows:,} records were written, and {key} is {bound:,}"
            yield Held(key, sign * rows >= sign * bound, said, float(rows), float(bound))


def _ages(now: Profile, params: Params) -> Iterator[Held]:
    if params.max_age is None:
        return
    lag = lag_of(now.runs[-1])
    if lag is None:
        yield Held("max_age", None, "no record has an event time, so max_age cannot be checked")
        return
    most = seconds(params.max_age)
    said = f"the newest event is {lag / 3600:,.1f} hours old, and max_age is {params.max_age}"
    yield Held("max_age", lag <= most, said, lag / 3600, most / 3600)


def _nulls(now: Profile, params: Params) -> Iterator[Held]:
    """The column that has most of what it may have; each that has more."""
    if params.max_null_share is None:
        return
    bounds = params.max_null_share
    for name, (missing, of) in now.nulls.items():
        most = bounds.get(name) if isinstance(bounds, dict) else bounds
        # A source without event times has none to miss.
        if most is None or (name == EVENT_TIME and missing == of and not isinstance(bounds, dict)):
            continue
        share = _counts.share(missing, of)
        said = (
            f"{name} has no value in {_told.share(share)} of contents, and max_null_share is "
            f"{_told.share(most)}"
        )
        yield Held(f"max_null_share of {name}", share <= most, said, share, most, name)
    unknown = [] if not isinstance(bounds, dict) else sorted(set(bounds) - set(now.nulls))
    if unknown:
        said = f"max_null_share names {', '.join(unknown)}, which the records do not have"
        yield Held("max_null_share", None, said)


def _languages(now: Profile, params: Params) -> Iterator[Held]:
    if params.languages is None:
        return
    known = {name: n for name, n in now.languages.items() if name != UNKNOWN}
    others = {name: n for name, n in known.items() if name not in params.languages}
    if not known:
        yield Held("languages", None, "of no text can the language be told")
        return
    share = _counts.share(sum(others.values()), sum(known.values()))
    clearest = sorted(others, key=lambda name: (-others[name], name))[:3]
    said = (
        f"{_told.share(share)} of texts are in other languages than {', '.join(params.languages)}"
        f"{' (' + ', '.join(clearest) + ')' if clearest else ''}, and max_other_languages is "
        f"{_told.share(params.max_other_languages)}"
    )
    kept = share <= params.max_other_languages
    yield Held("languages", kept, said, share, params.max_other_languages)
