"""Tables of a report: the parts that findings are about, checks and runs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from flows.output.markup import Html, el, put
from flows.reports.bars import meter, number, pair_of, paired
from flows.reports.grid import Cell, Column, cell, heading, legend, table
from flows.reports.model import severity
from flows.reports.terms import explained, named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flows.monitors.base import Part
    from flows.reports.model import Ran, Watched

    Found: TypeAlias = tuple[Watched, Part]

_COLUMNS, _ROWS, _CHECKS, _QUIET = 3, 100, 20, 8
_SHAPES = {
    "alarm": "M5 .6 9.7 9H.3Z", "watch": "M5 .2 9.8 5 5 9.8.2 5Z",
    "quiet": "M1 5a4 4 0 1 0 8 0a4 4 0 1 0-8 0",
}  # fmt: skip
_RING = "M1 5a4 4 0 1 0 8 0a4 4 0 1 0-8 0M2.6 5a2.4 2.4 0 1 1 4.8 0a2.4 2.4 0 1 1-4.8 0"


def chip(verdict: str, words: str | None = None) -> Html:
    """A verdict: a shape and a word, so that nobody needs to see its colour."""
    shape = el("path", d=_SHAPES.get(verdict, _RING), fill_rule="evenodd")
    icon = el("svg", shape, viewBox="0 0 10 10", aria_hidden="true")
    return el("span", icon, words or verdict, class_=f"chip {verdict.replace(' ', '-')}")


def parts(found: Sequence[Found], what: str) -> Html:
    """Parts of findings: what each is and what is said of it, and the figures that most have.

    Those that are quiet are folded away where they are many. A slice that several monitors tell of
    stands once, with what each says of it.

    Args:
        found: the parts with the finding each is of, the most serious first.
        what: each is, such as ``Slice``.
    """
    things = once(found)
    loud = sum(thing[0][1].verdict != "quiet" for thing in things)
    first = things[: max(_QUIET, loud)]
    made = _parts(first, what, f"{what}, the most serious first")
    rest = things[len(first) :]
    if not rest:
        return made
    more = _parts(rest[:_ROWS], what, f"{what}, those that are quiet")
    left = el("p", f"And {len(rest) - _ROWS:,} more.") if len(rest) > _ROWS else None
    return put(made, el("details", el("summary", f"{len(rest):,} more, all quiet"), more, left))


def once(found: Sequence[Found]) -> list[list[Found]]:
    """Each thing with all that is said of it, in their order.

    Slices of one name are one, whoever tells of them; clusters, which each monitor makes itself,
    are not.
    """
    things: dict[object, list[Found]] = {}
    for place, pair in enumerate(found):
        part = pair[1]
        things.setdefault(part.name if part.kind == "slice" else place, []).append(pair)
    return list(things.values())


def _parts(things: Sequence[Sequence[Found]], what: str, caption: str) -> Html:
    every = [pair for thing in things for pair in thing]
    pairs = [_pair(thing) for thing in things]
    most = max((max(p[1:]) for p in pairs if p), default=0.0)
    used = {key for _, part in every for key in _of_pair(part.figures)}
    common = Counter(key for _, part in every for key in part.figures if key not in used)
    keys = [key for key, _ in common.most_common(_COLUMNS)]
    several = len({watched.monitor for watched, _ in every}) > 1
    columns = [Column(what), Column("Verdict")]
    columns += [Column("Before and after")] if any(pairs) else []
    columns += [Column(_capital(named(key)), explained(key), is_number=True) for key in keys]
    columns += [Column("Monitor")] if several else []
    rows = []
    for thing, pair in zip(things, pairs, strict=True):
        row = [_told(thing), cell(chip(thing[0][1].verdict))]
        row += [cell(paired(*pair, most) if pair else None)] if any(pairs) else []
        row += [_said(key, thing) for key in keys]
        row += [cell(", ".join(dict.fromkeys(w.monitor for w, _ in thing)))] if several else []
        rows.append(row)
    return table(columns, rows, caption)


def _pair(thing: Sequence[Found]) -> tuple[str, float, float] | None:
    """What it had before and has now, by the first that tells."""
    return next((p for _, part in thing if (p := pair_of(part.figures)) is not None), None)


def _of_pair(figures: Mapping[str, float]) -> set[str]:
    """The names of all figures that there are two of, before and after: shown as bars or not."""
    return {
        name
        for key in figures
        if "reference" in key
        for name in (key, key.replace("reference", "current"), key.replace("_reference", ""))
        if pair_of(figures)
    }


def _told(thing: Sequence[Found]) -> Cell:
    name = thing[0][1].name
    said = [part.summary.removeprefix(f"{name}: ") for _, part in thing]
    if len(thing) == 1:
        return heading(name, el("small", said[0]))
    both = zip((watched.monitor for watched, _ in thing), said, strict=True)
    return heading(name, *(el("small", el("b", who), f": {what}") for who, what in both))


def _said(key: str, thing: Sequence[Found]) -> Cell:
    """A figure, by each monitor that has it where several tell of the thing."""
    have = [(w.monitor, part.figures[key]) for w, part in thing if key in part.figures]
    if len(have) > 1:
        return cell(*(el("span", number(value), el("small", name)) for name, value in have))
    return cell(number(have[0][1]) if have else None)


def _capital(words: str) -> str:
    """As a heading; p is written small wherever it stands."""
    return words if words.startswith("p ") else words[:1].upper() + words[1:]


def checks(findings: Sequence[Watched]) -> Html | None:
    """What was checked, passed or not; None where no monitor checks anything."""
    rows, keys = [], dict[str, None]()
    for watched in sorted(findings, key=lambda watched: not watched.is_check):
        every = [part for part in watched.parts if part.kind == "check"]
        own = sorted(every, key=lambda part: severity(part.verdict))[:_CHECKS]
        rows += [_check(_told([(watched, p)]), p.verdict, p.figures, watched) for p in own]
        keys |= dict.fromkeys(key for part in own for key in part.figures)
        if len(every) > len(own):
            said = heading(f"{len(every) - len(own)} more, none of them worse")
            rows.append(_check(said, own[-1].verdict, {}, watched))
        # A test that has had nothing to compare with yet has no p-value either.
        measured = watched.now.statistic is not None
        if not own and watched.is_check and measured and watched.detail:
            said = heading("all of them together")
            rows.append(_check(said, watched.verdict, watched.detail, watched))
            keys |= dict.fromkeys(watched.detail)
    columns = [Column(name) for name in ("Check", "Verdict", "Figures", "Monitor")]
    if not rows:
        return None
    return put(table(columns, rows, "Checks, passed and failed"), meanings(keys))


def meanings(keys: Iterable[str]) -> Html | None:
    """What the figures of these keys are, folded away."""
    told = [(named(key), why) for key in keys if (why := explained(key)) is not None]
    return legend(told, "What the figures mean")


def _check(said: Cell, verdict: str, figures: Mapping[str, float], watched: Watched) -> list[Cell]:
    return [said, cell(chip(verdict)), cell(_figures(figures)), cell(watched.monitor)]


def _figures(figures: Mapping[str, float]) -> Html | None:
    told = [el("li", f"{named(key)} ", el("b", number(value))) for key, value in figures.items()]
    return el("ul", *told, class_="figures") if told else None


_RUNS = (
    Column("Run"),
    Column("Kind"),
    Column("Outcome"),
    Column("Records", "those that the source gave, where it was read", is_number=True),
    Column("New or changed", is_number=True),
    Column("Deleted", is_number=True),
    Column("Encoded", "contents whose vectors were computed: equal ones once", is_number=True),
    Column("Dead", "records that could not be read or encoded", is_number=True),
    Column("Seconds", is_number=True),
)


def runs(found: Sequence[Ran]) -> Html:
    """The runs, newest first."""
    longest = max((run.seconds or 0.0 for run in found), default=0.0)
    most = float(max((run.encoded or 0 for run in found), default=0))
    rows = []
    for run in found:
        time = el("time", f"{run.started_at:%Y-%m-%d %H:%M}", datetime=run.started_at.isoformat())
        why = None if run.error is None else el("small", run.error)
        row = [heading(time, el("small", run.run_id), why), cell(run.kind), cell(run.status)]
        written = None if run.new is None or run.changed is None else run.new + run.changed
        row += [cell(number(value)) for value in (run.records, written, run.deleted)]
        row.append(cell(number(run.encoded), meter(run.encoded or 0, most)))
        row.append(cell(number(run.dead)))
        seconds = "" if run.seconds is None else f"{run.seconds:,.1f}"
        row.append(cell(seconds, meter(run.seconds or 0.0, longest)))
        rows.append(row)
    return table(_RUNS, rows, "Runs, the newest first")
