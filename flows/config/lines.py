"""Where in its files a configuration says something, for those who are to mend it there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_HEADER = re.compile(r"\s*\[\[?\s*(?P<name>[^\]]+?)\s*\]\]?\s*(#.*)?$")


def line_of(
    files: Sequence[Path], table: tuple[str, ...], key: str | None = None
) -> tuple[Path, int] | None:
    """The file and line, from 1, of a table, or of a key of it where that is found.

    Args:
        files: in the order they are merged; the last that says it counts.
        table: its name by parts, such as ``("encoders", "minilm")``; empty for the top.
        key: a key of it.
    """
    header: tuple[Path, int] | None = None
    found: tuple[Path, int] | None = None
    for file in files:
        here: tuple[str, ...] = ()
        for number, line in enumerate(_lines(file), 1):
            if match := _HEADER.match(line):
                here = _parts(match["name"])
                header = (file, number) if here == table else header
                if key and here == (*table, key):
                    found = _first(found, file, number)
                continue
            said = (*here, *_parts(line.split("=", 1)[0])) if "=" in line else ()
            if said[: len(table)] == table and said:
                within = here == table or len(said) > len(table) + 1
                header = header if within and header else (file, number)
                inline = said == table and key and _mentions(line, key)
                if key and (said[len(table) : len(table) + 1] == (key,) or inline):
                    found = _first(found, file, number)
    return found or header


def _first(found: tuple[Path, int] | None, file: Path, line: int) -> tuple[Path, int]:
    """The first place in the last file."""
    return found if found is not None and found[0] == file else (file, line)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _parts(name: str) -> tuple[str, ...]:
    """The parts of a dotted name, without quotes."""
    found = re.findall(r"""\s*(?:"([^"]*)"|'([^']*)'|([^.\s"']+))\s*""", name.strip())
    return tuple(next(filter(None, parts), "") for parts in found)


def _mentions(line: str, key: str) -> bool:
    return re.search(rf"""["'\s{{,]{re.escape(key)}["']?\s*=""", line) is not None
