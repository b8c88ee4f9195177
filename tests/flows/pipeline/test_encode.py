"""One shard through an encoder: every record comes out, as a vector or as a reason."""

from __future__ import annotations

import signal
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.output.progress import Silent
from flows.output.stopping import acknowledging
from flows.pipeline.batches import StoppedError
from flows.pipeline.encode import EncodingError, encode_shard
from storage.ids import hash_text
from storage.staging import Spool, staged_hashes, staged_parts
from tests.flows.plugins.letters import Letters, Params, vector_of

if TYPE_CHECKING:
    from pathlib import Path


def shard(folder: Path, texts: list[str]) -> Path:
    spool = Spool(folder, max(len(texts), 1))
    hashes = [hash_text(text) for text in texts]
    places = [f"f:{n}" for n in range(len(texts))]
    spool.add(
        pl.DataFrame(
            {"record_id": places, "place": places, "content": texts, "content_hash": hashes}
        )
    )
    (path,) = spool.close()
    return path


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(
        st.sampled_from([*"abcdefghijklmnop", "FAIL 1", "FAIL 2", "NAN 1", "NAN 2"]),
        min_size=1,
        unique=True,
    ),
    batch_size=st.integers(1, 7),
)
def test_every_record_comes_out_once(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], batch_size: int
) -> None:
    folder = tmp_path_factory.mktemp("shard")
    encoder = Letters(Params(str(folder / "log"), batch_size=batch_size))
    receipt = encode_shard(encoder, shard(folder, texts), Silent())
    rows = pq.read_table(receipt.staged[0]).to_pylist()
    assert sorted(row["content_hash"] for row in rows) == sorted(map(hash_text, texts))
    by_hash = {row["content_hash"]: row for row in rows}
    for text in texts:
        row = by_hash[hash_text(text)]
        if "FAIL" in text or "NAN" in text:
            assert row["vector"] is None
            assert ("cannot encode" in row["reason"]) == ("FAIL" in text)
        else:
            np.testing.assert_array_equal(np.array(row["vector"], np.float32), vector_of(text))
    assert receipt.encoded + receipt.dead == len(texts)


class Ended(Silent):
    """Ends the block that it is in with the first records."""

    def __init__(self) -> None:
        self.told = Event()

    def advance(self, records: int) -> None:
        if records and not self.told.is_set():
            signal.raise_signal(signal.SIGTERM)
            assert self.told.wait(60)


def test_a_shard_is_left_between_batches_where_the_run_is_being_ended(tmp_path: Path) -> None:
    path, reporter = shard(tmp_path, [f"text {n}" for n in range(40)]), Ended()
    encoder = Letters(Params(str(tmp_path / "log"), batch_size=4))
    # As in a thread, to which no signal comes.
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    with acknowledging(reporter.told.set, soon=0.0), pytest.raises(StoppedError):
        encode_shard(encoder, path, reporter)
    signal.signal(signal.SIGTERM, before)
    assert sum(map(len, staged_hashes(staged_parts(path)))) == 4, "and these are kept"
    assert encode_shard(encoder, path, Silent()).encoded == 40


def test_many_bad_records_after_a_good_one_are_dead_letters(tmp_path: Path) -> None:
    texts = ["good", *(f"FAIL {n}" for n in range(40))]
    encoder = Letters(Params(str(tmp_path / "log")))
    receipt = encode_shard(encoder, shard(tmp_path, texts), Silent())
    assert (receipt.encoded, receipt.dead) == (1, 40)


def test_an_encoder_that_fails_on_all_is_not_tried_on_all(tmp_path: Path) -> None:
    path = shard(tmp_path, [f"FAIL {n}" for n in range(500)])
    with pytest.raises(EncodingError, match=r"each of the first 16 records, .* ValueError"):
        encode_shard(Letters(Params(str(tmp_path / "log"))), path, Silent())
    assert not list(tmp_path.glob("staged*"))
