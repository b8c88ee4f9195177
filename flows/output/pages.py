"""Pages written into files that people name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage import swaps
from storage.model import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def write_page(target: Path, text: str, what: str, *, make: bool = False) -> None:
    """Write a page, whole or not at all.

    Args:
        target: the file.
        text: the page.
        what: what it is, for the error.
        make: make the folder where it is not there.

    Raises:
        UsageError: if the file cannot be written.
    """
    try:
        if make:
            target.parent.mkdir(parents=True, exist_ok=True)
        with swaps.whole(target, hidden=True) as fresh:
            fresh.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"cannot write the {what} {target}: {error.strerror or error}; name a file in a folder "
            "that is there"
        ) from error
