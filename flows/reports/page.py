"""A report as one page: it needs nothing but itself, no network and no file beside it.

The page's own policy lets it load nothing, and lets no other script run than the one that is in it,
which switches colours and tells of the dots on the map. Everything can be read without it.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from flows.output.markup import Html, as_json, el, put
from flows.reports.marks import mark
from flows.reports.sections import sections

if TYPE_CHECKING:
    from flows.reports.model import Points, Report

_HERE = Path(__file__).parent
_POLICY = (
    "default-src 'none'; script-src {script}; style-src 'unsafe-inline'; img-src data:; "
    "media-src data: file:; base-uri 'none'; form-action 'none'"
)


def page(report: Report) -> str:
    """A report as HTML; equal reports give equal pages."""
    found = list(sections(report))
    links = [el("li", el("a", heading, href=f"#{name}")) for name, heading, _ in found]
    nav = el("nav", el("ul", *links), aria_label="Sections") if links else None
    main = [_section(*one) for one in found]
    body = put(
        el("a", "Skip to what was found", class_="skip", href="#main"),
        el("div", _header(report, nav), el("main", *main, id="main"), _footer(report),
           class_="page"),
        _points(report),
    )  # fmt: skip
    return document(f"{report.name}: report", body)


def document(title: str, body: Html) -> str:
    """A whole page, with the reports' own looks and script."""
    style = Html((_HERE / "page.css").read_text("utf-8"))
    script = Html((_HERE / "page.js").read_text("utf-8"))
    digest = b64encode(sha256(script.encode()).digest()).decode()
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy",
           content=_POLICY.format(script=f"'sha256-{digest}'")),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title),
        el("style", style),
    )  # fmt: skip
    tip = el("div", id="tip", hidden=True, role="status")
    inside = put(head, el("body", body, tip, el("script", script)))
    return f"<!DOCTYPE html>\n{el('html', inside, lang='en')}\n"


def top() -> Html:
    """The line above everything."""
    button = el("button", "Colours", id="theme", type="button", hidden=True)
    return el("div", el("span", "Vecmill report"), button, class_="top")


def _header(report: Report, nav: Html | None) -> Html:
    conclusion = report.conclusion
    version = None if report.version is None else el("span", f" v{report.version}")
    notes = [el("li", note) for note in conclusion.notes]
    if conclusion.advice:
        notes.append(el("li", "Next: ", el("code", conclusion.advice)))
    return el(
        "header",
        top(),
        el("div", el("h1", report.feature, version), mark(report), class_="title"),
        el("p", conclusion.sentence, class_="verdict"),
        el("ul", *notes, class_="notes") if notes else None,
        _facts(report),
        nav,
    )


def _facts(report: Report) -> Html | None:
    if not report.facts:
        return None
    rows = [el("div", el("dt", name), el("dd", value)) for name, value in report.facts.items()]
    return el("dl", *rows, class_="facts")


def _section(name: str, heading: str, inside: Html) -> Html:
    title = el("h2", heading, id=f"{name}-heading")
    return el("section", title, inside, id=name, aria_labelledby=f"{name}-heading")


def _footer(report: Report) -> Html:
    made = f"Made on {report.made_at:%Y-%m-%d at %H:%M} UTC"
    made += f" by Vecmill {report.vecmill}." if report.vecmill else "."
    copy = "It holds what it shows of records: whoever has it has a copy of them."
    return el("footer", *(el("p", text) for text in report.left_out), el("p", f"{made} {copy}"))


def _points(report: Report) -> Html | None:
    """What the dots of the map are, for the script."""
    if report.places is None:
        return None
    sides = {"map-then": report.places.reference, "map-now": report.places.current}
    given = {name: _plain(points) for name, points in sides.items()}
    return el("script", as_json(given), type="application/json", id="points")


def _plain(points: Points) -> dict[str, list[str] | list[float]]:
    return {"ids": [*points.ids], "labels": [*points.labels], "x": [*points.x], "y": [*points.y]}
