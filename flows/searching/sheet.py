"""What a search found as one page for people: a picture or the words of each record, and how far.

The page needs nothing but itself: no network, no script, no file beside it, so that it can be sent
to somebody or kept with a report. It is a copy, which `vecmill erase` knows nothing of.
"""

from __future__ import annotations

import html
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING

from encoders.media import decode_image
from encoders.thumbnail import TYPE, thumbnail
from flows.config.stores import Stores
from flows.output.console import cell
from flows.output.pages import write_page
from flows.output.visible import visible
from storage.vectors import SYSTEM_COLUMNS, THUMBNAIL

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from flows.config.settings import Settings

_QUERY_SIDE = 256
_LONGEST = 400
_HIDDEN = {*SYSTEM_COLUMNS, THUMBNAIL, "distance"} - {"event_time"}
_WORDS = {"text": "text", "row": "row", "id": "record", "image": "image", "audio": "recording"}

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>{query}<div><h1>{title}</h1><p>{words}</p></div></header>
<ol>
{cards}
</ol>
</body>
</html>
"""
_STYLE = """
:root { color-scheme: light dark; --edge: #8884; --dim: #777; }
body { font: 14px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
header { display: flex; gap: 1.5rem; align-items: center; margin-bottom: 1.5rem; }
h1 { font-size: 1.3rem; margin: 0; }
header p { margin: .3rem 0 0; color: var(--dim); overflow-wrap: anywhere; white-space: pre-wrap; }
header img { max-width: 12rem; max-height: 12rem; }
ol { list-style: none; padding: 0; margin: 0; display: grid; gap: 1rem;
     grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); }
li { border: 1px solid var(--edge); border-radius: 6px; padding: .7rem; overflow: hidden; }
li .picture { display: flex; height: 9rem; align-items: center; justify-content: center;
              margin-bottom: .5rem; }
li img { width: 100%; height: 100%; object-fit: contain; }
h2 { font-size: .95rem; margin: 0; overflow-wrap: anywhere; }
.distance { color: var(--dim); font-variant-numeric: tabular-nums; margin: 0; }
dl { margin: .4rem 0 0; font-size: .85rem; }
dt { color: var(--dim); }
dd { margin: 0 0 .3rem; overflow-wrap: anywhere; }
"""


def write_sheet(
    settings: Settings,
    feature: str,
    asked: tuple[str, str],
    found: pa.Table,
    target: Path,
    of: str | None = None,
) -> None:
    """Write the page of a search, whole or not at all.

    Args:
        settings: the configuration.
        feature: what was searched.
        asked: what the query was and the query itself, as `flows.searching.search.search` takes
            them.
        found: what that gave.
        target: the file to write.
        of: the feature that an id is a record of, where it is another one.

    Raises:
        UsageError: if the file cannot be written.
    """
    page = sheet(feature, *asked, found, _picture(settings, of or feature, *asked))
    write_page(target, page, "sheet")


def sheet(
    feature: str, modality: str, query: str, found: pa.Table, picture: bytes | None = None
) -> str:
    """The page of a search as HTML.

    Args:
        feature: what was searched.
        modality: what the query was.
        query: the query.
        found: the records, nearest first: record_id, distance, the kept columns, and a thumbnail
            where there is one.
        picture: of the query, as WebP.
    """
    asked = Path(query).name if modality in {"image", "audio"} else query
    title = f"{feature}: {len(found)} nearest"
    return _PAGE.format(
        title=_text(title),
        style=_STYLE,
        query=_image(picture, asked) if picture else "",
        words=_text(f"by {_WORDS[modality]}: {asked}"),
        cards="\n".join(map(_card, found.to_pylist())),
    )


def _picture(settings: Settings, feature: str, modality: str, query: str) -> bytes | None:
    """The picture of a query: of its file, or of the record that it names."""
    if modality == "image":
        image = decode_image(Path(query).read_bytes(), settings.feature(feature).limits)
        return thumbnail(image, _QUERY_SIDE)
    stores = Stores.of(settings)
    version = stores.catalog.live(feature)
    manifest = stores.catalog.published(version) if version else None
    if modality != "id" or version is None or manifest is None:
        return None
    return stores.vectors.thumbnail(version.table, manifest.lance_version, query)


def _card(row: Mapping[str, object]) -> str:
    record_id = str(row["record_id"])
    thumb = row.get(THUMBNAIL)
    picture = f'<div class="picture">{_image(thumb, record_id)}</div>' if _is_image(thumb) else ""
    kept = {name: cell(value) for name, value in row.items() if name not in _HIDDEN}
    told = "".join(
        f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in kept.items() if value
    )
    columns = f"<dl>{told}</dl>" if told else ""
    return (
        f"<li>{picture}<h2>{_text(record_id)}</h2>"
        f'<p class="distance">distance {cell(row["distance"])}</p>{columns}</li>'
    )


def _is_image(value: object) -> bool:
    return isinstance(value, bytes) and value[:4] == b"RIFF" and value[8:12] == b"WEBP"


def _image(data: object, words: str) -> str:
    assert isinstance(data, bytes)  # noqa: S101 - told by who calls
    return f'<img src="data:{TYPE};base64,{b64encode(data).decode()}" alt="{_text(words)}">'


def _text(value: str) -> str:
    short = value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
    return html.escape(visible(short))
