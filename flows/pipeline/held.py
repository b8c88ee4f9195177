"""The locks of a feature and of all that is made of it, held together."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from flows.config.stores import Stores
from flows.pipeline import kin
from storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flows.config.settings import Settings
    from flows.output.progress import Reporter


@contextmanager
def with_descendants(
    settings: Settings, names: Iterable[str], reporter: Reporter
) -> Iterator[list[str]]:
    """Hold the locks of features and of those over them: no run of any of them is under way.

    A run reads the states that its feature's parts had when it began, and holds the lock of its
    feature alone. Who takes states away from a part therefore waits for such runs too.

    Yields:
        All of these features, what is over another before that other. That is also the order in
        which they are locked, so that two who do so never wait for each other.

    Raises:
        StorageError: if another holder outlasts ``wait_seconds``.
    """
    stores = Stores.of(settings)
    order = with_those_over(settings, names)
    with ExitStack() as stack:
        for name in order:
            lock = stores.locks / f"{name}.lock"
            wait = settings.engine.wait_seconds
            stack.enter_context(exclusive(lock, name, wait, reporter.note))
        yield order


def with_those_over(settings: Settings, names: Iterable[str]) -> list[str]:
    """Features and those over them, what is over another before that other."""
    asked = list(names)
    found = {*asked, *(over for name in asked for over in kin.descendants(settings.features, name))}
    known = reversed(kin.ordered(settings.features, settings.features))
    unknown = sorted(found - set(settings.features))
    return [*(name for name in known if name in found), *unknown]


@contextmanager
def drawing(settings: Settings, feature: str, reporter: Reporter) -> Iterator[None]:
    """Hold the lock of a feature's maps; runs of it may go on.

    Raises:
        StorageError: if another holder outlasts ``wait_seconds``.
    """
    lock = Stores.of(settings).locks / f"{feature}.maps.lock"
    wait = settings.engine.wait_seconds
    with exclusive(lock, f"the maps of {feature}", wait, reporter.note):
        yield


@contextmanager
def sketching(settings: Settings, feature: str, reporter: Reporter) -> Iterator[None]:
    """Hold the lock of a feature's sketches; runs of it may go on.

    Raises:
        StorageError: if another holder outlasts ``wait_seconds``.
    """
    wait = settings.engine.wait_seconds
    lock = Stores.of(settings).locks / sketches_lock(feature)
    with exclusive(lock, f"the sketches of {feature}", wait, reporter.note):
        yield


def sketches_lock(feature: str) -> str:
    """The name of the file that who makes or erases sketches holds."""
    return f"{feature}.sketches.lock"
