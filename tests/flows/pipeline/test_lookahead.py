"""Decoding ahead of the encoder: in order, within bounds, and with nothing left behind."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.output.progress import Silent
from flows.pipeline import batches
from flows.pipeline.encode import Bounds, EncodingError, encode_shard
from flows.pipeline.lookahead import Lookahead, Room
from storage.ids import hash_bytes
from storage.staging import Spool
from tests.flows.pipeline.test_batches import answers
from tests.flows.pipeline.test_media import picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

    from encoders.base import Json, Metric, Modality

LONG = 60.0


@dataclass
class Watched:
    """Work of known sizes, that counts what is begun and what is taken."""

    sizes: list[int]
    begun: int = 0
    making: int = 0
    most_making: int = 0
    order: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def make(self, at: int) -> tuple[int, int]:
        with self.lock:
            self.begun += 1
            self.making += 1
            self.most_making = max(self.most_making, self.making)
        with self.lock:
            self.making -= 1
        return at, self.sizes[at]


def decoders() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("decoder")]


@given(
    sizes=st.lists(st.integers(0, 50), max_size=60),
    threads=st.integers(1, 5),
    items=st.integers(1, 9),
    size=st.integers(1, 100),
)
def test_all_come_in_order_and_within_bounds(
    sizes: list[int], threads: int, items: int, size: int
) -> None:
    work = Watched(sizes)
    works = (partial(work.make, at) for at in range(len(sizes)))
    found = []
    with Lookahead(works, lambda made: made[1], Room(threads, items, size)) as ahead:
        for at, weight in ahead:
            found.append((at, weight))
            assert work.begun - len(found) <= items
            untaken = sum(sizes[len(found) : work.begun])
            assert untaken < size + threads * max(sizes, default=0)
    assert found == list(enumerate(sizes))
    assert work.most_making <= threads
    assert decoders() == []


def test_work_goes_on_while_what_was_taken_is_looked_at() -> None:
    done = [threading.Event() for _ in range(12)]

    def make(at: int) -> int:
        done[at].set()
        return at

    with Lookahead((partial(make, at) for at in range(12)), lambda _: 1, Room(2, 4, 100)) as ahead:
        for at in ahead:
            for later in done[at : at + 5]:
                assert later.wait(LONG), "what comes next is not made until it is asked for"


def test_an_error_stands_in_its_place() -> None:
    def make(at: int) -> int:
        if at % 3 == 1:
            raise OSError(f"no {at}")
        return at

    with Lookahead((partial(make, at) for at in range(8)), lambda _: 1, Room(3, 5, 100)) as ahead:
        assert next(ahead) == 0
        with pytest.raises(OSError, match="no 1"):
            next(ahead)
        assert [next(ahead), next(ahead)] == [2, 3]
        with pytest.raises(OSError, match="no 4"):
            next(ahead)
        assert next(ahead) == 5
        with pytest.raises(OSError, match="no 7"):
            list(ahead)
        assert list(ahead) == []


def test_leaving_ends_what_is_under_way_and_begins_nothing_more() -> None:
    work = Watched([1] * 1000)
    works = (partial(work.make, at) for at in range(1000))
    ahead = Lookahead(works, lambda made: made[1], Room(3, 10, 100))

    def interrupted() -> None:
        with ahead:
            next(ahead)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert work.begun <= 11
    assert decoders() == []
    assert list(ahead) == []


# --- through an encoder ---------------------------------------------------------------------------


@dataclass
class Means:
    """The mean colour of an image, and its size; fails where it is told to."""

    modality: ClassVar[Modality] = "image"
    batch_size: int = 4
    dim: int = 3
    metric: Metric = "l2"
    breaks: bool = False
    calls: list[int] = field(default_factory=list)

    def recipe(self) -> dict[str, Json]:
        return {"kind": "means"}

    def encode(self, batch: Sequence[Image.Image]) -> NDArray[np.float32]:
        self.calls.append(len(batch))
        if self.breaks:
            raise EncodingError("broken")
        rows = [np.asarray(image, np.float32).mean(axis=(0, 1)) for image in batch]
        return np.array(rows, np.float32).reshape(-1, 3)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A shard of thirty pictures; every seventh is none, and the tenth has changed."""
    paths = [tmp_path / f"{n}.png" for n in range(30)]
    for n, path in enumerate(paths):
        picture(path, n)
        if n % 7 == 3:
            path.write_bytes(b"rubbish %d" % n)
    hashes = [hash_bytes(path.read_bytes()) for path in paths]
    picture(paths[9], 99)
    names = list(map(str, paths))
    spool = Spool(tmp_path / "run", 100)
    spool.add(
        pl.DataFrame({"record_id": names, "place": names, "content": names, "content_hash": hashes})
    )
    (shard,) = spool.close()
    return shard


def test_any_number_of_decoders_gives_the_same(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {}
    for threads, held in ((1, 2**28), (2, 2**28), (7, 1)):
        monkeypatch.setattr(batches, "_HELD", held)
        encoder = Means()
        receipt = encode_shard(encoder, pictures, Silent(), Bounds(decoders=threads))
        assert (receipt.encoded, receipt.dead) == (25, 5)
        found[threads] = answers(receipt.staged)
        for path in receipt.staged:
            path.unlink()
        assert (set(encoder.calls) == {1}) == (held == 1)
    assert found[1] == found[2] == found[7]
    reasons = [reason for _, reason, _ in found[1].values() if reason]
    assert sum("in no image format" in reason for reason in reasons) == 4
    assert [lasting for _, _, lasting in found[1].values()].count(False) == 1


def test_no_thread_is_left_after_an_error(pictures: Path) -> None:
    with pytest.raises(EncodingError, match="broken"):
        encode_shard(Means(breaks=True), pictures, Silent())
    assert decoders() == []
