"""The addresses of the site, and what answers each."""

from __future__ import annotations

import functools
import threading
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from flows import reports
from flows.config.settings import SettingsError
from flows.output.codes import code_of
from flows.output.markup import el
from flows.session import Session
from flows.ui import (
    feature,
    frame,
    grids,
    lists,
    maps,
    media,
    overview,
    plans,
    records,
    search,
    sql,
)
from flows.ui.guard import Guard, Hosts
from flows.ui.jobs import words_of
from flows.ui.site import Current, Site
from storage import guarded
from storage.query import QueryError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from starlette.requests import Request

    from flows.config.settings import Settings

    Endpoint = Callable[[Site, Request], Response]

_HERE = Path(__file__).parent
_STATIC = {
    "ui.css": (_HERE / "ui.css", "text/css"),
    "ui.js": (_HERE / "ui.js", "text/javascript"),
    "icon.svg": (_HERE / "icon.svg", "image/svg+xml"),
    # The looks of the reports, and what their charts need.
    "page.css": (Path(reports.__file__).parent / "page.css", "text/css"),
    "page.js": (Path(reports.__file__).parent / "page.js", "text/javascript"),
}
_LARGEST = 64_000_000
"""Bytes of a picture or recording that is searched by."""

_STATEMENT = 1_000_000
"""Bytes of a form with a statement."""

_GRACE = 2.0
"""Seconds that jobs have to end when the server does."""

_NOT_FOUND, _WRONG, _BROKEN = 404, 400, 500


def make(settings: Settings, hosts: Hosts | None = None) -> Starlette:
    """The site over a store.

    Args:
        settings: the configuration; its files are read again where they change.
        hosts: what a request may name as its host; this machine alone where none is given.
    """
    site = Site(Current(settings))
    pages: dict[str, Endpoint] = {
        "/": overview.overview,
        "/runs": lists.runs,
        "/dead": lists.dead,
        "/alerts": lists.alerts,
        "/sql": sql.sql,
        "/features/{name}": feature.feature,
        "/features/{name}/search": search.search,
        "/features/{name}/record": records.record,
        "/features/{name}/file": media.file,
        "/features/{name}/map": maps.drawn,
        "/features/{name}/map/page": maps.alone,
        "/features/{name}/report": feature.report_frame,
        "/features/{name}/report/page": feature.report,
        "/features/{name}/plan": plans.plan,
        "/jobs/{job}": _job,
        "/jobs/{job}/rows.csv": _rows,
        "/static/{file}": _static,
    }
    routes = [Route(path, _answering(site, endpoint)) for path, endpoint in pages.items()]
    forms = {
        "/sql": _ask,
        "/features/{name}/plan": _plan,
        "/features/{name}/search/{kind}": _search_by_file,
    }
    for path, form in forms.items():
        routes.append(Route(path, _taking(site, form), methods=["POST"]))
    made = Starlette(
        routes=routes,
        middleware=[Middleware(Guard, hosts=hosts or Hosts())],
        exception_handlers={_NOT_FOUND: _nowhere, HTTPException: _refused},
        lifespan=functools.partial(_warm, site),
    )
    made.state.site = site
    return made


@asynccontextmanager
async def _warm(site: Site, _: Starlette) -> AsyncIterator[None]:
    """Load what the first page needs, and meanwhile what reads tables, which takes longer."""
    # Before anybody holds the catalog: who has a turn at it should not spend it on imports.
    await run_in_threadpool(guarded.load)

    def load() -> None:
        with suppress(Exception), Session(site.settings):  # pages tell what is wrong with a store
            pass

    threading.Thread(target=load, daemon=True).start()
    try:
        yield
    finally:
        await run_in_threadpool(site.processes.close)
        await run_in_threadpool(site.jobs.wait, _GRACE)


def _answering(site: Site, endpoint: Endpoint) -> Callable[[Request], Response]:
    """An endpoint for Starlette, which runs it in a thread; errors become pages."""

    def answer(request: Request) -> Response:
        try:
            return endpoint(site, request)
        except Exception as error:  # noqa: BLE001 - whatever is wrong becomes a page
            return _failed(error)

    return answer


