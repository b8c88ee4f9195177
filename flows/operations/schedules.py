"""The schedules of a configuration: ``[schedules.NAME]``, and ``schedule`` of a feature."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

from flows.config.nearest import hint
from flows.config.parsing import parse
from flows.config.settings import SettingsError
from flows.operations.durations import duration
from flows.operations.recurrence import Recurrence, check_cron, check_rrule, check_zone

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from flows.config.settings import Feature

Does = Literal["run", "monitor", "maintain", "report"]
Overlap = Literal["refuse", "queue"]

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_MOST_RETRIES = 10


@dataclass(frozen=True)
class Schedule:
    """What is to be done over and over, and when.

    Attributes:
        does: ``run`` brings features up to date and lets their monitors look, ``monitor`` only has
            them look, ``maintain`` is ``vecmill maintain --yes``, ``report`` writes the pages.
        features: what it is done to; all features where none is named.
        when: when it is due.
        overlap: what becomes of a start while the one before goes on: it is refused, or waits.
        catch_up: whether a start that was missed, since nothing served it, is made good once.
        timeout: how long all of it may take.
        retries: how often a feature that failed is tried again.
        retry_after: the pause before that.
        active: whether it is due by itself; it can be started by hand in any case.
    """

    name: str
    does: Does
    features: tuple[str, ...]
    when: Recurrence
    overlap: Overlap = "refuse"
    catch_up: bool = True
    timeout: timedelta | None = None
    retries: int = 0
    retry_after: timedelta = timedelta(minutes=1)
    active: bool = True

    @property
    def due(self) -> str:
        """When it is due, as one text."""
        return f"{self.when.text} ({self.when.zone})"


@dataclass(frozen=True)
class Keys:
    """The keys of ``[schedules.NAME]``, before they are looked at together.

    Attributes:
        does: ``run`` brings features up to date and lets their monitors look, ``monitor`` only has
            them look, ``maintain`` is ``vecmill maintain --yes``, ``report`` writes the pages.
        features: what it is done to; all features where none is named.
        cron: a line of five fields that says when it is due; one of this, ``every`` and ``rrule``.
        every: how often it is due, such as ``6 hours``.
        rrule: a recurrence rule as calendars have it, such as ``FREQ=WEEKLY;BYDAY=MO;BYHOUR=6``.
        timezone: in which ``cron`` and ``rrule`` count, such as ``Europe/Berlin``.
        overlap: what becomes of a start while the one before goes on: it is refused, or waits.
        catch_up: whether a start that was missed, since nothing served it, is made good once.
        timeout: how long all of it may take, such as ``2 hours``.
        retries: how often a feature that failed is tried again.
        retry_after: the pause before that, such as ``1 minute``.
        active: whether it is due by itself; it can be started by hand in any case.
    """

    does: Does = "run"
    features: list[str] = field(default_factory=list)
    cron: str | None = None
    every: str | None = None
    rrule: str | None = None
    timezone: str = "UTC"
    overlap: Overlap = "refuse"
    catch_up: bool = True
    timeout: str | None = None
    retries: int = 0
    retry_after: str = "1 minute"
    active: bool = True

    def __post_init__(self) -> None:
        if self.cron is not None:
            check_cron("cron", self.cron)
        if self.rrule is not None:
            check_rrule("rrule", self.rrule)
        check_zone("timezone", self.timezone)
        for key in ("every", "timeout", "retry_after"):
            if getattr(self, key) is not None:
                duration(key, getattr(self, key))
        if not 0 <= self.retries <= _MOST_RETRIES:
            raise ValueError(f"retries must be 0 to {_MOST_RETRIES}, got {self.retries}")
        given = [key for key in ("cron", "every", "rrule") if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                "a schedule needs one of cron, every and rrule, got "
                f"{' and '.join(given) or 'none of them'}; for example every = '6 hours'"
            )

    def when(self) -> Recurrence:
        """When it is due."""
        if self.every is not None:
            return Recurrence.every(duration("every", self.every), self.timezone)
        if self.cron is not None:
            return Recurrence("cron", self.cron, self.timezone)
        return Recurrence("rrule", self.rrule or "", self.timezone)


def read(tables: Mapping[str, Any], features: Mapping[str, Feature]) -> dict[str, Schedule]:
    """The schedules by name; a feature's own ``schedule`` is one of the feature's name.

    Raises:
        SettingsError: if one is not as it should be.
    """
    found = {name: _parsed(name, keys, features) for name, keys in tables.items()}
    for name, feature in features.items():
        if feature.schedule is None:
            continue
        if name in found:
            raise SettingsError(
                f"[features.{name}] has a schedule, and so there cannot be a [schedules.{name}] "
                "beside it; remove one, or call it otherwise"
            )
        found[name] = Schedule(name, "run", (name,), Recurrence("cron", feature.schedule))
    return found


def of_feature(
    schedules: Mapping[str, Schedule], features: Collection[str], name: str
) -> dict[str, str]:
    """The schedules by name that run a feature by themselves, each with when it is due."""
    return {
        schedule.name: schedule.due
        for schedule in schedules.values()
        if schedule.does == "run" and schedule.active and name in (schedule.features or features)
    }


def refuse_undefined(schedule: str, named: Iterable[str], features: Collection[str]) -> None:
    """Refuse a schedule that names a feature which is not there.

    Raises:
        SettingsError: on the first such name.
    """
    for feature in named:
        if feature not in features:
            raise SettingsError(
                f"[schedules.{schedule}] names the feature {feature!r}, which is not defined"
                f"{hint(feature, features)}"
            )


def _parsed(name: str, table: Any, features: Mapping[str, Feature]) -> Schedule:  # noqa: ANN401 - TOML
    where = f"[schedules.{name}]"
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"a schedule cannot be called {name!r}: it needs lower-case letters, digits, dashes "
            "and underscores, a letter first"
        )
    keys = parse(Keys, table, where)
    refuse_undefined(name, keys.features, features)
    return Schedule(
        name=name,
        does=keys.does,
        features=tuple(keys.features),
        when=keys.when(),
        overlap=keys.overlap,
        catch_up=keys.catch_up,
        timeout=None if keys.timeout is None else duration("timeout", keys.timeout),
        retries=keys.retries,
        retry_after=duration("retry_after", keys.retry_after),
        active=keys.active,
    )
