"""Encoders that run out of memory, hang or are killed: what each record's answer is then."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest

from encoders.memory import out_of_memory
from flows.output.progress import Silent
from flows.pipeline import fitting
from flows.pipeline.encode import Bounds, EncodingError, HangError, encode_shard
from flows.pipeline.refusals import RunError
from storage.ids import hash_text
from storage.staging import clear_leftovers, staged_files, staged_path
from tests.flows.pipeline.test_encode import shard
from tests.flows.plugins.letters import vector_of
from tests.processes import python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from encoders.base import Json, Metric, Modality
    from tests.flows.project import Project
    from tests.processes import Forking


class OutOfMemoryError(RuntimeError):
    """Known by its name, as torch's is."""


@dataclass
class Small:
    """Has memory for so many letters at once; asks for four texts at a time.

    Attributes:
        calls: the texts of each call, and whether it went well.
    """

    modality: ClassVar[Modality] = "text"
    room: int
    error: Callable[[], Exception] = MemoryError
    batch_size: int = 4
    dim: int = 8
    metric: Metric = "cosine"
    calls: list[tuple[list[str], bool]] = field(default_factory=list)

    def recipe(self) -> dict[str, Json]:
        return {"kind": "small"}

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        fits = sum(map(len, batch)) <= self.room
        self.calls.append((list(batch), fits))
        if not fits:
            raise self.error()
        return np.array([vector_of(text) for text in batch], np.float32).reshape(-1, self.dim)


def answers(parts: Sequence[Path]) -> dict[str, tuple[Any, str | None, bool | None]]:
    rows = [row for part in parts for row in pq.read_table(part).to_pylist()]
    found = {row["content_hash"]: (row["vector"], row["reason"], row["lasting"]) for row in rows}
    assert len(found) == len(rows), "a content is staged twice"
    return found


@pytest.mark.parametrize(
    "error",
    [
        MemoryError,
        lambda: OutOfMemoryError("tried to allocate 2 GiB"),
        lambda: RuntimeError("CUDA error: out of memory"),
        lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
        lambda: RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
    ],
)
def test_fewer_records_are_tried_where_memory_is_short(
    tmp_path: Path, error: Callable[[], Exception]
) -> None:
    texts = [f"{n:04}" for n in range(100)]
    encoder = Small(2 * 4, error)
    receipt = encode_shard(encoder, shard(tmp_path / "run", texts), Silent())
    assert (receipt.encoded, receipt.dead) == (100, 0)
    found = answers(receipt.staged)
    for text in texts:
        np.testing.assert_array_equal(np.float32(found[hash_text(text)][0]), vector_of(text))
    failed = [batch for batch, fits in encoder.calls if not fits]
    assert len(failed) == 1, "what worked was not remembered"


def test_torchs_own_error_is_known() -> None:
    import torch

    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"))
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not out_of_memory(ValueError("out of memory"))


def test_a_record_too_large_for_the_machine_passes_and_takes_no_other_along(tmp_path: Path) -> None:
    texts = [*(f"{n:04}" for n in range(60)), "x" * 100]
    encoder = Small(50)
    receipt = encode_shard(encoder, shard(tmp_path / "run", texts), Silent())
    assert (receipt.encoded, receipt.dead) == (60, 1)
    vector, reason, lasting = answers(receipt.staged)[hash_text("x" * 100)]
    assert (vector, lasting) == (None, False)
    assert reason == "too large for the memory of this machine: MemoryError"
    assert max(len(batch) for batch, fits in encoder.calls if fits) > 1


def test_a_machine_too_small_for_any_record_fails_the_run(tmp_path: Path) -> None:
    texts = [f"{n:04}" for n in range(100)]
    with pytest.raises(EncodingError, match="on each of the first 16 records, the last time with"):
        encode_shard(Small(1), shard(tmp_path / "run", texts), Silent())
    assert staged_files(tmp_path) == []


class Hanging(Small):
    """Does not return from a text ``HANG`` until it is released."""

    released = threading.Event()

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        if "HANG" in batch:
            self.released.wait()
        return super().encode(batch)


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    encoder = Hanging(10**6)
    yield encoder
    Hanging.released.set()


def test_an_encoder_that_hangs_is_named_with_what_it_was_given(
    tmp_path: Path, hanging: Hanging
) -> None:
    texts = [*(f"{n:06}" for n in range(20)), "HANG", "more"]
    path = shard(tmp_path / "run", texts)
    bounds = Bounds("mill", timeout=0.5)
    with pytest.raises(HangError, match=r"'mill' has not returned within encode_timeout = 0.5 s"):
        encode_shard(hanging, path, Silent(), bounds)
    # What went before is kept, and no other task of the run waits for the same encoder.
    kept = answers(staged_files(tmp_path))
    assert kept
    assert hash_text("HANG") not in kept
    calls = len(hanging.calls)
    other = path.with_name("shard-000007.parquet")
    path.rename(other)
    with pytest.raises(HangError, match=r"given \d+ records, the first of them f:\d+"):
        encode_shard(hanging, other, Silent(), bounds)
    assert len(hanging.calls) == calls
    clear_leftovers(tmp_path)
    assert {file.suffix for file in (tmp_path / "run").iterdir()} == {".parquet"}


