"""What all pages have: the head, the way about, and the boxes that answers come in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

from flows.output import units
from flows.output.markup import Html, el
from flows.output.redact import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.output.markup import Child
    from flows.ui.jobs import Job

_SITES = (
    ("/", "Overview"), ("/runs", "Runs"), ("/dead", "Dead letters"), ("/alerts", "Alerts"),
    ("/sql", "SQL"),
)  # fmt: skip
_FEATURE = (
    ("", "Summary"), ("/search", "Search"), ("/record", "Record"), ("/map", "Map"),
    ("/plan", "Plan"), ("/report", "Report"),
)  # fmt: skip


def page(
    title: str, *main: Child, here: str = "", again: str | None = None, status: int = 200
) -> HTMLResponse:
    """A page.

    Args:
        title: its heading's words.
        main: what is in it; the first has the heading.
        here: the address of the part of the site that it is.
        again: where to look again in a second, for browsers without scripts.
        status: of the answer.
    """
    refresh = None
    if again is not None:
        refresh = el("noscript", el("meta", http_equiv="refresh", content=f"1;url={again}"))
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", f"{title} · Vecmill"),
        el("link", rel="icon", href="/static/icon.svg", type="image/svg+xml"),
        el("link", rel="stylesheet", href="/static/page.css"),
        el("link", rel="stylesheet", href="/static/ui.css"),
        el("script", src="/static/page.js", defer=True),
        el("script", src="/static/ui.js", defer=True),
        refresh,
    )
    links = [_link(address, name, here=address == here) for address, name in _SITES]
    button = el("button", "Colours", id="theme", type="button", hidden=True)
    body = el(
        "body",
        el("a", "Skip to the page", class_="skip", href="#main"),
        el(
            "div",
            el("header", el("nav", el("ul", *links), aria_label="Vecmill"), button, class_="site"),
            el("main", *main, id="main", tabindex="-1"),
            class_="page",
        ),
        el("div", id="tip", hidden=True, role="status"),
    )
    return HTMLResponse(redact(f"<!DOCTYPE html>\n{el('html', head, body, lang='en')}\n"), status)


def fragment(inside: str, status: int = 200) -> HTMLResponse:
    """Markup as it is: a part of a page, or a page of another make."""
    return HTMLResponse(redact(inside), status)


def feature_nav(name: str, here: str) -> Html:
    """The ways about within a feature."""
    links = [_link(f"/features/{name}{end}", word, here=end == here) for end, word in _FEATURE]
    return el("nav", el("ul", *links), aria_label=name, class_="within")


def title(name: str, *more: Child) -> Html:
    """The heading of a page."""
    return el("div", el("h1", name), *more, class_="title")


def section(name: str, heading: str, *inside: Child) -> Html:
    """A part of a page under a heading of its own."""
    key = f"{name}-heading"
    return el("section", el("h2", heading, id=key), *inside, id=name, aria_labelledby=key)


def lead(*words: Child) -> Html:
    """What a part of a page is, in a sentence or two."""
    return el("p", *words, class_="lead")


def nothing(*words: Child) -> Html:
    """That there is nothing, and what would make something."""
    return el("p", *words, class_="nothing")


def wrong(words: str) -> Html:
    """That something cannot be done, and why."""
    return el("p", words, class_="wrong", role="alert")


def slot(job: Job) -> Html:
    """A job's answer; until it is there, how far the job is, which `ui.js` asks for again."""
    notes = el("ul", *(el("li", note) for note in job.notes), class_="notes") if job.notes else None
    if not job.ended.is_set():
        seconds = f"{time.monotonic() - job.began:.0f} s"
        done = f"{job.done:,} of {job.total:,} records, " if job.total else ""
        if not job.total and job.done:
            done = f"{units.several(job.done, 'record')}, "
        far = {"value": job.done, "max": job.total} if job.total else {}
        bar = el("progress", aria_label=job.doing, **far)
        return el("div", el("p", el("span", f"{job.doing} …", role="status"), " ",
                  el("small", f"{done}{seconds}")), bar, notes,
                  class_="slot working", data_job=f"/jobs/{job.id}")  # fmt: skip
    if job.error is not None:
        return el("div", wrong(job.error), notes, class_="slot")
    return el("div", notes, job.answer, class_="slot")


def field(label: str, inside: Html, why: str | None = None) -> Html:
    """A field of a form with its name."""
    told = el("small", why) if why else None
    return el("label", el("span", label), inside, told)


def choice(name: str, options: Sequence[tuple[str, str]], chosen: str) -> Html:
    """A list to choose from; of values and what each is called."""
    made = [el("option", word, value=value, selected=value == chosen) for value, word in options]
    return el("select", *made, name=name)


def _link(address: str, name: str, *, here: bool) -> Html:
    return el("li", el("a", name, href=address, aria_current="page" if here else None))
