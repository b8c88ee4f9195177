"""The SQL box: what reads the store's views and catalog, and nothing else of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flows.config.stores import Stores
from flows.output.markup import Html, el, put
from flows.searching import knn
from flows.searching.queries import SearchError
from flows.session import Session
from flows.ui import frame
from flows.ui.grids import columns_of, rows_table
from flows.ui.jobs import PATIENCE
from flows.ui.processes import Asked
from flows.ui.search import ENCODING
from storage import guarded, plain, views
from storage.schema import TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager

    import pyarrow as pa
    from starlette.requests import Request
    from starlette.responses import Response

    from flows.config.settings import Settings
    from flows.ui.jobs import Job
    from flows.ui.site import Site

LIMITS = guarded.Limits()
SHOWN = 500
"""Rows that a page shows; the file that can be downloaded has all that were fetched."""

_FILES = ("image", "audio")


def sql(site: Site, request: Request) -> Response:
    """The box, the tables there are, and the rows of what was asked last."""
    site.processes.warm()
    job = site.jobs.find(request.query_params.get("job"))
    statement = job.asked["statement"] if job else request.query_params.get("statement", "")
    going = job is not None and not job.ended.is_set()
    box = el("textarea", statement, name="statement", rows="5", spellcheck="false", required=True,
             aria_label="Statement", placeholder="SELECT * FROM runs ORDER BY started_at DESC",
             data_send="true")  # fmt: skip
    limits = (
        f"It reads: SELECT, FROM, DESCRIBE, SUMMARIZE and the like, for {LIMITS.seconds:g} s and "
        f"{LIMITS.rows:,} rows at most. Files and the network are out of its reach. "
        "Ctrl+Enter sends it."
    )
    form = el("form", box, el("button", "Ask"), el("small", limits), action="/sql", method="post",
              class_="sql")  # fmt: skip
    return frame.page(
        "SQL", frame.title("SQL"), form,
        el("div", frame.slot(job) if job else None, id="answer"),
        frame.section("tables", "Tables", _tables(site.settings)),
        here="/sql", again=f"/sql?job={job.id}" if job and going else None,
    )  # fmt: skip


def begin(site: Site, statement: str) -> Job:
    """Begin to answer a statement."""
    settings = site.settings

    def work(job: Job) -> Html:
        found = site.processes.answer(_asked(settings, statement, site.jobs.turn(ENCODING), job))
        job.rows = found.table
        return _told(job.id, found)

    job = site.jobs.start({"statement": statement}, "Asking", "sql", work)
    job.ended.wait(PATIENCE)
    return job


def _asked(
    settings: Settings, statement: str, encoding: AbstractContextManager[Any], job: Job
) -> Asked:
    """A statement over what is published now, for a process that has nothing else of the server.

    Args:
        settings: the configuration.
        statement: what is asked.
        encoding: held while an encoder works for ``knn(...)``.
        job: told where the catalog has to be waited for.
    """
    stores = Stores.of(settings)

    def call(told: Mapping[str, Any]) -> pa.Table:
        seen = knn.Seen([views.Shown(**view) for view in told["shown"]], told["missing"])
        _check_call(stores, seen, told["given"])
        with encoding:
            return knn.found(settings, stores, seen, told["given"])

    what = {
        "statement": statement,
        "catalog": str(settings.catalog),
        "wait_seconds": settings.engine.wait_seconds,
        "vectors": str(settings.vectors),
        "functions": [
            {"name": knn.NAME, "required": knn.REQUIRED, "optional": knn.OPTIONAL},
        ],
    }
    return Asked(what, LIMITS, call, job.note)


def _check_call(stores: Stores, seen: knn.Seen, given: Mapping[str, Any]) -> None:
    """Refuse a call of ``knn(...)`` that is not for the server to carry out.

    Raises:
        SearchError: if it opens a file, by which strangers could learn what lies where; or if it
            finds more than is shown.
        UsageError: if its condition is not plain.
    """
    kinds = {name: _modality(stores, view) for view in seen.shown for name in view.names}
    path = isinstance(given["query"], str) and kinds.get(str(given["feature"])) in _FILES
    if path or any(given[kind] is not None for kind in _FILES):
        raise SearchError(
            "knn() opens no file here; search by a picture or a recording on the feature's own "
            "page, or by `vecmill sql`"
        )
    if isinstance(given["k"], int) and given["k"] > LIMITS.rows:
        raise SearchError(f"knn() finds {LIMITS.rows:,} here at most, got k = {given['k']:,}")
    if isinstance(given["filter"], str):
        plain.check(given["filter"])


def _modality(stores: Stores, view: views.Shown) -> str:
    versions = stores.catalog.versions(view.feature)
    return next(one.modality for one in versions if one.version == view.version)


def _told(job_id: str, found: guarded.Rows) -> Html:
    rows = found.table.slice(0, SHOWN).to_pylist()
    count = found.cut or f"{found.table.num_rows:,} row{'' if found.table.num_rows == 1 else 's'}"
    shown = f", of which {SHOWN:,} are shown" if found.table.num_rows > SHOWN else ""
    link = el("a", "Download as CSV", href=f"/jobs/{job_id}/rows.csv", download="rows.csv")
    head = el("h2", "Answer", id="found", tabindex="-1")
    lead = frame.lead(f"{count}{shown}. ", link)
    if not found.table.num_columns or not rows:
        return put(head, frame.lead(f"{count}."))
    return put(head, lead, el("div", rows_table(rows, columns_of(found.table.schema), "Answer"),
               class_="wide"))  # fmt: skip


def _tables(settings: Settings) -> Html:
    """What can be asked: each leads to its first rows, ready to be sent."""
    with Session(settings) as session:
        shown = session.sql(
            "SELECT name FROM (SHOW TABLES) WHERE NOT starts_with(name, 'vecmill_')"
        )
        gone = views.missing(session.connection)
    names = sorted(shown["name"].to_pylist())
    own = [name for name in names if name not in TABLES]
    lists = [("Features and versions", own), ("Catalog", [n for n in names if n in TABLES])]
    told = [
        put(el("h3", title), el("ul", *(_table(name) for name in some), class_="tags"))
        for title, some in lists
        if some
    ]
    away = [el("p", f"{name} cannot be had: {why}") for name, why in gone.items()]
    return put(*told, *away)


def _table(name: str) -> Html:
    statement = f"FROM {name} LIMIT 20"
    return el("li", el("a", name, href=f"/sql?statement={quote(statement)}",
                       data_statement=statement))  # fmt: skip
