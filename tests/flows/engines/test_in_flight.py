"""Only so many tasks at once, and none begun after one has failed."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from flows.engines.in_flight import results

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_everything_is_done_and_no_more_at_once_than_asked_for() -> None:
    begun: list[Future[int]] = []
    most = 0

    def submit(item: int) -> Future[int]:
        nonlocal most
        future: Future[int] = Future()
        begun.append(future)
        most = max(most, sum(not one.done() for one in begun))
        if len(begun) >= 4:  # all that there is room for, so the oldest is done
            begun[item - 3].set_result(item - 3)
        return future

    found = []
    for one in results(range(40), submit, 4):
        found.append(one)
        if one == 36:
            for late in (39, 37, 38):
                begun[late].set_result(late)
    assert found == [*range(37), 39, 37, 38], "in the order in which they were done"
    assert most == 4


def test_nothing_is_taken_before_there_is_room() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(10):
            taken.append(item)
            yield item

    with ThreadPoolExecutor(2) as pool:
        stream = results(items(), partial(pool.submit, int), 2)
        next(stream)
        assert len(taken) == 2
        assert sum(1 for _ in stream) == 9


def test_none_is_begun_after_one_failed_and_those_under_way_are_waited_for() -> None:
    begun: list[int] = []
    ended: list[int] = []
    failed = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            failed.set()
            raise ValueError("broken")
        failed.wait(60)
        ended.append(item)
        return item

    with ThreadPoolExecutor(3) as pool:

        def submit(item: int) -> Future[int]:
            begun.append(item)
            return pool.submit(work, item)

        stream = results(range(100), submit, 3)
        found: list[int] = []
        with pytest.raises(ValueError, match="broken"):
            found.extend(stream)
        assert sorted(ended) == [item for item in sorted(begun) if item != 1], "one was left behind"
    assert len(begun) <= 5


def test_nothing_to_do_is_done() -> None:
    assert list(results([], lambda _: Future[int](), 3)) == []
