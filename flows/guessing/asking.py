"""Guesses put before somebody at a terminal, who takes them, changes them or leaves."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from flows.guessing.model import GuessError, Wishes
from flows.guessing.telling import lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flows.guessing.model import Guess

_OF_TABLES = ("name", "id", "content", "keep", "event_time", "encoder")
_OF_FILES = ("name", "pattern", "keep", "encoder")
_OF_OTHERS = ("name", "encoder")
_LISTS = ("content", "keep")
_QUESTIONS = {
    "name": "name of the feature",
    "id": "column of ids, none to go by content",
    "content": "columns to encode, with commas between them",
    "keep": "columns to store beside the vectors, with commas between them, none for none",
    "event_time": "column of event times, none for none",
    "encoder": "kind of encoder (docs/encoders has a page for each)",
    "pattern": "what the paths tell, such as {label}/{name}.jpg, none for nothing",
}


class LeftError(Exception):
    """Somebody wants nothing written."""


@dataclass(frozen=True)
class Terminal:
    """Where questions are asked.

    Attributes:
        say: shows a line.
        ask: shows a question and gives the answer; raises EOFError at the end.
    """

    say: Callable[[str], None]
    ask: Callable[[str], str]

    def answer(self, question: str) -> str:
        """The answer, without spaces around it.

        Raises:
            LeftError: at the end of input.
        """
        try:
            return self.ask(question).strip()
        except EOFError:
            raise LeftError from None

    def table(self, names: Sequence[str], guess: str) -> str:
        """Which table of a database."""
        self.say(f"tables: {', '.join(names)}")
        while (given := self.answer(f"which one? [{guess}] ") or guess) not in names:
            self.say(f"there is no table {given!r}")
        return given

    def settled(
        self, guesses: Sequence[Guess], wishes: Wishes, again: Callable[[Wishes], list[Guess]]
    ) -> list[Guess]:
        """The guesses that are taken.

        Args:
            guesses: at least one.
            wishes: what was said on the command line.
            again: guesses anew, by wishes.

        Raises:
            LeftError: if none is to be written.
        """
        if len(guesses) == 1:
            return [self._settled(guesses[0], wishes, again)]
        taken = []
        for guess in guesses:
            self._show(guess)
            answer = self.answer("Enter takes this in, s skips it, q leaves all: ").lower()
            if answer in {"q", "quit"}:
                raise LeftError
            if answer not in {"s", "skip", "n", "no"}:
                taken.append(guess)
        if not taken:
            raise LeftError
        return taken

    def _settled(
        self, guess: Guess, wishes: Wishes, again: Callable[[Wishes], list[Guess]]
    ) -> Guess:
        while True:
            self._show(guess)
            keys = _keys(guess)
            question = f"Enter writes this; or a key to change ({', '.join(keys)}), or q to leave: "
            given = self.answer(question).lower().replace(" ", "_")
            if given in {"", "y", "yes"}:
                return guess
            if given in {"q", "quit", "n", "no"}:
                raise LeftError
            if given not in keys:
                self.say(f"there is no key {given!r} to change here; there are: {', '.join(keys)}")
                continue
            value = self.answer(f"{_QUESTIONS[given]}, or Enter for the guess: ")
            wanted = replace(wishes, **{given: _wish(given, value)})  # type: ignore[arg-type] # a key
            try:
                [guess] = again(wanted)
                wishes = wanted
            except GuessError as error:
                self.say(str(error))

    def _show(self, guess: Guess) -> None:
        self.say("")
        for line in lines(guess):
            self.say(line)


def _keys(guess: Guess) -> tuple[str, ...]:
    if guess.kind in {"table", "query"}:
        return _OF_TABLES
    return _OF_FILES if guess.kind == "files" else _OF_OTHERS


def _wish(key: str, value: str) -> str | tuple[str, ...] | None:
    if not value:
        return None
    if key in _LISTS:
        return split([value])
    return "" if value == "none" else value


def split(values: Sequence[str]) -> tuple[str, ...]:
    """Names out of words that may have commas; ``none`` is no name."""
    names = [name.strip() for value in values for name in value.split(",")]
    return tuple(name for name in names if name and name != "none")


def wishes_of(**given: str | Sequence[str] | None) -> Wishes:
    """What the options of a command line say."""
    known = {field.name for field in fields(Wishes)}
    said: dict[str, str | tuple[str, ...]] = {}
    for key, value in given.items():
        if key in known and value is not None:
            said[key] = (
                ("" if value == "none" else value) if isinstance(value, str) else split(value)
            )
    return Wishes(**said)  # type: ignore[arg-type] # as the options have them
