"""A feature's own page: the verdict, its findings and what moved, versions, runs, dead letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.config.stores import Stores
from flows.lifecycle import recipes
from flows.output.markup import Html, el, put
from flows.output.progress import Silent
from flows.reports.gather import collect
from flows.reports.grid import Column
from flows.reports.marks import mark
from flows.reports.page import page as report_page
from flows.reports.sections import sections
from flows.ui import frame, lists
from flows.ui.grids import record_link, rows_table
from flows.ui.guard import FRAMED
from storage.model import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from flows.reports.model import Report
    from flows.ui.site import Site
    from storage.model import Version

_KINDS = {"slice": "slices", "cluster": "clusters", "word": "words"}
"""Kinds of parts, and the section of a report that tells of each."""

_MOST_NAMED = 24
_VERSIONS = {
    "version": Column("Version"),
    "standing": Column("Status"),
    "encoder": Column("Encoder"),
    "rows": Column("Rows", is_number=True),
    "dim": Column("Dimensions", is_number=True),
    "created_at": Column("Made"),
    "last_run": Column("Last run"),
}
_STANDINGS = {
    "changed_at": Column("When"), "version": Column("Version", is_number=True),
    "standing": Column("Status"), "action": Column("Action"), "forced": Column("Forced"),
    "reason": Column("Why"),
}  # fmt: skip


def feature(site: Site, request: Request) -> Response:
    """How a feature stands."""
    name = site.feature(request.path_params["name"])
    number = version_of(request)
    settings = site.settings
    report = collect(settings, name, Silent(), number, pictures=False)
    versions = recipes.versions(settings, name) if report.version is not None else []
    catalog = Stores.of(settings).catalog
    log = catalog.query(
        "SELECT * FROM standings WHERE feature = ? ORDER BY changed_at DESC, rowid DESC", name
    ).to_pylist()
    dead = lists.dead_table(settings, name)
    return frame.page(
        report.name,
        header(report),
        frame.feature_nav(name, ""),
        _facts(report),
        _quick(name, catalog.live(name)),
        *_found(report),
        frame.section("versions", "Versions", _versions(name, versions)),
        frame.section("standings", "When which version became live", _log(log)) if log else None,
        frame.section("dead", "Dead letters", dead),
    )


def version_of(request: Request) -> int | None:
    """The version that an address names, None where it names none.

    Raises:
        UsageError: if it is no number.
    """
    given = request.query_params.get("version", "").removeprefix("v")
    if not given:
        return None
    if not (given.isascii() and given.isdecimal()):
        raise UsageError(f"a version is named by its number, such as 2; got {given!r}")
    return int(given)


def report(site: Site, request: Request) -> Response:
    """The page that `vecmill report` writes, made anew and written nowhere."""
    name = site.feature(request.path_params["name"])
    found = collect(site.settings, name, Silent(), version_of(request))
    answer = frame.fragment(report_page(found))
    answer.headers["content-security-policy"] = FRAMED
    return answer


def report_frame(site: Site, request: Request) -> Response:
    """The report within a page of ours."""
    name = site.feature(request.path_params["name"])
    address = f"/features/{name}/report/page"
    words = "All that there is to say of the feature, with a map and the records behind findings. "
    return frame.page(
        f"{name}: report",
        frame.title(name, el("span", "report")),
        frame.feature_nav(name, "/report"),
        frame.lead(
            words, el("a", "Open it by itself", href=address), ", to save, print or send it; ",
            el("code", f"vecmill report {name}"), " keeps one with the store.",
        ),
        el("iframe", src=address, title=f"The report of {name}", class_="framed"),
    )  # fmt: skip


def header(report: Report) -> Html:
    """The name, the mark, the verdict and what else bears on it."""
    conclusion = report.conclusion
    version = None if report.version is None else el("span", f" v{report.version}")
    notes = [el("li", note) for note in conclusion.notes]
    if conclusion.advice:
        notes.append(el("li", "Next: ", el("code", conclusion.advice)))
    return put(
        el("div", el("h1", report.feature, version),
           mark(report), class_="title"),
        el("p", conclusion.sentence, class_="verdict"),
        el("ul", *notes, class_="notes") if notes else None,
    )  # fmt: skip


def _facts(report: Report) -> Html | None:
    if not report.facts:
        return None
    rows = [el("div", el("dt", name), el("dd", value)) for name, value in report.facts.items()]
    return el("dl", *rows, class_="facts")


def _quick(name: str, live: Version | None) -> Html | None:
    """A box to search the feature by a text, where that is what its records are."""
    if live is None or live.modality != "text":
        return None
    box = el("input", name="text", type="search", aria_label=f"Search {name}",
             placeholder="Find records by their meaning: type a text", required=True)  # fmt: skip
    return el("form", box, el("button", "Search"), action=f"/features/{name}/search",
              role="search", class_="quick")  # fmt: skip


def _found(report: Report) -> list[Html | None]:
    """What was found, in short: of the parts of findings those of which one has moved."""
    loud = {part.kind for _, part in report.parts(*_KINDS) if part.verdict in {"alarm", "watch"}}
    shown = {"monitors", "runs", *(_KINDS[kind] for kind in loud)}
    found = {
        key: frame.section(key, title, inside)
        for key, title, inside in sections(report)
        if key in shown
    }
    runs = found.pop("runs", None)
    return [*found.values(), _behind(report), runs]


def _behind(report: Report) -> Html | None:
    """The records that findings name, each leading to what made its vectors."""
    named: dict[str, dict[str, None]] = {}
    for watched in report.findings:
        for record_id in watched.record_ids if watched.verdict in {"alarm", "watch"} else ():
            named.setdefault(record_id, {})[watched.monitor] = None
    if not named:
        return None
    shown = list(named.items())[:_MOST_NAMED]
    links = [
        el("li", record_link(report.feature, record_id), el("small", ", ".join(monitors)))
        for record_id, monitors in shown
    ]
    more = len(named) - len(shown)
    left = el("p", f"And {more:,} more; the report has the clearest.") if more else None
    lead = frame.lead("Each leads to what is kept of it, and to what made its vector.")
    return frame.section("named", "Records that monitors name", lead,
                         el("ul", *links, class_="tags"), left)  # fmt: skip


def _versions(name: str, rows: list[dict[str, Any]]) -> Html:
    if not rows:
        return frame.nothing(
            "None has been made yet; ", el("code", f"vecmill run {name}"), " makes one."
        )

    def link(row: Mapping[str, Any]) -> Html:
        address = f"/features/{name}?version={row['version']}"
        print_ = el("small", el("code", row["fingerprint"][:12]))
        return put(el("a", f"v{row['version']}", href=address), print_)

    def encoder(row: Mapping[str, Any]) -> Html:
        about = el("small", row["about"]) if row["about"] else None
        return put(row["encoder"], about)

    def width(row: Mapping[str, Any]) -> Html:
        return put(str(row["dim"]), el("small", row["metric"]))

    made = {"version": link, "encoder": encoder, "dim": width}
    lead = frame.lead(
        "Each encoder makes a version of its own. Readers get the live one; a candidate waits to "
        "be compared and promoted; a retired one can be promoted again."
    )
    return put(lead, rows_table(rows, _VERSIONS, f"Versions of {name}", made))


def _log(rows: list[dict[str, Any]]) -> Html:
    for row in rows:
        row["forced"] = "yes" if row["forced"] else None
    return rows_table(rows, _STANDINGS, "Changes of standing, the newest first")