def _failed(error: Exception) -> Response:
    known = code_of(error) is not None
    status = _NOT_FOUND if isinstance(error, SettingsError) else _WRONG if known else _BROKEN
    words = words_of(error)
    return frame.page("Not to be had", frame.title("This cannot be shown"), frame.wrong(words),
                      status=status)  # fmt: skip


async def _nowhere(_: Request, __: Exception) -> Response:
    there = frame.nothing("There is no such page. ")
    return frame.page("No such page", frame.title("No such page"), there, status=_NOT_FOUND)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these alone
    heading, words = frame.title("This cannot be shown"), frame.wrong(error.detail)
    return frame.page("Not to be had", heading, words, status=error.status_code)


def _static(_: Site, request: Request) -> Response:
    found = _STATIC.get(request.path_params["file"])
    if found is None:
        return Response("no such file\n", _NOT_FOUND)
    return FileResponse(found[0], media_type=found[1], headers={"cache-control": "no-cache"})


def _job(site: Site, request: Request) -> Response:
    """How far a job is, or its answer: a part of a page, which `ui.js` puts in its place."""
    job = site.jobs.find(request.path_params["job"])
    if job is None:
        why = frame.wrong("this answer is kept no more; ask again")
        return frame.fragment(el("div", why, class_="slot"), _NOT_FOUND)
    return frame.fragment(frame.slot(job))


def _rows(site: Site, request: Request) -> Response:
    job = site.jobs.find(request.path_params["job"])
    if job is None or job.rows is None:
        return Response("these rows are kept no more; ask again\n", _NOT_FOUND)
    lines: Iterator[str] = grids.as_csv(job.rows)
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8")


# --- what forms send ------------------------------------------------------------------------------


def _taking(
    site: Site, form: Callable[[Site, Request], Awaitable[str]]
) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that begins a job and leads to the page that shows it."""

    async def answer(request: Request) -> Response:
        try:
            return RedirectResponse(await form(site, request), 303)
        except Exception as error:  # noqa: BLE001 - as above
            return _failed(error)

    return answer


async def _ask(site: Site, request: Request) -> str:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _STATEMENT:
            raise QueryError(f"a statement has {_STATEMENT // 1000} kB at most")
    form = parse_qs(body.decode("utf-8", "replace"))
    statement = form.get("statement", [""])[0].strip()
    if not statement:
        raise QueryError("write a statement, such as FROM runs; this form came without one")
    job = await run_in_threadpool(sql.begin, site, statement)
    return f"/sql?job={job.id}"


async def _plan(site: Site, request: Request) -> str:
    name = await run_in_threadpool(site.feature, request.path_params["name"])
    job = await run_in_threadpool(plans.begin, site, name)
    return f"/features/{name}/plan?job={job.id}"


async def _search_by_file(site: Site, request: Request) -> str:
    name = await run_in_threadpool(site.feature, request.path_params["name"])
    kind = request.path_params["kind"]
    await run_in_threadpool(search.check_file, site, name, kind)
    data = await _file(request)
    given: dict[str, str] = dict.fromkeys(search.FIELDS, "")
    job = await run_in_threadpool(search.begin, site, name, given, (kind, data))
    return f"/features/{name}/search?job={job.id}"


async def _file(request: Request) -> bytes:
    """The one file of a form.

    Raises:
        SearchError: if there is none, or the form is no such form.
    """
    from flows.searching.queries import SearchError

    length = request.headers.get("content-length", "")
    if not (length.isascii() and length.isdecimal()):
        raise SearchError("a form with a file says how long it is; send it as a browser does")
    if int(length) > _LARGEST:
        raise SearchError(f"a file to search by has {_LARGEST // 10**6} MB at most")
    try:
        async with request.form(max_files=1, max_fields=4) as form:
            file = form.get("file")
            data = b"" if file is None or isinstance(file, str) else await file.read()
    except HTTPException as error:
        raise SearchError(
            f"a search by a file takes a form with one file, called 'file': {error.detail}"
        ) from error
    if not data:
        raise SearchError("choose a file to search by; this form came without one, or an empty one")
    return data
