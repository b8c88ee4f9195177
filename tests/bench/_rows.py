"""Rows of a benchmark, told as they become known and kept as JSON where a file is named."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


@dataclass
class Rows:
    """A table that prints one line a row, and writes all tables so far to a file after each.

    A benchmark of half an hour that is cut off has then said what it found until then.

    Attributes:
        title: what is measured.
        widths: of each column, by its name.
        path: the JSON file; None for none.
        before: the tables before this one, as they go to the file.
        known: the rows so far.
    """

    title: str
    widths: dict[str, int]
    path: Path | None = None
    before: tuple[object, ...] = ()
    known: list[dict[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = "  ".join(name.ljust(width) for name, width in self.widths.items())
        sys.stdout.write(f"\n{self.title}\n{names.rstrip()}\n")
        sys.stdout.flush()

    @property
    def tables(self) -> tuple[object, ...]:
        """All tables so far."""
        return *self.before, {"title": self.title, "rows": self.known}

    def then(self, title: str, widths: dict[str, int]) -> Rows:
        """The next table, which goes to the same file."""
        return Rows(title, widths, self.path, self.tables)

    def add(self, told: dict[str, str], **more: object) -> None:
        """Print the columns of a row; ``more`` goes to the file alone."""
        line = "  ".join(told.get(name, "").ljust(width) for name, width in self.widths.items())
        sys.stdout.write(f"{line.rstrip()}\n")
        sys.stdout.flush()
        self.known.append({**told, **more})
        if self.path is not None:
            self.path.write_text(json.dumps(self.tables, indent=1) + "\n", encoding="utf-8")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of every benchmark that encodes once and prints as it goes."""
    parser.add_argument("--json", type=Path, help="a file for the rows")
    parser.add_argument(
        "--cache", type=Path, help="a folder for vectors; empty it when encoders change"
    )
