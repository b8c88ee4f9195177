"""Files put together by what they are: tables of the same columns, and media of one kind."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, cast

from flows.guessing import kinds
from flows.guessing.media import paths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.guessing.kinds import Sort
    from flows.guessing.walking import Entry
    from flows.sources.base import Modality

_SNIFFED = 20
"""Files of an unknown ending whose first bytes are looked at."""
_FEW, _RATHER = 2, 20
_TABLES = 50


@dataclass(frozen=True)
class Grouped:
    """The files of a folder.

    Attributes:
        passed: what is left out, and why.
    """

    tables: tuple[Entry, ...]
    media: dict[Modality, tuple[Entry, ...]]
    databases: tuple[Entry, ...]
    passed: tuple[str, ...]


def grouped(entries: Sequence[Entry], sort_of: Callable[[Entry], Sort | None]) -> Grouped:
    """Put files together by their sort; a text or two among many others is no source of its own.

    Args:
        entries: the files, in the order in which they are to come.
        sort_of: looks into a file whose ending says nothing.
    """
    sniffed: Counter[str] = Counter()
    found: dict[str, list[Entry]] = {}
    unread: Counter[str] = Counter()
    for entry in entries:
        end = kinds.suffix(entry.inner).lower()
        sort = kinds.by_name(entry.inner)
        if sort is None and end not in kinds.UNREAD and sniffed[end] < _SNIFFED:
            sniffed[end] += 1
            sort = sort_of(entry)
        if sort is None:
            unread[end] += 1
        else:
            found.setdefault(sort, []).append(entry)
    passed = [_left_out(end, count) for end, count in sorted(unread.items())]
    texts = found.get("text", [])
    others = sum(len(group) for sort, group in found.items() if sort != "text")
    tables = bool(found.get("table"))
    if texts and len(texts) <= _FEW and (others >= _RATHER or tables):
        del found["text"]
        names = ", ".join(entry.inner for entry in texts)
        passed.append(f"left out: {names}, since {others:,} others are no texts")
    media: dict[Modality, tuple[Entry, ...]] = {
        cast("Modality", sort): tuple(found[sort])
        for sort in ("text", "image", "audio")
        if sort in found
    }
    databases = [*found.get("sqlite", ()), *found.get("duckdb", ())]
    return Grouped(tuple(found.get("table", ())), media, tuple(databases), tuple(passed))


def _left_out(end: str, count: int) -> str:
    files = f"{count:,} {'file' if count == 1 else 'files'}"
    ending = f"ending in {end}" if end else "without an ending"
    remedy = f": {kinds.UNREAD[end]}" if end in kinds.UNREAD else ""
    return f"left out: {files} {ending}{remedy}"


def alike(entries: Sequence[Entry], key: Callable[[Entry], tuple[str, ...]]) -> list[list[Entry]]:
    """Tables put together by their columns; those beyond the first fifty go with their like.

    Like is then what lies in the same folder with the same ending.
    """
    parts: dict[tuple[str, ...], list[Entry]] = {}
    places: dict[tuple[str, str], tuple[str, ...]] = {}
    for number, entry in enumerate(entries):
        place = str(PurePosixPath(entry.inner).parent), kinds.suffix(entry.inner)
        if number < _TABLES or place not in places:
            places[place] = key(entry)
        parts.setdefault(places[place], []).append(entry)
    return list(parts.values())


def path_of(
    part: Sequence[Entry], every: Sequence[Entry], folder: str, said: Sequence[str]
) -> str | list[str]:
    """What names some tables and none of the others: a pattern if one does, else all by name."""
    names = [entry.inner for entry in part]
    ends = {kinds.suffix(name) for name in names}
    same = [entry for entry in every if kinds.suffix(entry.inner) in ends]
    above = {str(PurePosixPath(name).parent) for name in names}
    if len(same) == len(part) and (folder or len(above) == 1):
        return paths(folder, names)
    return list(said)
