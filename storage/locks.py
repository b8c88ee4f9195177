"""One run at a time for a feature, over all processes that share the store."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def exclusive(
    path: Path, what: str, wait_seconds: float, on_wait: Callable[[str], None]
) -> Iterator[None]:
    """Hold the lock file at ``path``; the system frees it when the process dies, however it dies.

    Args:
        path: the lock file; its folder is made.
        what: what is locked, for messages.
        wait_seconds: how long to wait for another holder.
        on_wait: told once, in a sentence, if there is another holder.

    Raises:
        StorageError: if the other holder outlasts the wait.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait(f"another run of {what} is under way; waiting up to {wait_seconds:g} s for it")
        try:
            lock.acquire(timeout=wait_seconds)
        except Timeout as error:
            raise StorageError(
                f"another run of {what} still holds {path} after {wait_seconds:g} s; wait for it "
                "to end, or raise wait_seconds in [engine]"
            ) from error
        except BaseException as error:  # whoever is told of the end need hear of nothing else
            error.add_note(f"it was only waiting for another run of {what}")
            raise
    try:
        yield
    finally:
        lock.release()


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock file at ``path``, tried without waiting; makes no folder.

    On a file system that is read only here nobody can tell: then it counts as held.
    """
    from filelock import FileLock, Timeout

    if not path.exists():
        return True
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return False
    lock.release()
    return True
