"""Batches by what the caches of a processor hold."""

from __future__ import annotations

import pytest

from encoders._cached import TOKENS, bound, budget, parts, tokens_in

SIZES = [5, 300, 40, 40, 7, 1200, 1, 64, 63, 300]


@pytest.mark.parametrize(("rows", "budget"), [(3, 100), (64, 600), (2, None), (64, 1)])
def test_every_record_is_in_one_part_of_like_records(rows: int, budget: int | None) -> None:
    found = list(parts(SIZES, rows, budget))
    assert sorted(place for part in found for place in part) == list(range(len(SIZES)))
    lengths = [SIZES[place] for part in found for place in part]
    assert lengths == sorted(SIZES, reverse=True)
    for part in found:
        assert len(part) <= rows
        padded = len(part) * max(SIZES[place] for place in part)
        assert budget is None or padded <= budget or len(part) == 1


def test_parts_are_as_full_as_they_may_be() -> None:
    assert [len(part) for part in parts([10] * 7, 64, 30)] == [3, 3, 1]
    assert [len(part) for part in parts([10] * 7, 4, None)] == [4, 3]


def test_empty_records_have_a_place() -> None:
    assert list(parts([0, 0], 64, 1)) == [[0], [1]]
    assert list(parts([], 64, 100)) == []


def test_only_processors_are_bound() -> None:
    assert bound("cpu", 1024) == 1024
    assert bound("cuda:1", 1024) is None


def test_on_an_accelerator_it_is_what_half_of_its_free_memory_holds() -> None:
    gigabyte = 2**30
    some = tokens_in(8 * gigabyte, 1024, 4)
    assert some == 8 * gigabyte // 2 // (40 * 1024 * 4)
    assert tokens_in(8 * gigabyte, 2048, 4) == some // 2
    assert tokens_in(8 * gigabyte, 1024, 2) == some * 2
    assert tokens_in(139 * gigabyte, 384, 4) == 2**16, "more keeps no accelerator busier"
    assert tokens_in(0, 1024, 4) == 1, "one text alone is always tried"


def test_on_a_processor_it_is_what_its_caches_hold() -> None:
    assert budget("cpu", 384) == TOKENS
    assert budget("mps", 384) is None
