"""The SQL shell: statements over several lines until ``;``, and commands that begin with a dot.

It works on a session's copy, so that it holds no lock however long somebody thinks between two
statements. Without a terminal it reads statements from a pipe, and stops at the first that fails.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from flows.config.nearest import hint
from flows.output.answers import complain, say
from flows.output.codes import FINE, report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flows.session import Session

HELP = """\
A statement may take several lines and ends with a semicolon. Each feature is a view of its name,
each version one such as articles_v3; the catalog's tables stand beside them. Files of your own are
tables too: FROM 'prices.csv'. The nearest to a query: FROM knn('articles', 'a query', 10).

.tables          what there is to ask
.schema NAME     the columns of a table or view
.refresh         show what is published by now
.help            this
.quit            leave; so does Ctrl-D. Ctrl-C gives up what is typed
"""
_TABLES = "SELECT name FROM (SHOW TABLES) ORDER BY name"
_PROMPT, _MORE = "vecmill> ", "    ...> "
_SHOWN = 80
"""Letters of a statement that an error is told with."""
_MANY = 2000
"""Lines that a history keeps."""


@dataclass
class Shell:
    """Reads statements, and shows what they give.

    Attributes:
        session: what is asked.
        show: shows what a statement gives.
        read: gives the next line; it is told whether a statement is begun, and gives None at the
            end.
        typed: whether a person types: then an error ends nothing.
    """

    session: Session
    show: Callable[[str], None]
    read: Callable[[bool], str | None]
    typed: bool

    def run(self) -> int:
        """Take lines until there are no more.

        Returns:
            The exit code: that of the first statement which failed, where nobody typed it.
        """
        begun, number = "", 0
        while True:
            try:
                line = self.read(bool(begun.strip()))
            except KeyboardInterrupt:
                if not self.typed:
                    raise
                begun = ""
                print()  # noqa: T201 - the prompt's line ends
                continue
            begun, ready = self._ready(begun, line)
            for text in ready:
                if text in {".quit", ".exit"}:
                    return FINE
                number += 1
                code = self._try(text, number)
                if code != FINE and not self.typed:
                    return code
            if line is None:
                return FINE

    def _ready(self, begun: str, line: str | None) -> tuple[str, list[str]]:
        """What is begun after a line, None for the end, and the statements that are whole."""
        if line is None:
            # The last statement of a file may go without its semicolon.
            last = begun.strip() if not self.typed else ""
            return "", [last] if last else []
        if not begun.strip() and line.strip().startswith("."):
            return begun, [line.strip()]
        ready, begun = cut(f"{begun}{line}\n")
        return begun, [text for text in ready if text.strip("; \n")]

    def _try(self, text: str, number: int) -> int:
        try:
            (self._command if text.startswith(".") else self.show)(text)
        except KeyboardInterrupt:
            if not self.typed:
                raise
            say("interrupted")
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - an error ends a statement, not the shell
            if self.typed:
                return report(error)
            return self._failed(text, number, error)
        return FINE

    def _failed(self, text: str, number: int, error: Exception) -> int:
        """Tell which statement of a script failed, and what was done."""
        lines = [line.strip() for line in text.splitlines() if not line.lstrip().startswith("--")]
        shown = " ".join(filter(None, lines))
        if len(shown) > _SHOWN:
            shown = f"{shown[:_SHOWN]}…"
        code = report(error, f"statement {number} ({shown})")
        before = "nothing was done before it"
        if number > 1:
            before = f"the {number - 1} before it are done, and files that they wrote stay"
        say(f"{before}; nothing after it was run")
        return code

    def _command(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        known: dict[str, Callable[[str], None]] = {
            ".tables": lambda _: self.show(_TABLES),
            ".schema": self._schema,
            ".refresh": self._refresh,
            ".help": lambda _: print(HELP, end=""),  # noqa: T201 - what was asked for
        }
        if name not in known:
            complain(f"no command {name}{hint(name, [*known, '.quit'])}")
            return
        known[name](rest.strip().rstrip(";"))

    def _schema(self, name: str) -> None:
        if not name:
            complain(".schema takes the name of a table, such as .schema runs")
            return
        quoted = name.replace('"', '""')
        self.show(f'SELECT column_name, column_type FROM (DESCRIBE "{quoted}")')  # noqa: S608 - quoted

    def _refresh(self, _: str) -> None:
        self.session.refresh()
        say("showing what is published now")


def cut(text: str) -> tuple[list[str], str]:
    """The statements that are whole in what was typed, and the rest.

    Semicolons in strings and comments end nothing.
    """
    from storage.calls import statements

    found, rest = statements(text)
    return [one.strip() for one in found], rest.lstrip("\n")


def history_file() -> Path:
    """Where what was typed is kept: with the user, since it is nothing of the store's."""
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "vecmill" / "sql_history"


@contextmanager
def prompted(history: Path) -> Iterator[Callable[[bool], str | None]]:
    """Lines that a person types, with a prompt, line editing and a history that stays.

    Args:
        history: the file of what was typed before; only its owner may read it.
    """
    import readline

    if history.is_file():
        readline.read_history_file(history)

    def read(begun: bool) -> str | None:  # noqa: FBT001 - as `Shell.read`
        try:
            return input(_MORE if begun else _PROMPT)
        except EOFError:
            print()  # noqa: T201 - the prompt's line ends
            return None

    try:
        yield read
    finally:
        readline.set_history_length(_MANY)
        history.parent.mkdir(parents=True, exist_ok=True)
        history.touch(mode=0o600)
        readline.write_history_file(history)


def piped(source: TextIO | None = None) -> Callable[[bool], str | None]:
    """Lines of a pipe or file."""
    lines = iter(sys.stdin if source is None else source)

    def read(_: bool) -> str | None:  # noqa: FBT001 - as `Shell.read`
        line = next(lines, None)
        return None if line is None else line.rstrip("\n")

    return read
