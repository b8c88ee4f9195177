"""What a run is held against: which rows of its version monitors take for the usual ones."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from storage.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.model import Manifest

WAYS = ("previous", "live", "first", "weekday")
"""The references that a word names; the others are ``N runs``, ``N days`` and a run's id."""

OWN = (
    "its own state before the run; the live version is none to compare it with, since vectors of "
    "two encoders lie in two spaces"
)
"""What ``live`` comes to for a version that is not the live one."""

SINCE_FIT = "what runs wrote since the encoder learned"
"""What all that came before comes to for an encoder that learns, once that is enough."""

LEARNED = ", which the encoder learned from"
"""What the words for a reference end with where that makes the p-values of vectors too small."""

WITHOUT = ", but what the encoder learned from"
"""What those of a window end with that has been left without these rows."""

ENOUGH = 200
"""Contents written since the fit that are a better reference than those that were learned from."""

_MOST = 100_000
_WINDOW = re.compile(r"(?P<n>[1-9]\d{0,4}) (?P<unit>run|day)s?")
_COUNT = re.compile(r"(?:the )?(?:last )?(?P<n>\d{1,6})[ _-]*(?P<unit>[a-z]+)")
_UNITS = {
    **dict.fromkeys(("d", "day", "days"), (1, "day")),
    **dict.fromkeys(("w", "week", "weeks"), (7, "day")),
    **dict.fromkeys(("month", "months"), (30, "day")),
    **dict.fromkeys(("r", "run", "runs"), (1, "run")),
}
"""How people write what a window counts: how many of which unit each is."""

_RUN = re.compile(r"\d{8}T\d{6}-[0-9a-f]{11}")
_WEEKS = 8
"""How far ``weekday`` looks back."""


@dataclass(frozen=True)
class Reference:
    """Rows to hold a run against.

    Attributes:
        told: what they are, in words.
        manifest: the published state that they are read at.
        runs: only the rows that these runs wrote; None for all.
        grows: whether it is all that came before, so that the looks at one run after the other are
            independent of each other where nothing changes.
    """

    told: str
    manifest: Manifest
    runs: tuple[str, ...] | None = None
    grows: bool = False


@dataclass(frozen=True)
class Absent:
    """That there is nothing to hold a run against, though it is not the first.

    Attributes:
        told: why, in words.
        by: the command that has cleaned away what stood before the run; None where no run is such
            as the reference asks for.
    """

    told: str
    by: str | None = None


def check(text: str) -> None:
    """See that a reference can be understood.

    Raises:
        ValueError: if it cannot.
    """
    if text not in WAYS and not _WINDOW.fullmatch(text) and not _RUN.fullmatch(text):
        meant = _meant(text)
        raise ValueError(
            f"reference must be one of {', '.join(WAYS)}, such as '5 runs' "
            f"or '28 days', or the id of a run, got {text!r}"
            f"{'' if meant is None else f'; did you mean {meant!r}?'}"
        )


def _meant(text: str) -> str | None:
    """The reference that somebody may have had in mind who wrote another."""
    plain = text.strip().lower()
    if count := _COUNT.fullmatch(plain):
        near = nearest(count["unit"], _UNITS)
        times, unit = (0, "") if near is None else _UNITS[near]
        number = int(count["n"]) * times
        return f"{number} {unit}{'' if number == 1 else 's'}" if 0 < number < _MOST else None
    return nearest(plain, WAYS)


def find(text: str, manifests: Sequence[Manifest], current: Manifest) -> Reference | None:
    """The reference of a run.

    Args:
        text: as the feature's configuration says.
        manifests: of the version, oldest first.
        current: the run's.

    Returns:
        None where there is nothing to compare with yet.

    Raises:
        LookupError: if a run is named that published nothing in this version, or whose state was
            cleaned away.
    """
    latest = _latest(manifests, current)
    # Runs that only removed or updated rows count too: it is what readers saw just before.
    before = [
        m for m in manifests if m.forgotten_at is None and m.rows and m.lance_version < latest
    ]
    if _RUN.fullmatch(text):
        return _named(text, manifests)
    if not before:
        return None
    if text == "first":
        return Reference("the state that the first run left", before[0])
    if text in {"previous", "live"}:
        return Reference("the state before the run", before[-1], grows=True)
    wrote = [m for m in manifests if m.counts.written and m.lance_version < latest]
    told, chosen = _window(text, wrote, current)
    return Reference(told, before[-1], tuple(m.run_id for m in chosen)) if chosen else None


