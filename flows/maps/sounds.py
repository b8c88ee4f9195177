"""The recordings behind the points of a map: small ones as they are, large ones by their place."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from storage.parts import TIMES

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa

    from flows.config.settings import Settings
    from storage.model import Version

TYPES = {
    ".wav": "audio/wav", ".flac": "audio/flac", ".mp3": "audio/mpeg", ".ogg": "audio/ogg",
    ".opus": "audio/ogg", ".m4a": "audio/mp4",
}  # fmt: skip
"""What browsers play, by the ending of a file."""

_PATH = "path"
_ONE, _ALL = 262_144, 24_000_000
"""Bytes that one recording, and all together, may take in a page."""


@dataclass
class Sounds:
    """Recordings of records.

    Attributes:
        sources: addresses, ``data:`` or ``file:``.
        of: for each record its place in ``sources`` and what is added to that for a part of it;
            None where it has no recording.
        told: what is not in the page, in sentences.
    """

    sources: list[str] = field(default_factory=list)
    of: list[tuple[int, str] | None] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


def sounds(settings: Settings, version: Version, rows: pa.Table) -> Sounds | None:
    """The recordings of the rows of a map; None where there are none.

    Only a feature over files has any: its column ``path`` is what its source found in the folders
    that the configuration names. A column of that name of another source is what a record says.
    """
    feature = settings.features.get(version.feature)
    if version.modality != "audio" or feature is None or feature.source.kind != "files":
        return None
    found, known, room, linked = Sounds(), dict[str, int](), _ALL, 0
    starts, ends = (
        rows[name].to_pylist() if name in rows.column_names else [None] * len(rows)
        for name in (TIMES.start, TIMES.end)
    )
    for path, start, end in zip(rows[_PATH].to_pylist(), starts, ends, strict=True):
        if path not in known:
            address, size = _address(settings.root / path, room) if path else (None, 0)
            if address is None:
                found.of.append(None)
                continue
            room -= size
            linked += not size
            known[path] = len(found.sources)
            found.sources.append(address)
        part = "" if start is None or end is None else f"#t={start / 1000:g},{end / 1000:g}"
        found.of.append((known[path], part))
    if linked:
        found.told.append(
            f"{linked:,} of {len(found.sources):,} recordings are not in the page: they are played "
            "from their files, where it is opened on the machine that has these."
        )
    return found if found.sources else None


def _address(file: Path, room: int) -> tuple[str | None, int]:
    """Where a recording is played from, and the bytes that it takes in the page."""
    kind = TYPES.get(file.suffix.lower())
    if kind is None or not file.is_file():
        return None, 0
    if file.stat().st_size > min(_ONE, room):
        return file.resolve().as_uri(), 0
    data = file.read_bytes()
    return f"data:{kind};base64,{b64encode(data).decode()}", len(data)
