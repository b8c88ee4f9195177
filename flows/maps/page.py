"""A map as one page to look around in: it needs nothing but itself, no network and no file.

What records say is data in the page, and is shown as text alone. The page's own policy lets no
other script run than the two that are in it, and lets it load nothing. It is a copy, which
`vecmill erase` knows nothing of.
"""

from __future__ import annotations

import html
import json
from base64 import b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders.thumbnail import TYPE
from flows.maps.colours import FAINT, Numbers
from flows.maps.picture import headings, shades
from flows.output.console import cell
from flows.output.visible import on_one_line, visible
from storage.parts import PARTS
from storage.vectors import SYSTEM_COLUMNS, THUMBNAIL, has_thumbnails

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from flows.maps.colours import Colours
    from flows.maps.drawing import Map
    from flows.maps.sounds import Sounds

_HIDDEN = {*SYSTEM_COLUMNS, PARTS.whole, THUMBNAIL} - {"event_time"}
_MOST_COLUMNS = 12
_LONGEST, _SHORTEST = 300, 40
_TEXTS, _THUMBNAILS = 24_000_000, 16_000_000
"""Characters of texts, and bytes of thumbnails, that a page holds at most."""

_MOST_LINES = 5_000
_HERE = Path(__file__).parent

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src {scripts}
 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; media-src data: file:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header><h1>{title}</h1><p>{below}</p></header>
<main id="plot"></main>
<aside>
<input id="search" type="search" placeholder="Search ids and texts" aria-label="Search"
 autocomplete="off">
<div id="legend"></div>
<div id="chosen" hidden><h2 id="count"></h2>
<textarea id="list" readonly aria-label="Ids"></textarea>
<div class="tools"><button id="copy">Copy</button><button id="download">Download</button>
<button id="clear">Clear</button></div></div>
<div id="details"></div>
</aside>
<footer>{footer}</footer>
<div id="tip" hidden></div>
<script type="application/json" id="data">{data}</script>
<script>{plotly}</script>
<script>{script}</script>
</body>
</html>
"""
_HELP = (
    "Scroll to zoom, drag to move; hover or click for a record; choose the lasso above the map to "
    "list the ids within it."
)


@dataclass
class _Left:
    """What a page leaves out, in sentences."""

    told: list[str] = field(default_factory=list)


def page(found: Map, colours: Colours, sounds: Sounds | None = None) -> str:
    """A map as HTML.

    Args:
        found: the map.
        colours: of its points.
        sounds: recordings to play; None where there are none.
    """
    from plotly.offline import get_plotlyjs

    left = _Left()
    given = _data(found, colours, sounds, left)
    plotly = get_plotlyjs()
    script = (_HERE / "page.js").read_text("utf-8")
    heading, below = headings(found, colours.column)
    return _PAGE.format(
        scripts=" ".join(map(_hash, (plotly, script))),
        title=html.escape(f"{heading}: map"),
        below=html.escape(below),
        style=(_HERE / "page.css").read_text("utf-8"),
        footer=html.escape(" ".join([_HELP, *left.told])),
        data=_json(given),
        plotly=plotly,
        script=script,
    )


def _data(found: Map, colours: Colours, sounds: Sounds | None, left: _Left) -> dict[str, Any]:
    version = found.version
    names, values = _texts(found.rows, left)
    given: dict[str, Any] = {
        "name": f"{version.table}-{found.method}",
        "ids": found.rows["record_id"].to_pylist(),
        "x": _packed(found.places[:, 0]),
        "y": _packed(found.places[:, 1]),
        "columns": names,
        "values": values,
        "column": None if colours.column is None else on_one_line(colours.column),
        "faint": FAINT,
        "most_lines": _MOST_LINES,
        "thumb_type": TYPE,
        "thumbs": _thumbnails(found.rows, left),
    }
    if isinstance(colours, Numbers):
        given |= {"numbers": _packed(colours.values), "low": colours.low, "high": colours.high}
        given |= {"ticks": colours.ticks, "shades": shades()}
    else:
        given["codes"] = b64encode(colours.codes.astype(np.uint8).tobytes()).decode()
        given["categories"] = [
            {"name": c.name, "colour": c.colour, "count": c.count, "behind": c.behind}
            for c in colours.categories
        ]
    if sounds is not None:
        given |= {"sounds": sounds.sources, "sound": sounds.of}
        left.told += sounds.told
    return given


def _texts(rows: pa.Table, left: _Left) -> tuple[list[str], list[list[str | None]]]:
    """The kept columns, and their values as texts; column by column."""
    every = [name for name in rows.column_names if name not in _HIDDEN]
    names = every[:_MOST_COLUMNS]
    if len(every) > len(names):
        left.told.append(f"Columns left out: {', '.join(map(on_one_line, every[len(names) :]))}.")
    # As much of each as all of them have room for.
    room = _TEXTS // max(1, len(rows) * len(names))
    longest = max(_SHORTEST, min(_LONGEST, room))
    columns = [[_text(v, longest) for v in rows[name].to_pylist()] for name in names]
    if any(text is not None and len(text) > longest for column in columns for text in column):
        left.told.append(f"Texts are cut at {longest} characters.")
    return [on_one_line(name) for name in names], columns


def _text(value: object, longest: int) -> str | None:
    if value is None:
        return None
    text = visible(cell(value))
    return text if len(text) <= longest else f"{text[:longest]}…"


def _thumbnails(rows: pa.Table, left: _Left) -> list[str | None] | None:
    """Thumbnails in base64; an even part of them where they are too many."""
    if not has_thumbnails(rows.schema):
        return None
    column = rows[THUMBNAIL].to_pylist()
    there = [i for i, data in enumerate(column) if _is_webp(data)]
    total = sum(len(column[i]) for i in there)
    if total > _THUMBNAILS:
        count = int(len(there) * _THUMBNAILS / total)
        chosen = [there[k] for k in np.linspace(0, len(there) - 1, count).astype(int)]
        left.told.append(f"Thumbnails of {count:,} of {len(there):,} records are in the page.")
        there = chosen
    inside = set(there)
    return [b64encode(d).decode() if i in inside else None for i, d in enumerate(column)]


def _is_webp(data: object) -> bool:
    return isinstance(data, bytes) and data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def _packed(values: NDArray[Any]) -> str:
    return b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def _json(given: dict[str, Any]) -> str:
    """JSON in which nothing can end the element that it stands in."""
    text = json.dumps(given, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hash(script: str) -> str:
    """The script as the page's policy names it."""
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"
