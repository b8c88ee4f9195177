"""The tables of a LanceDB folder or URI: opening, listing and dropping them, with our errors."""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from storage.damage import plain
from storage.model import OutageError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

OUTAGE = (
    "connection refused", "dns error", "error sending request", "failed to connect",
    "retryerror", "service unavailable", "slow down", "timed out",
)  # fmt: skip
_TOGETHER = (
    "the catalog and the vectors belong together: restore both from one backup, or, where [store] "
    "vectors names another place than before, set it back"
)
_PROBE = ".vecmill-probe"
_ERRORS = (ValueError, OSError, RuntimeError)
"""What LanceDB raises; of a manifest that was cut short also a nameless RustPanic."""


class Tables:
    """The tables under a folder or object-store URI."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._pinned: tuple[tuple[str, int], Any] | None = None
        self._read_again: tuple[tuple[str, int], Any] | None = None

    def _db(self) -> Any:  # noqa: ANN401 - lancedb ships no types
        import lancedb

        return lancedb.connect(self._uri)

    def open(self, table: str) -> Any:  # noqa: ANN401 - as above
        """A table as LanceDB's own, at its head.

        Raises:
            StorageError: if it is not there, or cannot be opened.
        """
        folder = self.folder
        if folder is not None and not folder.is_dir():  # LanceDB would make it
            raise StorageError(
                f"the table {table!r} cannot be opened: there is no folder {folder}; {_TOGETHER}"
            )
        try:
            with self.reaching():
                return self._db().open_table(table)
        except Exception as error:
            if not isinstance(error, _ERRORS) and type(error).__name__ != "RustPanic":
                raise
            raise StorageError(
                f"the table {table!r} cannot be opened in {self._shown}: {error}; {_TOGETHER}"
            ) from error

    def at(self, table: str, lance_version: int) -> Any:  # noqa: ANN401 - as above
        """A table as LanceDB's own, at one Lance version.

        Raises:
            StorageError: if the table or the version is not there.
        """
        opened = self.open(table)
        try:
            with self.reaching():
                opened.checkout(lance_version)
        except (ValueError, OSError, RuntimeError) as error:
            raise StorageError(
                f"{table!r} has no Lance version {lance_version} in {self._shown}: {error}"
            ) from error
        return opened

    def pinned(self, table: str, lance_version: int) -> Any:  # noqa: ANN401 - as above
        """As `at`; the last one is kept, so that a session's searches share what they have read.

        Indexes are read when they are first asked, which takes longer than a search.
        """
        key = (table, lance_version)
        held = self._pinned
        if held is None or held[0] != key:
            held = self._pinned = (key, self.at(table, lance_version))
        return held[1]

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Tell an object store that does not answer from one that answers no.

        Lance gives plain errors for both, so the words of the message have to do.
        """
        try:
            yield
        except (ValueError, OSError, RuntimeError) as error:
            if "://" not in self._uri or not any(w in str(error).lower() for w in OUTAGE):
                raise
            raise OutageError(
                f"{self._shown} cannot be reached just now: {plain(str(error))}; check the "
                "network and the store's address and credentials, and run again"
            ) from error

    @property
    def _shown(self) -> str:
        """The URI as it may be shown: without a name and password in it."""
        return re.sub(r"//[^/@]*@", "//", self._uri)

    # --- upkeep: for what cleans up and looks after a store, never for readers --------------------

    def head(self, table: str) -> Any:  # noqa: ANN401 - as above
        """A table as Lance's own dataset at its head, whether that is published or not.

        Raises:
            StorageError: if the table is not there.
        """
        return self._dataset(table, None)

    def state(self, table: str, lance_version: int) -> Any:  # noqa: ANN401 - as above
        """A table as Lance's own dataset at one Lance version, its vectors as they are held.

        Raises:
            OutageError: if an object store does not answer.
            StorageError: if the table or the version is not there.
        """
        return self._dataset(table, lance_version)

    def read_again(self, table: str, lance_version: int) -> Any:  # noqa: ANN401 - as above
        """As `state`; the last one is kept, as by `pinned`."""
        key = (table, lance_version)
        held = self._read_again
        if held is None or held[0] != key:
            held = self._read_again = (key, self.state(*key))
        return held[1]

    def _dataset(self, table: str, lance_version: int | None) -> Any:  # noqa: ANN401 - as above
        """A table as Lance opens it, without LanceDB: importing that takes a second."""
        import lance

        try:
            with self.reaching():
                return lance.dataset(self.place(table), version=lance_version)
        except OutageError:
            raise  # LanceDB would wait for the same store once more
        except BaseException as error:
            # Of some damage Lance makes a PanicException, which is no Exception.
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
        # LanceDB tells what is wrong, and how to go on.
        opened = self.open(table) if lance_version is None else self.at(table, lance_version)
        return opened.to_lance()

    def is_there(self, table: str) -> bool:
        """Whether there is a table of this name, that of a run which ended early included.

        Raises:
            OutageError: if an object store does not answer.
            StorageError: if it refuses, as where the bucket is not there.
        """
        import lance

        try:
            with self.reaching():
                lance.dataset(self.place(table))
        except (ValueError, OSError, RuntimeError) as error:
            absent = "was not found" in str(error)
            if "://" not in self._uri and not absent:
                raise
            # A bucket that is not there comes with an answer of the store.
            code, told = _answer(error)
            if absent and code != "NoSuchBucket":
                return False
            raise StorageError(
                f"{self._shown} cannot be read: {told}; check that the bucket is there, and the "
                "credentials"
            ) from error
        return True

    def check_writable(self, table: str) -> None:
        """Write something where a table's rows are to go, and take it away again.

        In an object store among its own, since rights there may go by the beginning of a name; in a
        folder beside the tables.

        Raises:
            OutageError: if an object store does not answer.
            StorageError: if nothing can be written there.
        """
        folder = self.folder
        try:
            if folder is None:
                self._write_object(f"{self.place(table)}/data")
            else:
                # Where the folder is not there yet, a run is to make it.
                there = next(path for path in (folder, *folder.parents) if path.exists())
                with TemporaryDirectory(prefix=".vecmill-", dir=there):
                    pass
        except OutageError:
            raise
        except (ValueError, OSError, RuntimeError) as error:
            told = error.strerror if isinstance(error, OSError) and error.errno else None
            what = "that it is a folder, and" if folder else "that the bucket is there, and"
            raise StorageError(
                f"{self._shown} cannot be written: {told or _answer(error)[1]}; nothing was "
                f"encoded. Check `vectors` in [store]: {what} that you may write there"
            ) from error

    def _write_object(self, place: str) -> None:
        from lance.file import LanceFileSession

        with self.reaching(), TemporaryDirectory() as scratch:
            file = Path(scratch) / _PROBE
            file.write_bytes(b"vecmill")
            session = LanceFileSession(place)
            session.upload_file(file, _PROBE)
            # Who may write and not delete can run; another run may have taken it away, too.
            with suppress(*_ERRORS):
                session.delete_file(_PROBE)

    def write(self, rows: pa.RecordBatchReader, target: Any, mode: str) -> Any:  # noqa: ANN401 - as above
        """Write rows as LanceDB would, and give the dataset that they make.

        Args:
            rows: in any number of batches.
            target: where to, or the dataset to append to.
            mode: ``create``, ``overwrite`` or ``append``.
        """
        import lance

        return lance.write_dataset(rows, target, mode=mode)

    def place(self, table: str) -> str:
        """Where a table lies: LanceDB finds it there by its name."""
        return f"{self._uri.rstrip('/')}/{table}.lance"

    def tables(self) -> list[str]:
        """The names of all tables, whether the catalog knows them or not."""
        folder = self.folder
        if folder is not None and not folder.is_dir():
            return []  # LanceDB would make it
        names: list[str] = []
        token = None
        with self.reaching():
            db = self._db()
            while True:
                page = db.list_tables(page_token=token)
                names += page.tables
                token = page.page_token
                if not token:
                    return names

    def drop(self, table: str) -> None:
        """Remove a table with all its Lance versions; one that is not there is no fault."""
        self._pinned = self._read_again = None
        if self.folder is not None and not self.folder.is_dir():
            return
        with self.reaching():
            try:
                self._db().drop_table(table)
            except ValueError as error:
                if "not found" not in str(error):
                    raise

    @property
    def folder(self) -> Path | None:
        """The folder that the tables lie in, None in an object store."""
        return None if "://" in self._uri else Path(self._uri)


def _answer(error: BaseException) -> tuple[str | None, str]:
    """What an object store said: its code, where it answered as S3 does, in XML, and its words."""
    code = re.search(r"<Code>(.*?)</Code>", str(error), re.DOTALL)
    if code is None:
        return None, str(error)
    said = re.search(r"<Message>(.*?)</Message>", str(error), re.DOTALL)
    return code[1], f"{said[1] if said else 'no'} ({code[1]})"
