"""Many tasks, of which only so many are under way at once."""

from __future__ import annotations

from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

S = TypeVar("S")
T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Promise(Protocol[T_co]):
    """A future, be it of Prefect's or of the standard library."""

    def add_done_callback(self, fn: Callable[[Any], None], /) -> None:
        """Have a function called once it is done."""

    def result(self) -> T_co:
        """What came of it; raises what it raised."""
        ...


def results(items: Iterable[S], submit: Callable[[S], Promise[T]], most: int) -> Iterator[T]:
    """What comes of each item, in the order in which that is done.

    Once one has failed no more are begun. Those under way are waited for before the error is
    raised: a task must not outlive its run's lock.

    Args:
        items: taken one by one, as there is room for them.
        submit: begins the task of an item.
        most: how many tasks are under way at once.
    """
    left = iter(items)
    done: SimpleQueue[Promise[T]] = SimpleQueue()
    under_way = 0
    failed: Exception | None = None
    while True:
        for item in islice(left, most - under_way if failed is None else 0):
            submit(item).add_done_callback(done.put)
            under_way += 1
        if not under_way:
            break
        promise = done.get()
        under_way -= 1
        try:
            yield promise.result()
        except Exception as error:  # noqa: BLE001 - raised below
            failed = failed or error
    if failed is not None:
        raise failed
