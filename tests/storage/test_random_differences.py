"""Whatever chunks a source comes in, what is taken of it is what plain Python takes."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from storage.difference import Difference
from tests.storage.conftest import reader

KEPT = pa.schema([("label", pa.int64())])
BASE = ("a", "b", "gone")
"""Published ids; the content of each is its id, its label its number."""


@dataclass(frozen=True)
class Row:
    """A record of the source; without an id it goes by its content, day 0 is no time."""

    record_id: str | None
    content: str
    label: int
    day: int

    @property
    def content_hash(self) -> str:
        return f"hash {self.content}"

    @property
    def name(self) -> str:
        return self.content_hash if self.record_id is None else self.record_id

    @property
    def time(self) -> datetime | None:
        return datetime(2026, 1, self.day, tzinfo=UTC) if self.day else None


Taken = dict[tuple[str, datetime | None], tuple[Row, int, str]]
"""Rows by what they go by, each with its number in its chunk and its place."""


@dataclass
class Oracle:
    """What `Difference.add` is to take, worked out row by row.

    Attributes:
        base: content hash and label by published id.
        staged, failed: contents of an interrupted run.
        dead: record id, place and reason of each dead letter.
    """

    history: bool
    base: dict[str, tuple[str, int]]
    staged: set[str]
    failed: set[str]
    taken: Taken = field(default_factory=dict)
    dead: list[tuple[str, str, str]] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    met: set[str] = field(default_factory=set)
    read: int = 0
    records: int = 0

    def __post_init__(self) -> None:
        published = {content for content, _ in self.base.values()}
        self.known = published | self.staged | self.failed
        self.met = set(published)

    def add(self, chunk: list[Row], limit: int | None) -> tuple[list[int], list[int]]:
        """Take in a chunk.

        Returns:
            The numbers, within the chunk, of the records to encode, and of those new to the
            version.
        """
        offset, self.read = self.read, self.read + len(chunk)
        before = Counter(row.content_hash for row, _, _ in self.taken.values())
        comes = Counter[str]()
        here: Taken = {}
        for at, row in enumerate(chunk):
            name, place = row.name, f"f:{offset + at}"
            comes[name] += 1
            if name == row.content_hash and comes[name] + before[name] > 1:
                name = f"{name}#{comes[name] + before[name]}"
            if self.history and row.time is None:
                self.dead.append((name, place, "no event time"))
                continue
            identity = (name, row.time if self.history else None)
            first = self.taken.get(identity) or here.get(identity)
            if first:
                self.dead.append((name, place, f"first seen at {first[2]}"))
            else:
                here[identity] = (row, at, place)
        wanted = self._wanted(here)
        left = set() if limit is None else {*[*wanted][limit:]}
        wanted = {content: at for content, at in wanted.items() if content not in left}
        kept = {i: one for i, one in here.items() if one[0].content_hash not in left}
        self.records += len(chunk) - (len(here) - len(kept))
        fresh: dict[str, int] = {}
        for row, at, _ in kept.values():
            if row.content_hash not in self.met:
                fresh.setdefault(row.content_hash, at)
        self.taken |= kept
        self.known |= wanted.keys()
        self.met |= fresh.keys()
        return [*wanted.values()], sorted(fresh.values())

    def _wanted(self, here: Taken) -> dict[str, int]:
        wanted: dict[str, int] = {}
        for row, at, _ in here.values():
            if row.content_hash not in self.known:
                wanted.setdefault(row.content_hash, at)
        return wanted

    def tally(self) -> dict[str, int]:
        """The counts of records that are published by their ids."""
        counts = Counter(dict.fromkeys(("new", "changed", "updated", "unchanged"), 0))
        for (name, _), (row, _, place) in self.taken.items():
            old = self.base.get(name)
            if row.content_hash in self.failed - {content for content, _ in self.base.values()}:
                self.dead.append((name, place, "no good"))
            elif old is None:
                counts["new"] += 1
            elif old[0] != row.content_hash:
                counts["changed"] += 1
            else:
                same = row.time is None and row.label == old[1]
                counts["unchanged" if same else "updated"] += 1
        names = {name for name, _ in self.taken} | {name for name, _, _ in self.dead}
        return {**counts, "deleted": len(self.base.keys() - names)}


ROWS = st.builds(
    Row,
    st.sampled_from(["a", "b", "c", "d", "a#2", "", None, None]),
    st.sampled_from(["a", "b", "wheel", "grain", "flour", "a#2"]),
    st.integers(0, 1),
    st.integers(0, 2),
)
CHUNKS = st.lists(st.lists(ROWS, max_size=6), min_size=1, max_size=4)
CONTENTS = st.sets(st.sampled_from(["a", "wheel", "grain"]))


REFUSED = [[Row("a", "b", 0, 0), Row("a", "wheel", 0, 0)], [Row("b", "wheel", 0, 0)]]
"""The first record with a content is refused for its id, and only the second is taken."""


@pytest.mark.slow
@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    chunks=CHUNKS,
    history=st.booleans(),
    published=st.booleans(),
    staged=CONTENTS,
    failed=st.sets(st.sampled_from(["b", "flour"])),
    limit=st.none() | st.integers(0, 4),
)
@example(chunks=REFUSED, history=False, published=False, staged={"wheel"}, failed=set(), limit=None)
def test_what_is_taken_of_a_source_is_what_the_oracle_takes(
    *,
    chunks: list[list[Row]],
    history: bool,
    published: bool,
    staged: set[str],
    failed: set[str],
    limit: int | None,
) -> None:
    rows = {name: (f"hash {name}", n) for n, name in enumerate(BASE)} if published else {}
    oracle = Oracle(history, rows, {f"hash {c}" for c in staged}, {f"hash {c}" for c in failed})
    with tempfile.TemporaryDirectory() as folder:
        base = ds.dataset(reader(BASE).read_all()) if published else None
        difference = Difference(Path(folder) / "scratch", base, KEPT, history=history)
        try:
            _told(difference, oracle)
            left = limit
            for chunk in chunks:
                wanted, fresh = oracle.add(chunk, left)
                records = _frame(chunk, oracle.read - len(chunk))
                found = difference.add(records, [], left)
                assert found["place"].to_list() == records[wanted]["place"].to_list()
                assert difference.fresh(records)["place"].to_list() == (
                    records[fresh]["place"].to_list()
                )
                if left is not None:
                    left -= len(wanted)
                    if left <= 0:
                        break
            _agree(difference, oracle)
        finally:
            difference.close()


def _told(difference: Difference, oracle: Oracle) -> None:
    """Tell what an interrupted run has dealt with."""
    hashes = sorted(oracle.failed)
    failed = {"content_hash": hashes, "reason": ["no good"] * len(hashes)}
    schema = {"content_hash": pl.String, "reason": pl.String}
    lasting = pl.lit(value=True).alias("lasting")
    difference.know_dead(pl.DataFrame(failed, schema).with_columns(lasting), staged=True)
    staged = {"content_hash": sorted(oracle.staged)}
    difference.know_staged(pl.DataFrame(staged, {"content_hash": pl.String}))


def _agree(difference: Difference, oracle: Oracle) -> None:
    counts = difference.counts(remove_vanished=True)
    assert counts.records == oracle.records
    if not oracle.history:
        expected = oracle.tally()
        assert {name: getattr(counts, name) for name in expected} == expected
    told = [(row["record_id"], row["place"], row["reason"]) for row in dead(difference)]
    for letter in oracle.dead:
        assert any(letter[:2] == one[:2] and letter[2] in one[2] for one in told), (
            f"{letter} is not in {told}"
        )
    if not oracle.history:
        assert len(told) == len(oracle.dead) == counts.dead
    taken = {name for name, _ in oracle.taken}
    letters = {name for name, _, _ in oracle.dead}
    if oracle.base:
        assert {*difference.vanished()} == {*BASE} - taken - letters


def dead(difference: Difference) -> list[dict[str, str]]:
    found: list[dict[str, str]] = difference.dead_letters().to_pylist()
    return found


def _frame(chunk: list[Row], offset: int) -> pl.DataFrame:
    time = pl.Datetime("us", "UTC")
    return pl.DataFrame(
        {
            "record_id": [row.name for row in chunk],
            "place": [f"f:{offset + at}" for at in range(len(chunk))],
            "content": [row.content for row in chunk],
            "content_hash": [row.content_hash for row in chunk],
            "event_time": pl.Series([row.time for row in chunk], dtype=time),
            "label": [row.label for row in chunk],
        },
        {
            "record_id": pl.String, "place": pl.String, "content": pl.String,
            "content_hash": pl.String, "event_time": time, "label": pl.Int64,
        },
    )  # fmt: skip
