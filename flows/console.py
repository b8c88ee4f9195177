"""What a person sees in a terminal: tables on stdout, progress and messages on stderr."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NOTHING = 1e-6
"""Numbers nearer to 0 are shown as 0: a float32 distance of a record to itself may be -1e-7."""

PIPE = 10_000
"""The width of what has none; a line that is folded to 80 columns helps no program."""

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)
for console in (out, err):
    if not console.is_terminal:
        console.width = PIPE


class _Rate(ProgressColumn):
    """Records a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f}/s" if task.speed else "")


class Bars:
    """A reporter that draws a bar a stage, with rate and time left."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def stage(self, feature: str, name: str, total: int | None) -> None:
        """Close the stage before, and begin the next."""
        self.end()
        self._task = self._progress.add_task(f"{feature}: {name}", total=total)

    def advance(self, records: int) -> None:
        """Move the bar on."""
        if self._task is not None:
            self._progress.advance(self._task, records)

    def note(self, message: str) -> None:
        """Print the message above the bars."""
        self._progress.console.print(escape(message))

    def end(self) -> None:
        """Take the bar away; the result is told by what follows."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


class Lines:
    """A reporter for logs and pipes: notes only, no bars."""

    def stage(self, feature: str, name: str, total: int | None) -> None:
        """Say nothing."""

    def advance(self, records: int) -> None:
        """Say nothing."""

    def note(self, message: str) -> None:
        """Print the message on standard error."""
        err.print(escape(message))


@contextmanager
def reporting() -> Iterator[Bars | Lines]:
    """Bars while standard error is a terminal, lines where it is not."""
    if not err.is_terminal:
        yield Lines()
        return
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    )
    with progress:
        yield Bars(progress)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str = "") -> None:
    """Print rows as a table on standard output; columns without a word or a count are left out."""
    shown = [c for c in columns if any(_tells(row.get(c)) for row in rows)]
    grid = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for column in shown:
        numeric = all(isinstance(row.get(column), int | float | None) for row in rows)
        grid.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(escape(cell(row.get(c))) for c in shown))
    out.print(grid)


def _tells(value: object) -> bool:
    """Whether a cell says something: a count of 0 does not, a distance or p-value of 0 does."""
    return isinstance(value, float) or value not in (None, "", 0)


def listing(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], below: str) -> None:
    """Print rows with a long column ``below``: under its row on a terminal, beside it in a pipe."""
    if not out.is_terminal:
        table(rows, [*columns, below])
        return
    for row in rows:
        words = (cell(row.get(c)) for c in columns)
        out.print(escape("  ".join(word for word in words if word)), style="bold")
        out.print(Padding(escape(cell(row.get(below))), (0, 0, 0, 4)))


def cell(value: object) -> str:
    """A value as a person reads it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return str(value)


def _number(value: float) -> str:
    if abs(value) < NOTHING:
        return "0"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - four digits
