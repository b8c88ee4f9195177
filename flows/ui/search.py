"""A feature's search: by a text, a picture, a recording, a row or a record; by words; narrowed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from flows.config.stores import Stores
from flows.lifecycle.chosen import kept_columns
from flows.output.console import cell as number
from flows.output.markup import Html, el, put
from flows.searching.asked import Asked, answer
from flows.searching.narrowing import Narrow
from flows.searching.queries import SearchError
from flows.searching.unfound import why
from flows.ui import frame, kept, media
from flows.ui.grids import is_picture, picture, record_link
from flows.ui.jobs import PATIENCE
from storage import plain
from storage.parts import PARTS
from storage.vectors import SYSTEM_COLUMNS, THUMBNAIL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    from starlette.requests import Request
    from starlette.responses import Response

    from flows.config.settings import Settings
    from flows.ui.jobs import Job
    from flows.ui.site import Site
    from storage.model import Version

FILES = ("image", "audio")
MOST = 200
"""Records that a search shows."""

ENCODING = "encoding"
"""The lane of what an encoder is loaded for: tokenizers take one caller at a time."""

_KINDS = {"tabular": "row", "vector": "text", "graph": "id"}
_HIDDEN = {*SYSTEM_COLUMNS, THUMBNAIL, PARTS.whole} - {"event_time"}
_ACCEPT = {"image": "image/*", "audio": "audio/*"}
_LABELS = {"image": "Picture", "audio": "Recording"}
FIELDS = ("text", "row", "id", "words", "in", "where", "k", "per_record")


def search(site: Site, request: Request) -> Response:
    """The form, and what it asks for once it asks for something."""
    name = site.feature(request.path_params["name"])
    given = {key: request.query_params.get(key, "") for key in FIELDS}
    job = site.jobs.find(request.query_params.get("job"))
    if job is not None:
        given |= job.asked
    elif any(given[key].strip() for key in ("text", "row", "id", "words")):
        job = begin(site, name, given)
    return _page(site, name, given, job)


def begin(
    site: Site, name: str, given: dict[str, str], file: tuple[str, bytes] | None = None
) -> Job:
    """Begin a search."""
    settings = site.settings
    live = Stores.of(settings).catalog.live(name)
    loaded = live is not None and live.table in site.encoded
    encodes = bool(file or given["text"].strip() or given["row"].strip())
    doing = f"Loading the encoder of {name}" if encodes and not loaded else f"Searching {name}"

    def work(_: Job) -> Html:
        with tempfile.TemporaryDirectory(prefix="vecmill-ui-") as folder:
            asked = _asked(given, file, Path(folder))
            found = answer(settings, name, asked)
        if live is not None and encodes:
            site.encoded.add(live.table)
        if not found.num_rows:
            words = why(settings, name, asked)
            return frame.nothing(f"{words[0].upper()}{words[1:]}.")
        return results(settings, name, live, found)

    job = site.jobs.start(given, doing, ENCODING, work)
    job.ended.wait(PATIENCE)
    return job


def check_file(site: Site, name: str, kind: str) -> None:
    """Refuse a file to search a feature by that it cannot be searched by.

    Raises:
        SearchError: says by what it can be.
    """
    if kind not in FILES:
        raise SearchError(f"a search by a file is by image or audio, got {kind!r}")
    live = Stores.of(site.settings).catalog.live(name)
    if live is None:
        raise SearchError(f"{name} has no live version to search; `vecmill run {name}` makes one")
    kinds = kinds_of(live)
    if kind not in kinds:
        own = " or ".join([*kinds, "id"])
        raise SearchError(f"{name} is searched by {own}, not by {kind}")


def results(settings: Settings, name: str, live: Version | None, found: pa.Table) -> Html:
    """What was found, which is something, best first.

    Args:
        settings: the configuration.
        name: the feature.
        live: the version that was searched.
        found: as of `flows.searching.asked.answer`.
    """
    rows = found.to_pylist()
    # What was measured stands before what the table has: a kept column may be called "score" too.
    measures = found.column_names[1 : found.column_names.index("content_hash")]
    cards = [
        _card(name, place, row, measures, media.shown(settings, live, row) if live else None)
        for place, row in enumerate(rows, 1)
    ]
    head = el(
        "h2",
        f"{len(rows):,} found, the nearest first"
        if "distance" in measures
        else f"{len(rows):,} found, the best first",
        id="found",
        tabindex="-1",
    )
    return put(head, el("ol", *cards, class_="found"))


def _asked(given: Mapping[str, str], file: tuple[str, bytes] | None, folder: Path) -> Asked:
    queries = {kind: given[kind] for kind in ("text", "row", "id") if given[kind].strip()}
    if file is not None:
        kind, data = file
        path = folder / _LABELS[kind].lower()
        path.write_bytes(data)
        queries[kind] = str(path)
    k = given["k"].strip() or "10"
    if not (k.isascii() and k.isdecimal() and 1 <= int(k) <= MOST):
        raise SearchError(f"the number to find is from 1 to {MOST}, got {k!r}")
    where = given["where"].strip() or None
    if where is not None:
        plain.check(where)
    return Asked(
        queries, int(k), given["words"].strip() or None, given["in"] or None,
        per_record=bool(given["per_record"]), narrow=Narrow(where),
    )  # fmt: skip


def _card(
    name: str, place: int, row: Mapping[str, Any], measures: Sequence[str], medium: Html | None
) -> Html:
    record_id = str(row["record_id"])
    thumb = row.get(THUMBNAIL)
    if is_picture(thumb):
        medium = picture(thumb, f"thumbnail of {record_id}")
    score = ", ".join(f"{key} {number(row[key])}" for key in measures if row[key] is not None)
    told = {key: one for key, one in row.items() if key not in {*_HIDDEN, *measures}}
    like = el("a", "like this", href=f"/features/{name}/search?id={quote(record_id, safe='')}",
              aria_label=f"Search by {record_id}")  # fmt: skip
    return el(
        "li",
        medium,
        el("h3", el("span", f"{place}. ", class_="place"), record_link(name, record_id)),
        el("p", score, " · " if score else None, like, class_="why"),
        kept.listed(told, record_id),
    )


def _page(site: Site, name: str, given: Mapping[str, str], job: Job | None) -> Response:
    settings = site.settings
    live = Stores.of(settings).catalog.live(name)
    title = put(frame.title(name, el("span", "search")), frame.feature_nav(name, "/search"))
    if live is None:
        run = el("code", f"vecmill run {name}")
        why = frame.nothing("There is no live version to search; ", run, " makes the first.")
        return frame.page(f"{name}: search", title, why)
    again = None
    if job is not None and not job.ended.is_set():
        again = f"/features/{name}/search?job={job.id}"
    return frame.page(
        f"{name}: search", title, _form(settings, live, given), _upload(live),
        el("div", frame.slot(job) if job else None, id="answer"), again=again,
    )  # fmt: skip


def kinds_of(version: Version) -> list[str]:
    """What a query may be of a version, besides a record: its own kind first."""
    own = _KINDS.get(version.modality, version.modality)
    kinds = [own] if own != "id" else []
    if "space" in version.recipe:  # one of several modalities (docs/across.md)
        kinds += [kind for kind in ("text", *FILES) if kind != own]
    return kinds


def _form(settings: Settings, version: Version, given: Mapping[str, str]) -> Html:
    kinds, fields = kinds_of(version), []
    if "text" in kinds:
        box = el(
            "input", name="text", type="search", value=given["text"], autofocus=not given["text"]
        )
        fields.append(frame.field("Text", box, "the nearest in meaning to it"))
    if "row" in kinds:
        box = el("textarea", given["row"], name="row", rows="3", spellcheck="false")
        names = ", ".join(list(version.types)[:6])
        fields.append(frame.field("Row", box, f"a JSON object of column values: {names} …"))
    fields.append(frame.field("Record", el("input", name="id", value=given["id"]),
                              "the id of a record, to find those like it"))  # fmt: skip
    words = el("input", name="words", type="search", value=given["words"])
    fields.append(
        frame.field("Words", words, "to be found in a kept text, alone or beside the above")
    )
    texts = _texts(settings, version)
    if len(texts) > 1:
        options = [("", "all kept texts"), *((one, one) for one in texts)]
        fields.append(frame.field("Words in", frame.choice("in", options, given["in"])))
    where = el("input", name="where", value=given["where"], spellcheck="false", class_="code")
    fields.append(frame.field("Where", where, "a condition on kept columns, such as label = 'a'"))
    k = el("input", name="k", type="number", min=1, max=MOST, value=given["k"] or "10")
    fields.append(frame.field("How many", k))
    if version.chunked:
        box = el("input", name="per_record", type="checkbox", value="1",
                 checked=bool(given["per_record"]))  # fmt: skip
        fields.append(frame.field("Of each record its nearest chunk alone", box))
    if settings.features.get(version.feature) is None:
        return frame.wrong(
            f"{version.feature} is in no configuration any more, so nothing encodes a query"
        )
    return el("form", el("div", *fields, class_="fields"), el("button", "Search"),
              action=f"/features/{version.feature}/search", role="search")  # fmt: skip


def _texts(settings: Settings, version: Version) -> list[str]:
    """The kept columns that words can be looked for in."""
    import pyarrow.types as kinds

    stores = Stores.of(settings)
    manifest = stores.catalog.published(version)
    if manifest is None:
        return []
    schema = stores.vectors.dataset(version.table, manifest.lance_version).schema
    kept = kept_columns(stores, version, manifest)
    return [name for name in kept if kinds.is_string(schema.field(name).type)]


def _upload(version: Version) -> Html | None:
    """Forms to search by a file that the browser sends."""
    forms = []
    kinds = [kind for kind in kinds_of(version) if kind in FILES]
    for kind in kinds:
        box = el("input", name="file", type="file", accept=_ACCEPT[kind], required=True)
        forms.append(
            el("form", frame.field(_LABELS[kind], box, "of yours; it is kept nowhere"),
               el("button", f"Search by {_LABELS[kind].lower()}"), method="post",
               enctype="multipart/form-data",
               action=f"/features/{version.feature}/search/{kind}", class_="upload")
        )  # fmt: skip
    return put(*forms) if forms else None