HUNG = """
import sys
from pathlib import Path
from tests.flows.plugins import installed
from tests.flows.project import Project
from flows.pipeline.refusals import RunError
with installed():
    project = Project(Path(sys.argv[1]), engine={"encode_timeout": 1.0})
    project.encoder = {"breach": "hangs"}
    try:
        project.run()
    except RunError as error:
        print(error)
"""


def test_a_run_fails_and_its_process_ends(project: Project) -> None:
    project.write([(n, f"text {n}", "x") for n in range(20)])
    with python(HUNG, project.root) as child:
        told, complaints = child.communicate(timeout=600)
    assert child.returncode == 0, complaints
    assert "notes: the encoder 'mill' has not returned within encode_timeout = 1 s" in told
    assert project.runs()[-1]["status"] == "failed"
    assert project.run().counts.new == 20


def test_a_shard_that_takes_long_is_staged_in_parts(tmp_path: Path) -> None:
    texts = [f"{n:04}" for n in range(50)]
    path = shard(tmp_path / "run", texts)
    receipt = encode_shard(Small(10**6), path, Silent(), Bounds(stage_every=1e-9))
    assert len(receipt.staged) > 1
    assert receipt.staged[1].name == "staged-000000-part02.parquet"
    assert receipt.staged == tuple(sorted(staged_files(tmp_path), key=receipt.staged.index))
    assert set(answers(receipt.staged)) == set(map(hash_text, texts))


class Outage(Small):
    """Hangs up once, at its third call."""

    def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
        if len(self.calls) == 2:
            self.calls.append(([], False))
            raise ConnectionError("hung up")
        return super().encode(batch)


def test_a_retry_of_a_shard_does_not_encode_its_parts_again(tmp_path: Path) -> None:
    texts = [f"{n:04}" for n in range(50)]
    path = shard(tmp_path / "run", texts)
    encoder = Outage(10**6)
    with pytest.raises(ConnectionError, match="hung up"):
        encode_shard(encoder, path, Silent())
    assert staged_path(path).exists()
    receipt = encode_shard(encoder, path, Silent())
    assert (receipt.encoded, len(receipt.staged)) == (50, 2)
    encoded = [text for batch, fits in encoder.calls if fits for text in batch]
    assert sorted(encoded) == texts
    again = encode_shard(encoder, path, Silent())
    assert (again.staged, again.encoded) == (receipt.staged, 50)
    assert len(encoder.calls) == len([batch for batch, _ in encoder.calls])
    assert set(answers(receipt.staged)) == set(map(hash_text, texts))


def test_long_texts_that_fail_do_not_stand_for_all(tmp_path: Path) -> None:
    texts = [*("FAIL" * 10 + str(n) for n in range(100)), *(f"{n:04}" for n in range(30))]

    class Picky(Small):
        def encode(self, batch: Sequence[str]) -> NDArray[np.float32]:
            if any(len(text) > 10 for text in batch):
                raise ValueError("too long")
            return super().encode(batch)

    receipt = encode_shard(Picky(10**6), shard(tmp_path / "run", texts), Silent())
    assert (receipt.encoded, receipt.dead) == (30, 100)


KILLED = """
import sys
from pathlib import Path
from flows.pipeline.encode import Bounds
from flows.pipeline import stages as pipeline
from tests.flows.plugins import installed
from tests.flows.project import Project
pipeline.Bounds = lambda *args, **more: Bounds(*args, **more | {"stage_every": 1e-9})
with installed():
    Project(Path(sys.argv[1]), encoder={"breach": "dies"}).run()
"""


def test_a_killed_run_of_one_shard_keeps_what_it_encoded(
    forking: Forking, project: Project
) -> None:
    project.engine = {"shard_size": 1000}
    project.write([(n, f"text {n}", "x") for n in range(100)])
    project.settings()
    killed = forking.run(KILLED, project.root)
    assert killed.code == -9, killed.err
    before = project.encoded()
    assert before
    outcome = project.run()
    assert outcome.counts.resumed > 0
    assert outcome.counts.resumed + outcome.counts.encoded == 100
    assert len(set(before) & set(project.encoded())) <= len(before) - outcome.counts.resumed


def test_a_failure_that_passes_is_forgotten_with_the_run_that_crashed(tmp_path: Path) -> None:
    texts = ["short", "x" * 100]
    path = shard(tmp_path / "run", texts)
    (staged,) = encode_shard(Small(50), path, Silent()).staged
    clear_leftovers(tmp_path)
    assert set(answers([staged])) == {hash_text("short")}


def test_the_default_limit_reaches_the_encoder(project: Project) -> None:
    project.write([(1, "text", "x")])
    project.engine = {"encode_timeout": 0.000001}
    project.encoder = {"breach": "slow"}
    with pytest.raises(RunError, match=r"encode_timeout = 1e-06 s, given 1 record, "):
        project.run()
    fitting.forget()
