"""Tables that lie together: those of the same columns are one source, and two may be a graph."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from flows.guessing import groups, kinds, reading, walking
from flows.guessing.graphs import of_graph
from flows.guessing.links import ends
from flows.guessing.model import Guess, GuessError, Line
from flows.guessing.tables import Place, of_table
from flows.sources.base import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from flows.guessing.model import Wishes
    from flows.guessing.places import Base
    from flows.guessing.reading import Sample
    from flows.guessing.walking import Entry
    from flows.sources._where import File

_MANY = 8
"""So many tables of other columns in a folder are a source each; more are named instead."""


@dataclass(frozen=True)
class Tables:
    """Guesses what tables are; each is read once.

    Attributes:
        root: the project folder.
        wishes: what the user has said.
        note: told of what is left out.
    """

    root: Path
    wishes: Wishes
    note: Callable[[str], None]
    _samples: dict[str, Sample] = field(default_factory=dict)

    def one(self, name: str, said: str, file: File, size: int | None) -> Guess:
        """A guess for a table by itself.

        Args:
            name: what a feature may be called after.
            said: how the configuration names the file.
            file: where it lies.
            size: in bytes, None where that is not known.
        """
        sample = self._sample(said, file)
        place = Place("table", (Line("path", said),), _what(said, sample.form), size)
        return of_table(name, place, sample, self.wishes)

    def several(
        self, base: Base, entries: Sequence[Entry], said: Sequence[str] | None = None
    ) -> list[Guess]:
        """A guess for each group of tables of the same columns, or one for a graph."""
        named = dict(
            zip(
                (e.inner for e in entries),
                said or map(base.path, (e.inner for e in entries)),
                strict=True,
            )
        )
        parts = groups.alike(entries, lambda entry: self._names(entry, named[entry.inner]))
        if len(parts) == 2:  # noqa: PLR2004 - nodes and edges
            graph = self._graph(base, parts, named)
            if graph is not None:
                return [graph]
        if len(parts) > _MANY:
            shown = ", ".join(part[0].inner for part in parts[:_MANY])
            raise GuessError(
                f"{base.said or 'this folder'} has {len(parts)} tables of other columns each: "
                f"{shown} and more; name the one to take in"
            )
        guesses = []
        for part in parts:
            first = part[0]
            several = len(parts) == 1 and len(part) > 1
            name = base.name if several else PurePosixPath(first.inner).name.split(".")[0]
            try:
                guess = self.one(name, named[first.inner], first.file, walking.total(part))
            except GuessError as error:
                if len(parts) == 1:
                    raise
                self.note(f"left out: {error}")
                continue
            if len(part) > 1:
                path = groups.path_of(part, entries, base.said, [named[e.inner] for e in part])
                what = f"{len(part):,} files, the first: {guess.what}"
                guess = replace(guess, what=what, source=(Line("path", path), *guess.source[1:]))
            guesses.append(guess)
        return guesses

    def _sample(self, said: str, file: File) -> Sample:
        """The first rows of a table, read once."""
        if said not in self._samples:
            try:
                self._samples[said] = reading.of_file(file, said, self.root)
            except OSError as error:
                why = error.strerror or error
                raise GuessError(f"{said} cannot be read: {why}; check its rights") from error
            except SourceError as error:
                raise GuessError(str(error)) from error
        return self._samples[said]

    def _names(self, entry: Entry, said: str) -> tuple[str, ...]:
        """The ending and the columns of a table, by which it goes with others."""
        sample = self._sample(said, entry.file)
        return kinds.suffix(entry.inner).lower(), *sample.frame.columns

    def _graph(
        self, base: Base, parts: Sequence[Sequence[Entry]], named: dict[str, str]
    ) -> Guess | None:
        if any(len(part) != 1 for part in parts):
            return None
        both = [(named[e.inner], self._sample(named[e.inner], e.file)) for [e] in parts]
        size = walking.total([part[0] for part in parts])
        named_ends = sorted((both, both[::-1]), key=lambda two: ends(two[1][1].frame) is None)
        for nodes, edges in named_ends:
            guess = of_graph(base.name, nodes, edges, size, self.wishes)
            if guess is not None:
                return guess
        return None


def _what(said: str, form: str) -> str:
    shown = {"lines": "a text a line", "jsonl": "JSON Lines", "parquet": "Parquet"}
    return f"{said}: {shown.get(form, form.upper())}"
