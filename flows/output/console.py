"""What a person sees in a terminal: tables on stdout, progress and messages on stderr."""

from __future__ import annotations

import math
import threading
import time
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.table import Table
from rich.text import Text

from flows.output import arranging, units
from flows.output.progress import Silent
from flows.output.redact import redact
from flows.output.visible import on_one_line, visible
from flows.output.voice import voice

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from flows.output.progress import Reporter

NOTHING = 1e-6
"""Numbers nearer to 0 are shown as 0: a float32 distance of a record to itself may be -1e-7."""

_INDENT = 4

PIPE = 1_000_000_000
"""The width of what has none; a line that is folded, to however many columns, helps no program."""

# A key such as `user:key:1` is no picture of a key.
out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)
for console in (out, err):
    if not console.is_terminal:
        console.width = PIPE


class _Rate(ProgressColumn):
    """Records a second."""

    def render(self, task: Task) -> Text:
        return Text(units.rate(task.speed) if task.speed else "")


class _Left(ProgressColumn):
    """About how long the rest of a stage will take; where nobody knows, how long it has taken."""

    max_refresh = 1.0

    def render(self, task: Task) -> Text:
        if task.total is not None and task.time_remaining is not None:
            if task.time_remaining < 1:
                return Text("")  # no more than a glimpse, and too long for a narrow terminal
            return Text(f"{units.about(task.time_remaining)} left")
        return Text(f"{units.duration(int(task.elapsed or 0))} so far")


class _Count(ProgressColumn):
    """How many records of how many."""

    def render(self, task: Task) -> Text:
        of = "" if task.total is None else f" of {task.total:,.0f}"
        return Text(f"{task.completed:,.0f}{of}")


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
        self._progress.console.print(escape(visible(redact(message))))

    def end(self) -> None:
        """Take the bar away; the result is told by what follows."""
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None


