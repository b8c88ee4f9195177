"""What a finding is about: the things that it names, in words and as what an alarm is known by.

An alarm that stands is told once, and again when it is about something that it was not about
before. So what it is about has to be the same from look to look while nothing happens: names of
slices, of checks and of columns are, statistics and the words and records that say it most clearly
are not. Clusters and components are numbered anew at each look, the words that tell a cluster from
the others come and go, and columns of numbers are cut at other places.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flows.output.visible import on_one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from storage.model import FindingRow

HOLDS_UP = "holds up publishing"
"""What an alarm is about, besides, where a run is not published for it."""

_LASTING = ("slice", "cluster", "check")
_ORDER = ("slice", "cluster", "check", "word")
# A cluster may have its words behind the number, and they are others at each look too.
_NUMBERED = re.compile(r"(?:cluster \d+(?: '.*')?|(?:component )?\d+)", re.DOTALL)
# As `flows.monitors._cutting` names what lies between two quantiles; a value has an equals sign.
_RANGES = tuple(
    re.compile(form)
    for form in (r".+? <= (?P<column>.+) < .+", r"(?P<column>.+) < .+", r"(?P<column>.+) >= .+")
)
_LONGEST = 60


def about(finding: FindingRow) -> tuple[str, ...]:
    """What an alarm is known by, such as ``slice label = Sports``; sorted, each once.

    Those of its parts that are alarms, but for words and numbered clusters. Where parts are
    detectors, which say by what a record was found, it is the records that it names.
    """
    loud = _loud(finding.parts)
    found = {
        f"{kind} {_lasting(name) if kind == 'slice' else name}"
        for kind, name in loud
        if kind in _LASTING and _NUMBERED.fullmatch(name) is None
    }
    if _is_of_records(finding.parts):
        found |= {f"record {record!r}" for record in finding.record_ids}
    if finding.blocks == "publishing":
        found.add(HOLDS_UP)
    return tuple(sorted(found))


def _lasting(name: str) -> str:
    """What of a slice's name stays from look to look: of a range of sizes the column."""
    if " = " in name:
        return name
    found = next((m for form in _RANGES if (m := form.fullmatch(name)) is not None), None)
    return name if found is None else f"{found['column']} by size"


def _loud(parts: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
    return [(part["kind"], part["name"]) for part in parts if part["verdict"] == "alarm"]


def _is_of_records(parts: Iterable[Mapping[str, Any]]) -> bool:
    return any(part["kind"] == "detector" for part in parts)


def moved(parts: Sequence[Mapping[str, Any]], record_ids: Sequence[str], most: int = 3) -> str:
    """The things that a finding names, in a few words; empty where it names none.

    Values and clusters before checks and those before words; records where it names nothing else.

    Args:
        parts: of the finding, as `flows.monitors.base.Part` in plain values.
        record_ids: those that it names.
        most: things that are named; of more it is told how many.
    """
    ranked = sorted((p for p in _loud(parts) if p[0] in _ORDER), key=lambda p: _ORDER.index(p[0]))
    if not ranked or _is_of_records(parts):
        what = "record " if len(record_ids) == 1 else "records "
        return what + _listed(record_ids, most) if record_ids else ""
    of_kind = [name for kind, name in ranked if kind == ranked[0][0]]
    return ("words " if ranked[0][0] == "word" else "") + _listed(of_kind, most)


def together(found: Iterable[tuple[str, str]]) -> list[str]:
    """What moved, each once, with who says so in brackets.

    Args:
        found: what `moved` gave, or nothing, and who says it.
    """
    by_thing: dict[str, list[str]] = {}
    for what, who in found:
        by_thing.setdefault(what or who, []).append(who)
    return [
        what if who == [what] else f"{what} ({', '.join(who)})" for what, who in by_thing.items()
    ]


def _listed(names: Sequence[str], most: int) -> str:
    shown = [_short(name) for name in names[:most]]
    if len(names) > most:
        return f"{', '.join(shown)} and {len(names) - most:,} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _short(name: str) -> str:
    line = on_one_line(name)
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def told(things: Sequence[str], most: int = 5) -> str:
    """What `about` gave, as people read it."""
    plain = [thing.removeprefix("slice ").removeprefix("check ") for thing in things]
    return _listed(plain, most)
