"""The pictures and recordings of records, from the files of their source."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.responses import FileResponse, Response

from flows.config.stores import Stores
from flows.maps.sounds import TYPES as SOUNDS
from flows.output.markup import el
from flows.sources import files
from flows.sources._where import Local
from flows.ui.ranges import ranged
from storage.kept_row import kept_row
from storage.parts import TIMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from flows.config.settings import Settings
    from flows.output.markup import Html
    from flows.ui.site import Site
    from storage.model import Version

# No SVG: it may hold scripts.
_PICTURES = {
    ".avif": "image/avif", ".bmp": "image/bmp", ".gif": "image/gif", ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp",
}  # fmt: skip
_SHOWN = {"audio": SOUNDS, "image": _PICTURES}
_PATH = "path"


def file(site: Site, request: Request) -> Response:
    """The file of a record, if browsers can show it and the source would read it now.

    A path is opened only as one of those that the source of the configuration names: what a table
    has in a column of that name may have been written by anybody.
    """
    name = site.feature(request.path_params["name"])
    settings = site.settings
    stores = Stores.of(settings)
    live = stores.catalog.live(name)
    manifest = stores.catalog.published(live) if live else None
    if live is None or manifest is None:
        return _none()
    record_id = request.query_params.get("id", "")
    row = kept_row(stores.vectors, live.table, manifest.lance_version, record_id)
    kind = _kind(settings, live, row or {})
    if row is None or kind is None:
        return _none()
    params = settings.features[name].source.params
    assert isinstance(params, files.Params)  # noqa: S101 - `_kind` has looked
    found = files.file_of(params, settings.root, row[_PATH])
    if found is None:
        return _none()
    if isinstance(found, Local):
        return FileResponse(found.path, media_type=kind)
    return ranged(found, request.headers.get("range"), kind)


def shown(settings: Settings, version: Version, row: Mapping[str, Any]) -> Html | None:
    """A recording to play or a picture to see, of a row of a version; None where it has none.

    Args:
        settings: the configuration.
        version: the live one of its feature.
        row: its kept columns by name.
    """
    if _kind(settings, version, row) is None:
        return None
    record_id = str(row["record_id"])
    source = address(version.feature, record_id)
    if version.modality == "image":
        return el("img", src=source, alt=f"picture {record_id}", loading="lazy")
    start, end = row.get(TIMES.start), row.get(TIMES.end)
    part = "" if start is None or end is None else f"#t={start / 1000:g},{end / 1000:g}"
    return el("audio", src=f"{source}{part}", controls=True, preload="none",
              aria_label=f"recording {record_id}")  # fmt: skip


def address(name: str, record_id: str) -> str:
    """Where the file of a record is had."""
    return f"/features/{name}/file?id={quote(record_id, safe='')}"


def _kind(settings: Settings, version: Version, row: Mapping[str, Any]) -> str | None:
    """What a browser has to know of the file of a row; None where it is not for browsers."""
    feature = settings.features.get(version.feature)
    if feature is None or not isinstance(feature.source.params, files.Params):
        return None
    path = row.get(_PATH)
    ending = PurePosixPath(path).suffix.lower() if isinstance(path, str) else ""
    return _SHOWN.get(version.modality, {}).get(ending)


def _none() -> Response:
    return Response("there is no picture or recording of this record to be had\n", 404)