class Lines:
    """A reporter for logs and pipes: notes, and now and then how far a long stage is."""

    def __init__(self, every: float = 30.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Tell of a stage every so many seconds, by this clock."""
        self._every = every
        self._clock = clock
        self._lock = threading.Lock()
        self._name = ""
        self._total: int | None = None
        self._done = 0
        self._begun = self._told = clock()

    def stage(self, feature: str, name: str, total: int | None) -> None:
        """Begin to count anew."""
        with self._lock:
            self._name, self._total, self._done = f"{feature}: {name}", total, 0
            self._begun = self._told = self._clock()

    def advance(self, records: int) -> None:
        """Count, and say how far it is where nothing was said for long."""
        self._done += records
        self._tell()

    def look(self) -> None:
        """Say it of a stage that counts nothing meanwhile too, unless it has counted all."""
        if self._name and (self._total is None or self._done < self._total):
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            now = self._clock()
            if now - self._told < self._every:
                return
            self._told, took = now, now - self._begun
            far = f"{units.duration(int(took))} so far"
            if self._done or self._total:
                far = units.far(self._done, self._total, took)
            told = f"{self._name}: {far}"
        self.note(told)

    def note(self, message: str) -> None:
        """Print the message on standard error."""
        err.print(escape(visible(redact(message))))


@contextmanager
def reporting() -> Iterator[Reporter]:
    """Bars while standard error is a terminal, lines where it is not; nothing with ``--quiet``."""
    if voice().quiet:
        yield Silent()
        return
    if not err.is_terminal:
        with _told_of(Lines()) as lines:
            yield lines
        return
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        _Count(),
        _Rate(),
        _Left(),
        console=err,
        transient=True,
    )
    with progress:
        yield Bars(progress)


@contextmanager
def _told_of(lines: Lines) -> Iterator[Lines]:
    """Have it tell of stages too that count nothing, such as what a fit does at once."""
    over = threading.Event()

    def now_and_then() -> None:
        while not over.wait(1.0):
            lines.look()

    threading.Thread(target=now_and_then, name="lines", daemon=True).start()
    try:
        yield lines
    finally:
        over.set()


def table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    *,
    measured: bool = True,
) -> None:
    """Print rows as a table on standard output; columns without a word or a count are left out.

    Where it is too wide for the terminal, what is the same in each row is said once, above; then
    the last column is folded, if there is room for it; and else each row becomes a few lines.

    Args:
        rows: by column.
        columns: those to show, in order.
        measured: whether columns that end in ``seconds`` or ``bytes`` are ours, and shown with
            units; what records hold under such a name is shown as it is.
    """
    shown = {
        c: header(c) if measured else c for c in columns if any(_tells(row.get(c)) for row in rows)
    }
    cells = [{c: cell(row.get(c), c if measured else "") for c in shown} for row in rows]
    right = {c for c in shown if all(isinstance(row.get(c), int | float | None) for row in rows)}
    grid = _grid(cells, shown, right)
    if _width(grid) > out.width:
        if told := arranging.alike(cells, [*shown]):
            same = [f"{_spaced(shown[c])} {cells[0][c]}" for c in told]
            same[0] = f"in each row: {same[0]}"
            for line in arranging.beside(same, out.width):
                out.print(Text(line))
            shown = {c: name for c, name in shown.items() if c not in told}
            grid = _grid(cells, shown, right)
        last = [*shown][-1]
        if _width(grid) > out.width and (
            last in right or not arranging.room(cells, shown, out.width)
        ):
            cells = [_telling(row, told) for row, told in zip(rows, cells, strict=True)]
            _blocks(cells, shown, numbered=next(iter(shown)) in right)
            return
    out.print(grid)


def _grid(
    cells: Sequence[Mapping[str, str]],
    columns: Mapping[str, str],
    right: Collection[str],
) -> Table:
    """A table whose last column alone may be folded."""
    grid = Table(box=None, pad_edge=False)
    for column, name in columns.items():
        side: Literal["left", "right"] = "right" if column in right else "left"
        folds = column == [*columns][-1]
        grid.add_column(name, justify=side, overflow="fold", no_wrap=not folds)
    for row in cells:
        grid.add_row(*(Text(row[column]) for column in columns))
    return grid


def _width(grid: Table) -> int:
    """How wide the table is if no cell is folded."""
    free = Console(width=PIPE, emoji=False)
    return Measurement.get(free, free.options, grid).maximum


def _blocks(
    cells: Sequence[Mapping[str, str]], columns: Mapping[str, str], *, numbered: bool
) -> None:
    """Each row as its first cell, with its name if that is a number, and the others by name."""
    first, *others = columns
    called = f"{_spaced(columns[first])} " if numbered else ""
    names = {column: _spaced(columns[column]) for column in others}
    for row in cells:
        short, long = arranging.paragraph(row, cells, names)
        head = called + row[first]
        line = arranging.GAP.join(short)
        if cell_len(head) + len(arranging.GAP) + cell_len(line) <= out.width:
            told = Text.assemble((head, "bold"), arranging.GAP, line)
            told.rstrip()
            out.print(told)
        else:
            out.print(Text(head), style="bold")
            long = [*arranging.beside(short, out.width - _INDENT), *long]
        for line in long:
            out.print(Padding(Text(line), (0, 0, 0, _INDENT), expand=False))


def _telling(row: Mapping[str, Any], cells: Mapping[str, str]) -> dict[str, str]:
    """The cells of a row, empty where they say nothing; the first is its name, whatever it says."""
    first = next(iter(cells))
    return {
        column: told if column == first or _tells(row.get(column)) else ""
        for column, told in cells.items()
    }


def _spaced(name: str) -> str:
    return name.replace("_", " ")


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
        out.print(Text("  ".join(word for word in words if word)), style="bold")
        out.print(Padding(Text(cell(row.get(below))), (0, 0, 0, _INDENT), expand=False))


def header(column: str) -> str:
    """The name of a column for people: the unit stands beside each value, so not in the name."""
    for end, name in (("seconds", "time"), ("bytes", "size")):
        if column == end or column.endswith(f"_{end}"):
            return column.removesuffix(end) + name
    return column


def cell(value: object, column: str = "") -> str:
    """A value as a person reads it, on one line, and nothing in it that a terminal obeys.

    Args:
        value: of any kind.
        column: where it stands; one that ends in ``seconds`` or ``bytes`` holds such.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number(value, column)
    if isinstance(value, datetime):
        return units.moment(value)
    return on_one_line(_bytes(value) if isinstance(value, bytes) else str(value))


def _bytes(value: bytes) -> str:
    """How much there is of a thumbnail, or of other bytes that nobody can read."""
    webp = value[:4] == b"RIFF" and value[8:12] == b"WEBP"
    return f"<{units.size(len(value))}{' webp' if webp else ''}>"


def _number(value: float, column: str) -> str:
    if math.isfinite(value) and header(column) != column:
        return units.duration(value) if column.endswith("seconds") else units.size(value)
    if isinstance(value, int):
        return units.count(value)
    if abs(value) < NOTHING:
        return "0"
    return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"  # noqa: PLR2004 - four digits
