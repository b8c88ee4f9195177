"""What made the vectors of one record: its lineage, as `vecmill lineage` traces it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from flows.config.stores import Stores
from flows.lifecycle.lineage import lineage
from flows.output.markup import Html, el, put
from flows.reports.grid import Cell, Column, cell, heading, table
from flows.ui import frame, kept, media
from flows.ui.grids import is_picture, moment, picture, rows_table
from storage.kept_row import kept_row
from storage.parts import PARTS
from storage.vectors import SYSTEM_COLUMNS, THUMBNAIL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from flows.lifecycle.lineage import Content, Lineage, Trace
    from flows.ui.site import Site

_COLUMNS = (
    Column("Content hash"), Column("Event time"), Column("Encoded"), Column("By the run"),
    Column("Published states with it", is_number=True),
)  # fmt: skip
_DEAD = {
    "place": Column("Place"), "reason": Column("Why"), "stage": Column("Stage"),
    "version": Column("Version", is_number=True), "since": Column("Since"),
}  # fmt: skip


def record(site: Site, request: Request) -> Response:
    """The form, and the record that it names."""
    name = site.feature(request.path_params["name"])
    record_id = request.query_params.get("id", "")
    box = el("input", name="id", value=record_id, autofocus=not record_id, required=True)
    field = el(
        "div",
        frame.field("Record", box, "the id of a record, or of a chunk of one"),
        class_="fields",
    )
    form = el("form", field, el("button", "Show"), action=f"/features/{name}/record")
    inside: Html | None = None
    if record_id:
        found = lineage(site.settings, name, record_id)
        inside = _told(found, _shown(site, name, record_id))
    return frame.page(
        f"{name}: record", frame.title(name, el("span", "record")),
        frame.feature_nav(name, "/record"), form, inside,
    )  # fmt: skip


def _shown(site: Site, name: str, record_id: str) -> list[Html | None]:
    """The record itself, as far as it is kept or its file can be had."""
    stores = Stores.of(site.settings)
    live = stores.catalog.live(name)
    manifest = stores.catalog.published(live) if live else None
    if live is None or manifest is None:
        return []
    row = kept_row(stores.vectors, live.table, manifest.lance_version, record_id)
    if row is None:
        return []
    medium = media.shown(site.settings, live, row)
    thumb = row.get(THUMBNAIL)
    if is_picture(thumb):
        small = picture(thumb, f"thumbnail of {record_id}")
        whole = media.address(name, str(row["record_id"]))
        medium = el("a", small, href=whole, class_="whole") if medium else small
    hidden = {*SYSTEM_COLUMNS, THUMBNAIL, PARTS.whole} - {"event_time"}
    told = {key: one for key, one in row.items() if key not in hidden}
    return [medium, kept.listed(told, record_id, whole=True)]


def _told(found: Lineage, shown: Sequence[Html | None] = ()) -> Html:
    kind = f" (kind {found.source_kind})" if found.source_kind else ""
    like = el(
        "a",
        "Find records like it",
        href=f"/features/{found.feature}/search?id={quote(found.record_id, safe='')}",
    )
    head = el("h2", found.record_id, class_="id")
    lead = frame.lead(
        f"A record of the source {found.source!r}{kind}. ", like if found.traces else None
    )
    dead = None
    if found.dead:
        dead = put(el("h3", "Dead letters"), rows_table(found.dead, _DEAD, "Its dead letters"))
    if not found.traces:
        return put(
            head, lead, *shown, frame.nothing("It has no vector: it has never been encoded."), dead
        )
    return put(head, lead, *shown, *map(_trace, found.traces), dead)


def _trace(trace: Trace) -> Html:
    facts = {
        "Status": trace.standing if trace.standing == trace.then
        else f"{trace.standing}; {trace.then} when this was written",
        "Encoder": f"{trace.encoder} {trace.model or ''}".strip(),
        "Vectors": f"{trace.dim} dimensions, {trace.metric}",
        "Differs from the live one by": trace.differs,
        "Made by": f"Vecmill {trace.code_version}" if trace.code_version else "",
    }  # fmt: skip
    pairs = [el("div", el("dt", key), el("dd", text)) for key, text in facts.items() if text]
    pairs.append(el("div", el("dt", "Fingerprint"), el("dd", el("code", trace.fingerprint[:12]))))
    contents = [*(trace.chunks or (trace.content,)), *trace.before]
    rows = [_content(one, trace.unit) for one in contents]
    made = [put(el("h4", "Made of"), _told(part)) for part in trace.parts]
    head = el("h3", f"What made its vector in {trace.table}")
    return el("section", head, el("dl", *pairs, class_="facts"),
              table(_COLUMNS, rows, f"Contents of it in {trace.table}"), *made)  # fmt: skip


def _content(one: Content, unit: str) -> list[Cell]:
    span = None
    if one.span is not None:
        span = el("small", f"chunk {one.row_id}, {unit} {one.span[0]} to {one.span[1]}")
    run = one.run
    wrote = f"{run['kind']}, {run['status']}" if run else "the catalog does not know it"
    return [
        heading(el("code", one.content_hash[:16]), span),
        cell(moment(one.event_time) if one.event_time else None),
        cell(moment(one.encoded_at) if one.encoded_at else None),
        cell(el("code", one.run_id), el("small", wrote)),
        cell(f"{len(one.held_by):,}"),
    ]
