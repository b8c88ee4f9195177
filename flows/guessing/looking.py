"""What lies at a path, an address or a pattern, and a guess for each kind of record there."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from flows.guessing import groups, kinds, reading, walking
from flows.guessing.databases import of_database
from flows.guessing.graphs import of_graph
from flows.guessing.links import ends
from flows.guessing.media import of_files
from flows.guessing.model import Guess, GuessError, Line
from flows.guessing.names import feature_name
from flows.guessing.tables import Place, of_table
from flows.output import units
from flows.sources._glob import MAGIC
from flows.sources._remote import SCHEMES, exists, is_uri
from flows.sources._url import SCHEMES as DATABASES
from flows.sources._where import Local
from storage.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from flows.guessing.kinds import Sort
    from flows.guessing.model import Wishes
    from flows.guessing.reading import Sample
    from flows.guessing.walking import Entry, Walked
    from flows.sources._where import File
    from flows.sources.base import Modality

    Note = Callable[[str], None]
    Choose = Callable[[Sequence[str], str], str]

_MANY = 8
"""So many tables of other columns in a folder are a source each; more are named instead."""


@dataclass(frozen=True)
class _Base:
    """A folder or prefix that files were found below.

    Attributes:
        said: how the configuration names it; empty for the project folder.
        name: what a feature may be called after.
    """

    said: str
    name: str

    def path(self, inner: str) -> str:
        """How the configuration names a file below it."""
        return f"{self.said.rstrip('/')}/{inner}" if self.said else inner


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
    _samples: dict[str, Sample] = field(default_factory=dict)

    def look(self, paths: Sequence[str]) -> list[Guess]:
        """Guess what the records at some paths are; several are files that may be of one graph.

        Raises:
            GuessError: if nothing can be made of them.
            SourceError: if a source would refuse what is there.
        """
        if len(paths) == 1:
            return self._named(self._at(paths[0]))
        guesses: list[Guess] = []
        files = [self._local(path) for path in paths if not is_uri(path)]
        if len(files) == len(paths) and all(file.is_file() for file in files):
            entries = [walking.Entry(file.name, Local(file), _size(file)) for file in files]
            if all(self._sort(entry) == "table" for entry in entries):
                base = _Base("", self.wishes.name or files[0].stem)
                return self._named(
                    self._tables(base, entries, [self._said(file) for file in files])
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
        local = self._local(path)
        if os.path.lexists(local):
            return self._folder(local) if local.is_dir() else self._file(local)
        if MAGIC.search(path):
            return self._pattern(path)
        begin = "" if local.suffix else f" (`vecmill init --project {path}` begins a project there)"
        raise GuessError(f"there is no {path}{_near(local)}{begin}")

    def _local(self, path: str) -> Path:
        joined = self.here / Path(path).expanduser()
        return Path(os.path.abspath(joined))  # noqa: PTH100 - drops "..", leaves links as they are

    def _said(self, path: Path) -> str:
        """A path as the configuration names it: from the project folder if it lies there."""
        if path == self.root:
            return ""
        inside = path.is_relative_to(self.root)
        return (path.relative_to(self.root) if inside else path).as_posix()

    def _database(self, url: str) -> Guess:
        """A guess for a database; the path of one that is a file is taken from here."""
        scheme, _, path = url.partition(":///")
        if scheme in {"sqlite", "duckdb"} and path and "${" not in path:
            url = f"{scheme}:///{self._said(self._local(path))}"
        return of_database(url, self.root, self.wishes, self.choose)

    def _file(self, path: Path) -> list[Guess]:
        entry = walking.Entry(path.name, Local(path), _size(path))
        base = _Base(self._said(path.parent), path.name.split(".")[0])
        return self._one(entry, base, self._said(path))

    def _one(self, entry: Entry, base: _Base, said: str) -> list[Guess]:
        """A guess for a file by itself."""
        sort = self._sort(entry)
        if sort in {"sqlite", "duckdb"}:
            return [of_database(f"{sort}:///{said}", self.root, self.wishes, self.choose)]
        if sort is None:
            raise GuessError(f"{said} {_unread(entry)}")
        if sort in {"table", "text"}:
            return [self._table(base.name, said, entry.file, entry.size)]
        modality: Modality = "image" if sort == "image" else "audio"
        guess = of_files(base.name, base.said, [entry.inner], modality, self.wishes, path=said)
        return [self._shown(guess, entry)]

    def _shown(self, guess: Guess, entry: Entry) -> Guess:
        """A guess with a search to try: like the first file, or by its first words."""
        if guess.modality == "text":
            text = reading.head(entry.file, kinds.HEAD).decode(errors="replace")
            return replace(guess, example=("--text", " ".join(text.split()[:6])))
        if isinstance(entry.file, Local):
            return replace(guess, example=(f"--{guess.modality}", self._said(entry.file.path)))
        return guess

    def _sort(self, entry: Entry) -> Sort | None:
        """What a file is; of one whose ending says nothing, by its first bytes."""
        sort = kinds.by_name(entry.inner)
        if sort is None and kinds.suffix(entry.inner).lower() not in kinds.UNREAD:
            try:
                sort = kinds.by_bytes(reading.head(entry.file, kinds.HEAD))
            except OSError as error:
                raise GuessError(
                    f"{entry.inner} cannot be read: {error.strerror}; check its rights"
                ) from error
        return sort

    def _sample(self, said: str, file: File) -> Sample:
        """The first rows of a table, read once."""
        if said not in self._samples:
            try:
                self._samples[said] = reading.of_file(file, said, self.root)
            except OSError as error:
                why = error.strerror or error
                raise GuessError(f"{said} cannot be read: {why}; check its rights") from error
        return self._samples[said]

    def _table(self, name: str, said: str, file: File, size: int | None) -> Guess:
        sample = self._sample(said, file)
        place = Place("table", (Line("path", said),), _what(said, sample.form), size)
        return of_table(name, place, sample, self.wishes)

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
        return self._walked(walked, _Base(self._said(folder), folder.name))

    def _address(self, uri: str) -> list[Guess]:
        if MAGIC.search(uri):
            return self._pattern(uri)
        one = exists(uri) if not uri.endswith("/") else None
        if one is not None:
            folder, _, name = uri.rpartition("/")
            entry = walking.Entry(name, one, one.look().size)
            return self._one(entry, _Base(folder, name.split(".")[0]), uri)
        walked = walking.remote(uri)
        if not walked.entries:
            raise GuessError(
                f"no object lies at or below {uri}; check the address, and that what is in the "
                "environment may list it"
            )
        return self._walked(walked, _Base(uri.rstrip("/"), uri.rstrip("/").rpartition("/")[2]))

    def _pattern(self, path: str) -> list[Guess]:
        """What a path with wildcards names: one source, by that path."""
        root = self.root if is_uri(path) else self.here
        walked = walking.matching(path, root)
        if not walked.entries:
            raise GuessError(f"no file matches {path!r}; check it, or name the folder")
        sorts = {self._sort(entry) for entry in walked.entries[:50]}
        said = path if is_uri(path) or self.here == self.root else self._said(self._local(path))
        parts = PurePosixPath(path.partition("://")[2] or path).parts
        plain = [part for part in parts if not MAGIC.search(part)]
        base = _Base("", plain[-1] if plain else self.root.name)
        if len(sorts) > 1 or None in sorts:
            found = ", ".join(sorted(kinds.PLURAL.get(str(s), "others") for s in sorts))
            raise GuessError(f"{path!r} matches {found}; make a pattern of each")
        sort = sorts.pop()
        if sort == "table":
            entry = walked.entries[0]
            size = _bytes(walked.entries)
            guess = self._table(base.name, str(entry.file.text), entry.file, size)
            what = f"{units.several(len(walked.entries), 'file')}, the first: {guess.what}"
            return [replace(guess, what=what, source=(Line("path", said), *guess.source[1:]))]
        modality: Modality = "image" if sort == "image" else "audio" if sort == "audio" else "text"
        names = [entry.inner for entry in walked.entries]
        guess = of_files(base.name, "", names, modality, self.wishes, path=said, whole=walked.whole)
        guess = replace(guess, size=_bytes(walked.entries))
        return [self._shown(guess, walked.entries[0])]

    def _walked(self, walked: Walked, base: _Base) -> list[Guess]:
        """A guess for each kind of record below a folder."""
        found = groups.grouped(walked.entries, self._sort)
        for said in found.passed:
            self.note(said)
        if not walked.whole:
            self.note(f"only the first {len(walked.entries):,} files were looked at")
        guesses = self._tables(base, found.tables) if found.tables else []
        several = len(found.media) + bool(guesses) > 1
        for modality, entries in found.media.items():
            name = f"{base.name}_{kinds.PLURAL[modality]}" if several else base.name
            names = [entry.inner for entry in entries]
            path = None if _ended(names) else [base.path(name) for name in names]
            guess = of_files(
                name, base.said, names, modality, self.wishes, path=path, whole=walked.whole
            )
            guesses.append(self._shown(replace(guess, size=_bytes(entries)), entries[0]))
        for entry in found.databases:
            guesses += self._one(entry, base, base.path(entry.inner))
        if not guesses:
            raise GuessError(f"nothing in {base.said or 'this folder'} is read as records")
        return guesses

    def _tables(
        self, base: _Base, entries: Sequence[Entry], said: Sequence[str] | None = None
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
                guess = self._table(name, named[first.inner], first.file, _bytes(part))
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

    def _names(self, entry: Entry, said: str) -> tuple[str, ...]:
        """The ending and the columns of a table, by which it goes with others."""
        sample = self._sample(said, entry.file)
        return kinds.suffix(entry.inner).lower(), *sample.frame.columns

    def _graph(
        self, base: _Base, parts: Sequence[Sequence[Entry]], named: dict[str, str]
    ) -> Guess | None:
        if any(len(part) != 1 for part in parts):
            return None
        both = [(named[e.inner], self._sample(named[e.inner], e.file)) for [e] in parts]
        size = _bytes([part[0] for part in parts])
        named_ends = sorted((both, both[::-1]), key=lambda two: ends(two[1][1].frame) is None)
        for nodes, edges in named_ends:
            guess = of_graph(base.name, nodes, edges, size, self.wishes)
            if guess is not None:
                return guess
        return None


def _bytes(entries: Sequence[Entry]) -> int | None:
    """What there is to read; None where it has to be fetched."""
    if any(not isinstance(entry.file, Local) for entry in entries):
        return None
    return sum(entry.size or 0 for entry in entries)


def _ended(names: Sequence[str]) -> bool:
    """Whether every file has an ending that says what it is, so that a pattern may name it."""
    return all(kinds.by_name(name) is not None for name in names)


def _what(said: str, form: str) -> str:
    shown = {"lines": "a text a line", "jsonl": "JSON Lines", "parquet": "Parquet"}
    return f"{said}: {shown.get(form, form.upper())}"


def _unread(entry: Entry) -> str:
    end = kinds.suffix(entry.inner).lower()
    if end in kinds.UNREAD:
        return f"is not read as it is: {kinds.UNREAD[end]}"
    if entry.size == 0:
        return "is empty; put records there, or name another"
    return (
        "is in no format that is read here, by its name or its first bytes; tables are CSV, TSV, "
        "JSON Lines or Parquet, databases SQLite or DuckDB, and texts, images and recordings files"
    )


def _near(path: Path) -> str:
    """What may have been meant by a path that is not there."""
    parent = path.parent
    while not parent.is_dir():
        path, parent = parent, parent.parent
    try:
        names = sorted(entry.name for entry in parent.iterdir() if not entry.name.startswith("."))
    except OSError:
        names = []
    near = nearest(path.name, names)
    if near is not None:
        return f"; did you mean {parent / near}?"
    if not names:
        return f", and {parent} is empty"
    return f"; {parent} has {', '.join(names[:8])}{' …' if len(names) > 8 else ''}"  # noqa: PLR2004 - enough to know it by


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