def absent(text: str, manifests: Sequence[Manifest], current: Manifest) -> Absent | None:
    """Why `find` gives no reference; None where nothing has ever stood before the run.

    Args:
        text: as the feature's configuration says.
        manifests: of the version, oldest first.
        current: the run's.
    """
    latest = _latest(manifests, current)
    before = [m for m in manifests if m.rows and m.lance_version < latest]
    if not before:
        return None
    by = before[-1].forgotten_by
    if any(m.forgotten_at is None for m in before):
        return Absent(f'no run is such as reference = "{text}" says')
    return Absent(
        "the reference no longer exists: the earlier state was forgotten by `vecmill "
        f"{by}`; the next run is held against what is left",
        by,
    )


def _latest(manifests: Sequence[Manifest], current: Manifest) -> int:
    """The state that a run left, whatever state its rows are read in now."""
    own = next((m.lance_version for m in manifests if m.run_id == current.run_id), None)
    return current.lance_version if own is None else own


def needed(text: str, manifests: Sequence[Manifest]) -> tuple[int, str] | None:
    """The state that a reference has to be read at whatever runs come, if it is one of these.

    Args:
        text: as the feature's configuration says.
        manifests: of the version, oldest first.

    Returns:
        Its Lance version, and the text; None for references that move on with the runs.
    """
    readable = [m for m in manifests if m.forgotten_at is None]
    found = [m for m in readable if (m.rows if text == "first" else m.run_id == text)]
    return (found[0].lance_version, text) if found else None


def since_fit(reference: Reference, manifests: Sequence[Manifest], current: Manifest) -> Reference:
    """The reference without what the version's encoder learned from, where enough is left.

    Vectors fit the records that an encoder learned from better than others, so that new records of
    the same kind differ from them: a true change of distribution, and none of the data.

    Args:
        reference: of a version whose encoder has learned, from what its first run found.
        manifests: of the version, oldest first.
        current: the run that is looked at.
    """
    windowed = reference.runs is not None
    if not learned_from(reference, manifests) or not (windowed or reference.grows):
        return reference
    latest = _latest(manifests, current)
    wrote = [m for m in manifests if m.counts.written and m.lance_version < latest][1:]
    if reference.runs is not None:
        wrote = [m for m in wrote if m.run_id in reference.runs]
    if sum(m.counts.new + m.counts.changed for m in wrote) < ENOUGH:
        return reference
    told = f"{reference.told}{WITHOUT}" if windowed else SINCE_FIT
    return replace(reference, told=told, runs=tuple(m.run_id for m in wrote))


def learned_from(reference: Reference, manifests: Sequence[Manifest]) -> bool:
    """Whether it has rows of the first run that wrote any: what an encoder learned from."""
    first = next((m.run_id for m in manifests if m.counts.written), None)
    return reference.runs is None or first in reference.runs


def _named(run_id: str, manifests: Sequence[Manifest]) -> Reference:
    found = next((m for m in manifests if m.run_id == run_id), None)
    if found is None:
        raise LookupError(
            f"reference names the run {run_id}, which has published nothing in this version; name "
            "one that `vecmill sql 'FROM manifests'` lists"
        )
    if found.forgotten_at is not None:
        raise LookupError(
            f"reference names the run {run_id}, whose state `vecmill {found.forgotten_by}` has "
            "cleaned away; name a later one"
        )
    return Reference(f"the state that {run_id} left", found)


def _window(
    text: str, wrote: Sequence[Manifest], current: Manifest
) -> tuple[str, Sequence[Manifest]]:
    if text == "weekday":
        since = current.published_at - timedelta(weeks=_WEEKS)
        day = current.published_at.weekday()
        name = f"{current.published_at:%A}"
        return f"what runs wrote on a {name} within {_WEEKS} weeks", [
            m for m in wrote if m.published_at >= since and m.published_at.weekday() == day
        ]
    window = _WINDOW.fullmatch(text)
    if window is None:
        raise ValueError(f"{text!r} is no reference; `check` says what is")
    n = int(window["n"])
    if window["unit"] == "run":
        return f"what the {n} runs before wrote", wrote[-n:]
    since = current.published_at - timedelta(days=n)
    return f"what runs wrote within {n} days", [m for m in wrote if m.published_at >= since]
