"""Tables of a report: the parts that findings are about, checks and runs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from flows.markup import Html, el, put
from flows.reports.bars import meter, number, pair_of, paired
from flows.reports.model import severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.markup import Child
    from flows.monitors.base import Part
    from flows.reports.model import Ran, Watched

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


def table(head: Sequence[Child], rows: Sequence[Sequence[Html]], caption: str) -> Html:
    """A table in a box of its own, that scrolls sideways where it is wider than the page.

    Args:
        head: a heading a column.
        rows: the cells of each row, elements ``th`` or ``td``.
        caption: what it shows, for those who hear it.
    """
    marks = [_heading(child) for child in head]
    return el(
        "div",
        el(
            "table",
            el("caption", caption, class_="hidden"),
            el("thead", el("tr", *marks)),
            el("tbody", *(el("tr", *row) for row in rows)),
        ),
        class_="scroll", tabindex="0", role="region", aria_label=caption,
    )  # fmt: skip


def _heading(child: Child) -> Html:
    if child is not None and child.startswith("#"):
        return el("th", child[1:], scope="col", class_="num")
    return el("th", child, scope="col")


def parts(found: Sequence[tuple[Watched, Part]], what: str) -> Html:
    """Parts of findings: what each is and what is said of it, and the figures that most have.

    Those that are quiet are folded away where they are many.

    Args:
        found: the parts with the finding each is of, the most serious first.
        what: each is, such as ``Slice``.
    """
    loud = sum(part.verdict != "quiet" for _, part in found)
    first = found[: max(_QUIET, loud)]
    made = _parts(first, what, f"{what}, the most serious first")
    rest = found[len(first) :]
    if not rest:
        return made
    more = _parts(rest[:_ROWS], what, f"{what}, those that are quiet")
    left = el("p", f"And {len(rest) - _ROWS:,} more.") if len(rest) > _ROWS else None
    return put(made, el("details", el("summary", f"{len(rest):,} more, all quiet"), more, left))


def _parts(found: Sequence[tuple[Watched, Part]], what: str, caption: str) -> Html:
    pairs = [pair_of(part.figures) for _, part in found]
    most = max((max(p[1:]) for p in pairs if p), default=0.0)
    used = {key for _, part in found for key in _of_pair(part.figures)}
    common = Counter(key for _, part in found for key in part.figures if key not in used)
    names = [key for key, _ in common.most_common(_COLUMNS)]
    several = len({watched.monitor for watched, _ in found}) > 1
    head: list[Child] = [what, "Verdict"]
    head += ["Before and after"] if any(pairs) else []
    head += [f"#{key.replace('_', ' ')}" for key in names]
    head += ["Monitor"] if several else []
    rows = []
    for (watched, part), pair in zip(found, pairs, strict=True):
        row = [_named(part), el("td", chip(part.verdict))]
        if any(pairs):
            row.append(el("td", paired(*pair, most) if pair else None))
        row += [_number(part.figures.get(key)) for key in names]
        row += [el("td", watched.monitor)] if several else []
        rows.append(row)
    return table(head, rows, caption)


def _of_pair(figures: Mapping[str, float]) -> set[str]:
    """The names of all figures that there are two of, before and after: shown as bars or not."""
    return {
        name
        for key in figures
        if "reference" in key
        for name in (key, key.replace("reference", "current"), key.replace("_reference", ""))
        if pair_of(figures)
    }


def _named(part: Part) -> Html:
    return el("th", part.name, el("small", part.summary), scope="row")


def _number(value: float | None) -> Html:
    return el("td", "" if value is None else number(value), class_="num")


def checks(findings: Sequence[Watched]) -> Html | None:
    """What was checked, passed or not; None where no monitor checks anything."""
    rows = []
    for watched in sorted(findings, key=lambda watched: not watched.is_check):
        every = [part for part in watched.parts if part.kind == "check"]
        own = sorted(every, key=lambda part: severity(part.verdict))[:_CHECKS]
        rows += [_check(_named(part), part.verdict, part.figures, watched) for part in own]
        if len(every) > len(own):
            said = el("th", f"{len(every) - len(own)} more, none of them worse", scope="row")
            rows.append(_check(said, own[-1].verdict, {}, watched))
        if not own and watched.is_check and watched.detail:
            said = el("th", "all of them together", scope="row")
            rows.append(_check(said, watched.verdict, watched.detail, watched))
    head = ("Check", "Verdict", "Figures", "Monitor")
    return table(head, rows, "Checks, passed and failed") if rows else None


def _check(said: Html, verdict: str, figures: Mapping[str, float], watched: Watched) -> list[Html]:
    return [said, *(el("td", child) for child in (chip(verdict), _figures(figures))),
            el("td", watched.monitor)]  # fmt: skip


def _figures(figures: Mapping[str, float]) -> Html:
    told = [
        el("li", f"{key.replace('_', ' ')} ", el("b", number(value)))
        for key, value in figures.items()
    ]
    return el("ul", *told, class_="figures")


def runs(found: Sequence[Ran]) -> Html:
    """The runs, newest first."""
    longest = max((run.seconds or 0.0 for run in found), default=0.0)
    most = float(max((run.encoded or 0 for run in found), default=0))
    rows = []
    for run in found:
        time = el("time", f"{run.started_at:%Y-%m-%d %H:%M}", datetime=run.started_at.isoformat())
        why = None if run.error is None else el("small", run.error)
        said = el("th", time, el("small", run.run_id), why, scope="row")
        row = [said, el("td", f"{run.kind}, {run.status}")]
        written = None if run.new is None or run.changed is None else run.new + run.changed
        row += [el("td", number(value), class_="num") for value in
                (run.records, written, run.deleted)]  # fmt: skip
        row.append(el("td", number(run.encoded), meter(run.encoded or 0, most), class_="num"))
        row.append(el("td", number(run.dead), class_="num"))
        seconds = "" if run.seconds is None else f"{run.seconds:,.1f}"
        row.append(el("td", seconds, meter(run.seconds or 0.0, longest), class_="num"))
        rows.append(row)
    head = ("Begun", "Run", "#records", "#new or changed", "#deleted", "#encoded", "#dead",
            "#seconds")  # fmt: skip
    return table(head, rows, "Runs, the newest first")
