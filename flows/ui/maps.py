"""The map that is kept of a feature, as a page: nothing is laid out anew, and nothing written."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

import numpy as np

from flows.config.stores import Stores
from flows.lifecycle.chosen import kept_columns, readable
from flows.maps.colours import colours
from flows.maps.drawing import SAMPLE, Map, kept_places
from flows.maps.files import check_column
from flows.maps.page import page as map_page
from flows.output.markup import el
from flows.ui import frame
from flows.ui.guard import FRAMED
from storage import current_rows, query

if TYPE_CHECKING:
    import pyarrow as pa
    from starlette.requests import Request
    from starlette.responses import Response

    from flows.config.settings import Settings
    from flows.maps.projection import Method
    from flows.ui.site import Site
    from storage.maps import KeptMap
    from storage.model import Version


def drawn(site: Site, request: Request) -> Response:
    """The map within a page of ours, with what it may be coloured by."""
    name = site.feature(request.path_params["name"])
    settings = site.settings
    stores = Stores.of(settings)
    version, manifest = readable(settings, stores, name)
    head = (frame.title(name, el("span", "map")), frame.feature_nav(name, "/map"))
    if kept_places(settings, version) is None:
        why = frame.nothing(
            "No map of it is kept; ", el("code", f"vecmill map {name}"), " draws one."
        )
        return frame.page(f"{name}: map", *head, why)
    kept = kept_columns(stores, version, manifest)
    column = request.query_params.get("color", kept[0] if kept else "")
    address = f"/features/{name}/map/page?color={quote(column)}"
    options = [("", "nothing"), *((one, one) for one in kept), ("event_time", "event_time")]
    form = el("form", frame.field("Coloured by", frame.choice("color", options, column)),
              el("button", "Draw"), action=f"/features/{name}/map", class_="inline")  # fmt: skip
    lead = frame.lead(
        "As it was last drawn: records that came since are not on it. ",
        el("a", "Open it by itself", href=address), ".",
    )  # fmt: skip
    inside = el("iframe", src=address, title=f"The map of {name}", class_="framed")
    return frame.page(f"{name}: map", *head, lead, form, inside)


def alone(site: Site, request: Request) -> Response:
    """The map's own page, with a policy of its own."""
    name = site.feature(request.path_params["name"])
    settings = site.settings
    stores = Stores.of(settings)
    version, _ = readable(settings, stores, name)
    kept = kept_places(settings, version)
    if kept is None:
        return frame.fragment(frame.nothing(f"No map of {name} is kept."), 404)
    found = as_kept(settings, version, *kept)
    column = request.query_params.get("color") or None
    if column is not None:
        check_column(found.rows.column_names, column)
    shades = colours(column, None if column is None else found.rows[column], len(found.places))
    answer = frame.fragment(map_page(found, shades))
    answer.headers["content-security-policy"] = FRAMED
    return answer


def as_kept(settings: Settings, version: Version, method: Method, kept: KeptMap) -> Map:
    """A map with those of its records that are as they were when they were put in their places."""
    stores = Stores.of(settings)
    with query.connect(stores.catalog, stores.vectors) as con:
        keys, read = current_rows.keys(con, version), partial(current_rows.some, con, version)
        pairs = zip(kept.ids, kept.hashes, strict=True)
        still = kept.where(np.array([keys.get(i) == h for i, h in pairs], bool))
        shown = still.where(np.arange(len(still)) < SAMPLE)
        rows = cast("pa.Table", read(sorted(shown.ids)))
    place = {record_id: at for at, record_id in enumerate(shown.ids)}
    at = [place[record_id] for record_id in rows["record_id"].to_pylist()]
    return Map(
        *(version, method, rows.drop_columns("vector"), shown.places[at], len(keys)),
        left_out=0,
        kept=len(at),
        added=int(shown.added[at].sum()),
        laid_out=str(shown.meta.get("laid_out", "")),
        trust=None,
        neighbours=0,
    )
