"""What the raw records of runs were like: counts that add up, and no word of any record.

Contents are counted, not records: each that is new to the version once, by the first record that
has it, so that a text which comes five times does not speak five times.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

AN_OCTAVE = 8
"""Buckets that lengths are counted in between one and its double: each 9 % longer than the last."""

UNKNOWN = "unknown"
"""The language of a text too short to have one, or of which none is likely enough."""

EVENT_TIME = "event_time"
"""What event times are called among the columns."""


@dataclass(frozen=True)
class Look:
    """One run in a row of them.

    Attributes:
        rows: that it wrote, new or changed.
        at: when it was published.
        newest: the newest event time among the contents new to the version; None without any.
        kind: ``usual`` where runs may be held against each other; not the ``first`` of a version,
            which takes on all that has gathered, and not ``other`` ones, asked for out of turn.
    """

    rows: int
    at: datetime
    newest: datetime | None = None
    kind: Literal["usual", "first", "other"] = "usual"


@dataclass(frozen=True)
class Profile:
    """What the records of one or more runs were like; add them up with ``+``.

    Attributes:
        contents: new to the version; each counts once in all that follows.
        unit: of lengths: ``characters`` of texts, ``bytes`` of files; None where none are counted.
        lengths: contents by `bucket` of their length.
        languages: texts by language, drawn by content hash where there are many.
        nulls: how many of how many contents have no value, by kept column, by field of tabular
            contents, and for `EVENT_TIME`.
        newest, oldest: of the event times.
        rows: new or changed.
        empty: records that were refused since their text is empty, for the first time.
        texts, cut_texts: those that the encoder was given, and those longer than it reads.
        text_tokens, cut_tokens: their tokens, and those beyond its limit.
        runs: one after the other.
    """

    contents: int = 0
    unit: str | None = None
    lengths: Mapping[int, int] = field(default_factory=dict)
    languages: Mapping[str, int] = field(default_factory=dict)
    nulls: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    newest: datetime | None = None
    oldest: datetime | None = None
    rows: int = 0
    empty: int = 0
    texts: int = 0
    cut_texts: int = 0
    text_tokens: int = 0
    cut_tokens: int = 0
    runs: tuple[Look, ...] = ()

    def __add__(self, other: Profile) -> Profile:
        summed = ("contents", "rows", "empty", "texts", "cut_texts", "text_tokens", "cut_tokens")
        return Profile(
            unit=self.unit or other.unit,
            lengths=_summed(self.lengths, other.lengths),
            languages=_summed(self.languages, other.languages),
            nulls={
                name: _pairwise(self.nulls.get(name), other.nulls.get(name))
                for name in {**self.nulls, **other.nulls}
            },
            newest=_known(max, self.newest, other.newest),
            oldest=_known(min, self.oldest, other.oldest),
            runs=self.runs + other.runs,
            **{name: getattr(self, name) + getattr(other, name) for name in summed},
        )

    @property
    def cut_share(self) -> float:
        """The share of tokens that were cut; 0 where none were counted."""
        return self.cut_tokens / self.text_tokens if self.text_tokens else 0.0

    def plain(self) -> dict[str, Any]:
        """As plain values, for JSON; `parse` reads them back. `runs` are told by manifests."""
        row = asdict(replace(self, runs=()))
        row |= {name: row[name] and row[name].isoformat() for name in ("newest", "oldest")}
        row["lengths"] = {str(key): n for key, n in sorted(self.lengths.items())}
        return {name: value for name, value in row.items() if name != "runs"}

    @classmethod
    def parse(cls, row: Mapping[str, Any]) -> Profile:
        """A profile from what `plain` gave; keys of a later release are passed over."""
        known = {f.name for f in fields(cls)}
        given = {name: value for name, value in row.items() if name in known}
        for name in ("newest", "oldest"):
            if given.get(name) is not None:
                given[name] = datetime.fromisoformat(given[name])
        given["lengths"] = {int(key): n for key, n in given.get("lengths", {}).items()}
        given["nulls"] = {name: (n, of) for name, (n, of) in given.get("nulls", {}).items()}
        return cls(**given)


def bucket(length: float) -> int:
    """The bucket of a length of at least 1."""
    return math.floor(AN_OCTAVE * math.log2(length))


def usual_length(lengths: Mapping[int, int]) -> float:
    """About the median of lengths: the middle of the bucket that it lies in; 0 of none."""
    total, below = sum(lengths.values()), 0
    for key in sorted(lengths):
        below += lengths[key]
        if 2 * below >= total:
            return float(2 ** ((key + 0.5) / AN_OCTAVE))
    return 0.0


def merged(profiles: Iterable[Profile]) -> Profile | None:
    """All of them as one; None where there are none."""
    total: Profile | None = None
    for profile in profiles:
        total = profile if total is None else total + profile
    return total


def _summed(one: Mapping[Any, int], two: Mapping[Any, int]) -> dict[Any, int]:
    return dict(Counter(one) + Counter(two))


def _pairwise(one: tuple[int, int] | None, two: tuple[int, int] | None) -> tuple[int, int]:
    (n, of), (m, among) = one or (0, 0), two or (0, 0)
    return n + m, of + among


def _known(choose: Any, *moments: datetime | None) -> datetime | None:  # noqa: ANN401 - min or max
    given = [moment for moment in moments if moment is not None]
    return choose(given) if given else None
