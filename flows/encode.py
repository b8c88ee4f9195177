"""One shard through an encoder: each record becomes a vector, or a dead letter with its reason."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders.base import Cutting, EncoderError
from flows.decode import decode
from flows.retries import passes
from storage.staging import Staged, read_shard, staged_path, write_staged

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl
    from numpy.typing import NDArray

    from encoders.base import Encoder
    from flows.progress import Reporter

_HOPELESS = 16
"""So many failures with no success at all are the encoder's fault, not the records'."""


class EncodingError(Exception):
    """An encoder breaks its contract, or fails on whatever it is given."""


@dataclass(frozen=True)
class Receipt:
    """What became of a shard.

    Attributes:
        staged: the file that holds its vectors.
        seconds: time spent decoding and encoding.
        cut: texts that are longer than the encoder reads.
    """

    staged: Path
    encoded: int
    dead: int
    seconds: float
    cut: int = 0


def encode_shard(encoder: Encoder, shard: Path, reporter: Reporter) -> Receipt:
    """Encode the records of a shard file and stage the result.

    Args:
        encoder: a fitted encoder.
        shard: a file of `storage.staging.Spool`.
        reporter: told of records as they are done.

    Raises:
        EncodingError: if the encoder returns the wrong shape, or fails on all it is given.
    """
    started = time.perf_counter()
    records = read_shard(shard)
    work = _Work(encoder)
    # A text is small, so the encoder gets many at once and can sort them by length.
    step = encoder.batch_size * (32 if encoder.modality == "text" else 1)
    for start in range(0, len(records), step):
        rows = records[start : start + step]
        work.encode(rows)
        reporter.advance(len(rows))
    width = (0, encoder.dim)
    vectors = np.concatenate(work.vectors) if work.vectors else np.empty(width, np.float32)
    staged = staged_path(shard)
    write_staged(staged, Staged(work.hashes, vectors, work.dead, datetime.now(UTC), work.passing))
    seconds = time.perf_counter() - started
    return Receipt(staged, len(work.hashes), len(work.dead) + len(work.passing), seconds, work.cut)


@dataclass
class _Work:
    encoder: Encoder
    hashes: list[str] = field(default_factory=list)
    vectors: list[NDArray[np.float32]] = field(default_factory=list)
    dead: dict[str, str] = field(default_factory=dict)
    passing: dict[str, str] = field(default_factory=dict)
    failures: int = 0
    cut: int = 0

    def encode(self, records: pl.DataFrame) -> None:
        hashes = records["content_hash"].to_list()
        decoded = decode(self.encoder.modality, records["content"], hashes)
        for row, reason in decoded.dead.items():
            self.dead[hashes[row]] = reason
        for row, reason in decoded.passing.items():
            self.passing[hashes[row]] = reason
        if isinstance(self.encoder, Cutting):
            self.cut += self.encoder.truncated(decoded.batch)
        if decoded.rows:
            self._encode(decoded.batch, [hashes[row] for row in decoded.rows])

    def _encode(self, batch: Any, hashes: list[str]) -> None:  # noqa: ANN401 - see Encoder.encode
        try:
            vectors = self.encoder.encode(batch)
        except EncoderError as error:
            raise EncodingError(str(error)) from error
        except Exception as error:
            if passes(error):
                raise  # no fault of a record: the whole step is to be tried again
            self._divide(batch, hashes, error)
            return
        self._check_shape(vectors, len(hashes))
        finite = np.atleast_1d(np.isfinite(vectors).all(axis=1))
        self.vectors.append(vectors[finite])
        for content_hash, ok in zip(hashes, finite.tolist(), strict=True):
            if ok:
                self.hashes.append(content_hash)
            else:
                self.dead[content_hash] = "the encoder returned NaN or infinity"

    def _divide(self, batch: Any, hashes: list[str], error: Exception) -> None:  # noqa: ANN401 - as above
        """Halve a batch that fails until the record that breaks it stands alone.

        The same mends a batch that was too large for the memory.
        """
        if len(hashes) == 1:
            self.dead[hashes[0]] = f"the encoder failed: {type(error).__name__}: {error}"
            self.failures += 1
            if not self.hashes and self.failures >= _HOPELESS:
                raise EncodingError(
                    f"the encoder failed on each of the first {self.failures} records, the last "
                    f"time with {type(error).__name__}: {error}"
                ) from error
            return
        middle = len(hashes) // 2
        self._encode(batch[:middle], hashes[:middle])
        self._encode(batch[middle:], hashes[middle:])

    def _check_shape(self, vectors: NDArray[np.float32], n: int) -> None:
        expected = (n, self.encoder.dim)
        if not isinstance(vectors, np.ndarray):
            raise EncodingError(
                f"the encoder must return a float32 array of shape {expected}, got "
                f"{type(vectors).__name__}"
            )
        if vectors.shape != expected or vectors.dtype != np.float32:
            raise EncodingError(
                f"the encoder must return float32 of shape {expected}, got {vectors.dtype} of "
                f"shape {vectors.shape}"
            )
