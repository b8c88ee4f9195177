"""Writing a map: pictures and pages, each whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flows.maps.colours import colours
from flows.maps.page import page
from flows.maps.picture import picture
from flows.maps.sounds import sounds
from storage import swaps
from storage.model import UsageError
from storage.vectors import SYSTEM_COLUMNS, THUMBNAIL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.config.settings import Settings
    from flows.maps.colours import Colours
    from flows.maps.drawing import Map

PAGES = (".html", ".htm")
PICTURES = (".png", ".pdf", ".svg", ".jpg", ".webp")


def check(targets: Sequence[Path]) -> None:
    """Refuse files that cannot be written, before a map takes its time.

    Raises:
        UsageError: if an ending is not known, or a folder is not there.
    """
    for target in targets:
        if target.suffix.lower() not in {*PAGES, *PICTURES}:
            raise UsageError(
                f"-o {target}: the ending says what to write, one of "
                f"{', '.join([PAGES[0], *PICTURES])}; got {target.suffix or 'none'}"
            )
        if not target.parent.is_dir():
            raise UsageError(f"there is no folder {target.parent} to put {target.name} into")


def check_column(columns: Sequence[str], column: str) -> None:
    """Refuse a column to colour by that is not there.

    Raises:
        UsageError: says which there are.
    """
    known = [c for c in columns if c not in {*SYSTEM_COLUMNS, THUMBNAIL} or c == "event_time"]
    if column not in known:
        raise UsageError(
            f"--color takes a kept column, or event_time; got {column!r}; there are: "
            f"{', '.join(map(repr, known))}"
        )


def write(settings: Settings, found: Map, column: str | None, targets: Sequence[Path]) -> None:
    """Write a map into files, pages and pictures as their names end.

    Raises:
        UsageError: if one cannot be written.
    """
    values = None if column is None else found.rows[column]
    shades = colours(column, values, len(found.places))
    for target in targets:
        try:
            with swaps.whole(target, hidden=True, ending=target.suffix) as fresh:
                _write(settings, found, shades, fresh)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise UsageError(f"cannot write the map {target}: {why}") from error


def _write(settings: Settings, found: Map, shades: Colours, target: Path) -> None:
    if target.suffix.lower() in PAGES:
        heard = sounds(settings, found.version, found.rows)
        target.write_text(page(found, shades, heard), encoding="utf-8")
    else:
        picture(found, shades, target)


def default(found: Map) -> list[Path]:
    """A picture and a page in the folder that the command is given in."""
    name = f"{found.version.table}-{found.method}"
    return [Path(f"{name}{ending}") for ending in (PICTURES[0], PAGES[0])]
