"""The records behind findings, as people see them: their texts, thumbnails and recordings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.maps.sounds import sounds
from flows.output.console import cell
from flows.output.visible import visible
from flows.reports.model import Card, severity
from storage import current_rows, query
from storage.model import StorageError
from storage.parts import PARTS
from storage.vectors import SYSTEM_COLUMNS, THUMBNAIL, has_thumbnails

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pyarrow as pa

    from flows.config.settings import Settings
    from flows.config.stores import Stores
    from flows.reports.model import Watched
    from storage.model import Version

MOST = 36
"""Records that a report shows."""

ROOM = 5_000_000
"""Bytes that their thumbnails and recordings take in the page at most, as they are."""

_EACH, _OF_A_PART = 12, 3
"""Records that one finding, and one part of it, may show."""

_LONGEST, _COLUMNS = 320, 6
_HIDDEN = {*SYSTEM_COLUMNS, PARTS.whole, THUMBNAIL} - {"event_time"}


def gallery(
    settings: Settings,
    stores: Stores,
    version: Version,
    findings: Sequence[Watched],
    left: list[str],
) -> tuple[Card, ...]:
    """The records that findings name, those of alarms first.

    A record that is gone since, or that no reader sees yet, is shown by its id alone.

    Args:
        settings: the configuration.
        stores: its stores.
        version: the version.
        findings: what its monitors said, the most serious first.
        left: told of what is not shown.
    """
    named = _named(findings)
    chosen = list(named)[:MOST]
    if len(named) > len(chosen):
        left.append(f"{len(chosen)} of {len(named)} records behind findings are shown.")
    if not chosen:
        return ()
    try:
        rows = _rows(stores, version, chosen)
    except StorageError as error:
        left.append(f"The records behind findings cannot be read: {error}.")
        return tuple(Card(i, tuple(named[i]), here=False) for i in chosen)
    return tuple(_cards(settings, version, rows, {i: named[i] for i in chosen}, left))


def _named(findings: Sequence[Watched]) -> dict[str, list[str]]:
    """The ids that findings name, each with what names it, as many of each finding as fit."""
    found: dict[str, list[str]] = {}
    for watched in findings:
        for i in watched.record_ids[:_EACH]:
            _add(found, i, f"{watched.monitor}: {watched.verdict}")
        for part in sorted(watched.parts, key=lambda part: severity(part.verdict)):
            for i in part.record_ids[:_OF_A_PART]:
                _add(found, i, f"{watched.monitor}: {part.name}")
    return found


def _add(found: dict[str, list[str]], record_id: str, why: str) -> None:
    known = found.setdefault(record_id, [])
    if why not in known:
        known.append(why)


def _rows(stores: Stores, version: Version, ids: Sequence[str]) -> pa.Table | None:
    """The rows of some records without their vectors; None where nothing is published."""
    if version.dropped_at is not None or stores.catalog.published(version) is None:
        return None
    with query.connect(stores.catalog, stores.vectors) as con:
        return current_rows.some(con, version, ids).drop_columns("vector")


def _cards(
    settings: Settings,
    version: Version,
    rows: pa.Table | None,
    named: Mapping[str, Sequence[str]],
    left: list[str],
) -> Iterator[Card]:
    known: dict[str, dict[str, Any]] = {}
    heard: dict[str, str] = {}
    shows, columns = False, list[str]()
    if rows is not None:
        known = {row["record_id"]: row for row in rows.to_pylist()}
        heard = _heard(settings, version, rows, left)
        shows = has_thumbnails(rows.schema)
        columns = [name for name in rows.column_names if name not in _HIDDEN][:_COLUMNS]
    room, dropped = ROOM, 0
    for record_id, because in named.items():
        row = known.get(record_id)
        if row is None:
            yield Card(record_id, tuple(because), here=False)
            continue
        picture, sound = _picture(row) if shows else None, heard.get(record_id)
        size = len(picture or b"") + _inside(sound)
        if size > room:
            dropped += 1
            picture, sound, size = None, None, 0
        room -= size
        told = {name: _text(row[name]) for name in columns if row[name] is not None}
        yield Card(record_id, tuple(because), told, picture, sound)
    if dropped:
        left.append(
            f"Thumbnails or recordings of {dropped} records are left out: there is no more room."
        )


def _inside(sound: str | None) -> int:
    """The bytes that a recording takes in the page; one that is played from its file takes none."""
    return len(sound) if sound is not None and sound.startswith("data:") else 0


def _heard(settings: Settings, version: Version, rows: pa.Table, left: list[str]) -> dict[str, str]:
    """Where the recordings of records are played from."""
    found = sounds(settings, version, rows)
    if found is None:
        return {}
    left += found.told
    pairs = zip(rows["record_id"].to_pylist(), found.of, strict=True)
    return {i: found.sources[at[0]] + at[1] for i, at in pairs if at is not None}


def _picture(row: Mapping[str, Any]) -> bytes | None:
    data = row[THUMBNAIL]
    is_webp = isinstance(data, bytes) and data[:4] == b"RIFF" and data[8:12] == b"WEBP"
    return data if is_webp else None


def _text(value: object) -> str:
    text = visible(cell(value))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
