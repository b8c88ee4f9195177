"""Records: whether a run's raw records are what the records of the runs before it were.

Seven checks, each with its own question: how many records there were, how fresh they are, what
they lack, how long they are, in which languages, how many are empty, and how much of them the
encoder does not read. Each is an exact or a permutation test, or holds a figure of the run against
those of the runs before; together they raise a false alarm at the rate ``alpha``, by Holm's method.
A change so small that nobody would act on it is none, however sure it is.

The tests take contents to come independently of each other. Where days differ more than that, such
as weekdays from Sundays, hold a run against its like: ``reference = "weekday"``.

Beside them stand limits that hold for any run, the first one included, and know nothing of chance.

What is looked at is a profile, taken while a run reads its source (`flows.monitors._profile`). A
run that finds nothing new writes nothing and is not looked at, so a feed that is silent shows only
when it speaks again, or in the age of what `vecmill status` tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.monitors import _record_checks, _record_limits, _told
from flows.monitors._profile import Profile
from flows.monitors._ranges import at_least, check_alpha
from flows.monitors.base import BROKEN, FIRST, Finding, Part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from flows.monitors._record_checks import Check
    from flows.monitors._record_limits import Held
    from flows.monitors.base import Sample, Verdict

COUNTS = "checks"
BY_DEFAULT = True
OF_VECTORS = False
READS = frozenset({"records", "kept"})

_SHARES = ("min_difference", "max_empty_share", "max_cut_share", "max_other_languages")


@dataclass(frozen=True)
class Params:
    """What is looked for, and what is never allowed.

    Attributes:
        alpha: the share of runs without a change that may raise an alarm, over all checks.
        checks: those that are made; all where it is left out.
        permutations: random splits behind the p-values of lengths and languages.
        min_contents: with fewer contents on either side a check cannot tell.
        min_difference: a change by a smaller share is no alarm.
        min_ratio: a volume, or an age, that is off by a smaller factor is no alarm.
        max_null_share: of contents without a value, in any column, or by column.
        min_records, max_records: that a run may write.
        max_age: of the newest event when a run is published, such as ``2 days``.
        languages: that texts may be in, as ISO 639-1 codes.
        max_other_languages: the share of texts that may seem to be in others all the same.
        max_empty_share: of records with nothing in them.
        max_cut_share: of tokens that the encoder does not read.
        max_ids: how many records a finding names.
    """

    alpha: float = 0.01
    checks: tuple[str, ...] = tuple(_record_checks.CHECKS)
    permutations: int = 4999
    min_contents: int = 20
    min_difference: float = 0.05
    min_ratio: float = 2.0
    max_null_share: float | dict[str, float] | None = None
    min_records: int | None = None
    max_records: int | None = None
    max_age: str | None = None
    languages: tuple[str, ...] | None = None
    max_other_languages: float = 0.05
    max_empty_share: float | None = None
    max_cut_share: float | None = None
    max_ids: int = 20

    def __post_init__(self) -> None:
        check_alpha(self.alpha, usual=0.01)
        at_least(self, permutations=1, min_contents=2, max_ids=0)
        if not self.min_ratio >= 1:
            raise ValueError(f"min_ratio must be at least 1, got {self.min_ratio}")
        unknown = [name for name in self.checks if name not in _record_checks.CHECKS]
        if unknown:
            known = ", ".join(_record_checks.CHECKS)
            raise ValueError(f"checks must be among {known}, got {unknown[0]!r}")
        if self.checks and len(self.checks) / (1 + self.permutations) > self.alpha:
            raise ValueError(
                f"alpha = {self.alpha:g} is out of reach of {len(self.checks)} checks with "
                f"permutations = {self.permutations}; raise permutations above "
                f"{len(self.checks) / self.alpha:.0f}"
            )
        self._check_limits()

    def _check_limits(self) -> None:
        shares = {name: getattr(self, name) for name in _SHARES}
        nulls = self.max_null_share
        shares |= nulls if isinstance(nulls, dict) else {"max_null_share": nulls}
        for name, value in shares.items():
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{name} must be a share from 0 to 1, got {value}")
        if self.max_age is not None:
            _record_limits.seconds(self.max_age)
        least, most = self.min_records or 0, self.max_records
        if most is not None and most < least:
            raise ValueError(f"max_records ({most}) must not be below min_records ({least})")


def columns(params: Params) -> Mapping[str, Sequence[str]]:
    """The columns that keys name, by key."""
    nulls = params.max_null_share
    return {"max_null_share": sorted(nulls) if isinstance(nulls, dict) else []}


def compare(
    reference: Sample, current: Sample, rng: np.random.Generator, params: Params
) -> Finding:
    """Check the records of a run.

    ``statistic`` is the number of checks and limits that failed and ``threshold`` is 0;
    ``p_value`` is that of the check with the least, made good for the number of checks (Holm 1979);
    ``effect_size`` is the largest difference of shares among the checks. A part tells of each check
    and limit, failed or not. ``n_reference`` and ``n_current`` count contents. ``record_ids`` are
    records without a value, where the alarm is over those.
    """
    now, before = current.records, reference.records or Profile()
    if now is None:
        summary = "no profile of the records was taken; the next run takes one"
        return Finding("records", "cannot tell", summary, None, 0.0, None, None, 0, 0)
    made = [_record_checks.CHECKS[name](before, now, rng, params) for name in params.checks]
    parts, p_value = _of_checks(made, current, params)
    limits = [_of_limit(held, current, params) for held in _record_limits.limits(now, params)]
    broken = sum(part.verdict == "alarm" for part in limits)
    parts += limits
    parts.sort(key=lambda part: ("alarm", "quiet", "cannot tell").index(part.verdict))
    verdict: Verdict = parts[0].verdict if parts else "cannot tell"
    alarms = [part for part in parts if part.verdict == "alarm"]
    named = dict.fromkeys(record for part in alarms for record in part.record_ids)
    return Finding(
        monitor="records",
        verdict=verdict,
        summary=_summary(verdict, parts, before, now, params),
        statistic=float(len(alarms)),
        threshold=0.0,
        p_value=p_value,
        effect_size=max((check.difference for check in made if check.p is not None), default=None),
        n_reference=before.contents,
        n_current=now.contents,
        record_ids=tuple(named)[: params.max_ids],
        detail={
            "rows": float(now.rows),
            "checks": float(sum(c.p is not None for c in made)),
            BROKEN: float(broken),
        },
        parts=tuple(parts),
    )


def _of_checks(
    made: Sequence[Check], current: Sample, params: Params
) -> tuple[list[Part], float | None]:
    """What each check comes to among the others, and the least of their p-values."""
    told = [check for check in made if check.p is not None]
    adjusted = _record_checks.holm([check.p or 0.0 for check in told])
    by_name = {check.name: p for check, p in zip(told, adjusted, strict=True)}
    parts = [_of_check(check, by_name.get(check.name), current, params) for check in made]
    return parts, min(adjusted, default=None)


def _of_check(check: Check, p: float | None, current: Sample, params: Params) -> Part:
    if p is None or check.p is None:
        return Part("check", check.name, "cannot tell", check.said)
    alarm = check.large and p <= params.alpha
    figures = check.figures | {"p_value": check.p, "p_adjusted": p}
    lacking = _lacking(current, check.column, params) if alarm else ()
    said = f"{check.said} ({_told.p_value(p, adjusted=True)})"
    if not alarm:
        return Part("check", check.name, "quiet", said, figures)
    name = check.name if check.column is None else f"{check.name} of {check.column}"
    return Part("check", name, "alarm", said, figures, lacking)


def _of_limit(held: Held, current: Sample, params: Params) -> Part:
    if held.kept is None:
        return Part("check", held.name, "cannot tell", held.said)
    figures = {"value": held.value or 0.0, "limit": held.limit or 0.0}
    if held.kept:
        return Part("check", held.name, "quiet", held.said, figures)
    lacking = _lacking(current, held.column, params)
    return Part("check", held.name, "alarm", held.said, figures, lacking)


def _lacking(current: Sample, column: str | None, params: Params) -> tuple[str, ...]:
    """Records without a value in a kept column."""
    values = current.kept.get(column or "", ())
    rows = (record for record, value in zip(current.record_ids, values, strict=False)
            if value is None)  # fmt: skip
    return tuple(dict.fromkeys(rows))[: params.max_ids]


def _summary(
    verdict: Verdict, parts: Sequence[Part], before: Profile, now: Profile, params: Params
) -> str:
    sizes = _told.sizes(before.contents, now.contents)
    if verdict == "alarm":
        said = "; ".join(part.summary for part in parts if part.verdict == "alarm")
        return f"{said}; {sizes}"
    untold = ", ".join(part.name for part in parts if part.verdict == "cannot tell")
    if verdict == "quiet":
        names = ", ".join(part.name for part in parts if part.verdict == "quiet")
        beside = f"; cannot tell of {untold}" if untold else ""
        return f"as usual: {names}{beside} ({sizes})"
    if not before.runs and not before.contents:
        limits = [part.summary for part in parts if part.name not in params.checks]
        return "; ".join([FIRST, *limits])
    if len(parts) == 1:
        return f"{untold}: {parts[0].summary} ({sizes})"
    why = f"too little to judge {untold} by; the parts say what is missing"
    return f"{why if parts else 'no check is made'} ({sizes})"
