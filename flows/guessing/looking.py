"""What lies at a path, an address or a pattern, and a guess for each kind of record there."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from flows.guessing import groups, kinds, reading, walking
from flows.guessing.databases import of_database
from flows.guessing.media import of_files
from flows.guessing.model import Guess, GuessError, Line
from flows.guessing.names import feature_name
from flows.guessing.places import Base, Places, near
from flows.guessing.sorts import sort_of, unread
from flows.guessing.table_groups import Tables
from flows.output import units
from flows.sources._glob import MAGIC
from flows.sources._remote import SCHEMES, exists, is_uri
from flows.sources._url import SCHEMES as DATABASES
from flows.sources._where import Local

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from flows.guessing.model import Wishes
    from flows.guessing.walking import Entry, Walked
    from flows.sources.base import Modality

    Note = Callable[[str], None]
    Choose = Callable[[Sequence[str], str], str]


def take_guess(names: Sequence[str], guess: str) -> str:
    """The table that is guessed, where nobody is asked."""
    del names
    return guess


@dataclass(frozen=True)
class Looker:
    """Looks at paths.

    Attributes:
        here: the folder that relative paths are taken from.
        root: the project folder.
        used: names of features and sources that are taken.
        wishes: what the user has said.
        note: told of what is left out.
        choose: asked for one of the tables of a database; given the names and the guess.
    """

    here: Path
    root: Path
    used: Collection[str]
    wishes: Wishes
    note: Note
    choose: Choose

    @cached_property
    def _places(self) -> Places:
        return Places(self.here, self.root)

    @cached_property
    def _tables(self) -> Tables:
        return Tables(self.root, self.wishes, self.note)

    def look(self, paths: Sequence[str]) -> list[Guess]:
        """Guess what the records at some paths are; several are files that may be of one graph.

        Raises:
            GuessError: if nothing can be made of them.
            SourceError: if a source would refuse what is there.
        """
        if len(paths) == 1:
            return self._named(self._at(paths[0]))
        guesses: list[Guess] = []
        files = [self._places.local(path) for path in paths if not is_uri(path)]
        if len(files) == len(paths) and all(file.is_file() for file in files):
            entries = [walking.Entry(file.name, Local(file), _size(file)) for file in files]
            if all(sort_of(entry) == "table" for entry in entries):
                base = Base("", self.wishes.name or files[0].stem)
                return self._named(
                    self._tables.several(base, entries, [self._places.said(file) for file in files])
                )
        for path in paths:
            guesses += self._at(path)
        return self._named(guesses)

    def _named(self, guesses: Sequence[Guess]) -> list[Guess]:
        """The guesses with names that are free, and the one that was asked for."""
        used = set(self.used)
        named = []
        for guess in guesses:
            wanted = self.wishes.name if len(guesses) == 1 and self.wishes.name else guess.name
            named.append(replace(guess, name=feature_name(wanted, used)))
            used.add(named[-1].name)
        return named

    def _at(self, path: str) -> list[Guess]:
        scheme = path.partition("://")[0] if is_uri(path) else ""
        if scheme in DATABASES:
            return [self._database(path)]
        if scheme in SCHEMES:
            return self._address(path)
        if scheme and scheme != "file":
            raise GuessError(
                f"{scheme}:// is not read: what is are files and folders here, object stores "
                "(s3://, gs://, az://) and databases (postgresql://, sqlite:///, duckdb:///); "
                "fetch the records to a folder, and take that in"
            )
        path = path.removeprefix("file://")
        local = self._places.local(path)
        if os.path.lexists(local):
            return self._folder(local) if local.is_dir() else self._file(local)
        if MAGIC.search(path):
            return self._pattern(path)
        begin = "" if local.suffix else f" (`vecmill init --project {path}` begins a project there)"
        here = None if path.startswith(("/", "~")) else self._places.here
        raise GuessError(f"there is no {path}{near(local, here)}{begin}")

    def _database(self, url: str) -> Guess:
        """A guess for a database; the path of one that is a file is taken from here."""
        scheme, _, path = url.partition(":///")
        if scheme in {"sqlite", "duckdb"} and path and "${" not in path:
            url = f"{scheme}:///{self._places.said(self._places.local(path))}"
        return of_database(url, self.root, self.wishes, self.choose)

    def _file(self, path: Path) -> list[Guess]:
        entry = walking.Entry(path.name, Local(path), _size(path))
        base = Base(self._places.said(path.parent), path.name.split(".")[0])
        return self._one(entry, base, self._places.said(path))

    def _one(self, entry: Entry, base: Base, said: str) -> list[Guess]:
        """A guess for a file by itself."""
        sort = sort_of(entry)
        if sort in {"sqlite", "duckdb"}:
            return [of_database(f"{sort}:///{said}", self.root, self.wishes, self.choose)]
        if sort is None:
            raise GuessError(f"{said} {unread(entry)}")
        if sort in {"table", "text"}:
            return [self._tables.one(base.name, said, entry.file, entry.size)]
        modality: Modality = "image" if sort == "image" else "audio"
        guess = of_files(base.name, base.said, [entry.inner], modality, self.wishes, path=said)
        return [self._shown(guess, entry)]

    def _shown(self, guess: Guess, entry: Entry) -> Guess:
        """A guess with a search to try: like the first file, or by its first words."""
        if guess.modality == "text":
            text = reading.head(entry.file, kinds.HEAD).decode(errors="replace")
            return replace(guess, example=("--text", " ".join(text.split()[:6])))
        if isinstance(entry.file, Local):
            return replace(
                guess, example=(f"--{guess.modality}", self._places.said(entry.file.path))
            )
        return guess

    def _folder(self, folder: Path) -> list[Guess]:
        if folder.name.endswith(".lance"):
            raise GuessError(
                f'{folder} is a Lance table: write kind = "lance", uri = "{folder.parent}" and '
                f'table = "{folder.stem}" into a [sources.NAME], with id and content'
            )
        walked = walking.walk(folder)
        for closed in walked.closed:
            self.note(f"cannot be listed, and is left out: {closed}")
        if not walked.entries:
            why = "; its hidden files are not looked at" if any(folder.iterdir()) else ""
            raise GuessError(
                f"there are no records in {folder}{why}; put some there, or write a starter with "
                f"`vecmill init --project {folder}`"
            )
        return self._walked(walked, Base(self._places.said(folder), folder.name))

    def _address(self, uri: str) -> list[Guess]:
        if MAGIC.search(uri):
            return self._pattern(uri)
        one = exists(uri) if not uri.endswith("/") else None
        if one is not None:
            folder, _, name = uri.rpartition("/")
            entry = walking.Entry(name, one, one.look().size)
            return self._one(entry, Base(folder, name.split(".")[0]), uri)
        walked = walking.remote(uri)
        if not walked.entries:
            raise GuessError(
                f"no object lies at or below {uri}; check the address, and that what is in the "
                "environment may list it"
            )
        return self._walked(walked, Base(uri.rstrip("/"), uri.rstrip("/").rpartition("/")[2]))

    def _pattern(self, path: str) -> list[Guess]:
        """What a path with wildcards names: one source, by that path."""
        root = self.root if is_uri(path) else self.here
        walked = walking.matching(path, root)
        if not walked.entries:
            raise GuessError(f"no file matches {path!r}; check it, or name the folder")
        sorts = {sort_of(entry) for entry in walked.entries[:50]}
        said = (
            path
            if is_uri(path) or self.here == self.root
            else self._places.said(self._places.local(path))
        )
        parts = PurePosixPath(path.partition("://")[2] or path).parts
        plain = [part for part in parts if not MAGIC.search(part)]
        base = Base("", plain[-1] if plain else self.root.name)
        if len(sorts) > 1 or None in sorts:
            found = ", ".join(sorted(kinds.PLURAL.get(str(s), "others") for s in sorts))
            raise GuessError(f"{path!r} matches {found}; make a pattern of each")
        sort = sorts.pop()
        if sort == "table":
            entry = walked.entries[0]
            size = walking.total(walked.entries)
            guess = self._tables.one(base.name, str(entry.file.text), entry.file, size)
            what = f"{units.several(len(walked.entries), 'file')}, the first: {guess.what}"
            return [replace(guess, what=what, source=(Line("path", said), *guess.source[1:]))]
        modality: Modality = "image" if sort == "image" else "audio" if sort == "audio" else "text"
        names = [entry.inner for entry in walked.entries]
        guess = of_files(base.name, "", names, modality, self.wishes, path=said, whole=walked.whole)
        guess = replace(guess, size=walking.total(walked.entries))
        return [self._shown(guess, walked.entries[0])]

    def _walked(self, walked: Walked, base: Base) -> list[Guess]:
        """A guess for each kind of record below a folder."""
        found = groups.grouped(walked.entries, sort_of)
        for said in found.passed:
            self.note(said)
        if not walked.whole:
            self.note(f"only the first {len(walked.entries):,} files were looked at")
        guesses = self._tables.several(base, found.tables) if found.tables else []
        several = len(found.media) + bool(guesses) > 1
        for modality, entries in found.media.items():
            name = f"{base.name}_{kinds.PLURAL[modality]}" if several else base.name
            names = [entry.inner for entry in entries]
            path = None if _ended(names) else [base.path(name) for name in names]
            guess = of_files(
                name, base.said, names, modality, self.wishes, path=path, whole=walked.whole
            )
            guesses.append(self._shown(replace(guess, size=walking.total(entries)), entries[0]))
        for entry in found.databases:
            guesses += self._one(entry, base, base.path(entry.inner))
        if not guesses:
            raise GuessError(f"nothing in {base.said or 'this folder'} is read as records")
        return guesses


def _ended(names: Sequence[str]) -> bool:
    """Whether every file has an ending that says what it is, so that a pattern may name it."""
    return all(kinds.by_name(name) is not None for name in names)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
