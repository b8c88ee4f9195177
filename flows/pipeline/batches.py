"""Batches through an encoder that may fail in any way, with each record's answer kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders.abilities import Cutting, Truncated
from encoders.base import EncoderError
from encoders.memory import free_memory, out_of_memory
from encoders.metering import EncodingStoppedError, PartialError
from flows.output import units
from flows.output.redact import redact
from flows.pipeline.deadline import Overdue
from flows.pipeline.decode import Failure, Pictured, decode, size
from flows.pipeline.plain import TOO_LARGE
from flows.pipeline.retries import passes
from storage import disk
from storage.model import Cut
from storage.staging import Staged, Unread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import polars as pl
    from numpy.typing import NDArray
    from PIL.Image import Image

    from encoders.base import Encoder
    from encoders.media import Audio
    from flows.pipeline.deadline import Worker

_HOPELESS = 16
"""So many failures with no success at all are the encoder's fault, not the records'."""

_HELD = 256 * 2**20
"""Bytes of decoded images or recordings after which the encoder gets what there is: a batch of
small files that unpack to the very limit would not fit into memory."""

_NAMED = 3


class EncodingError(Exception):
    """An encoder breaks its contract, or fails on whatever it is given."""


class HangError(EncodingError):
    """An encoder does not return."""


class StoppedError(EncodingError):
    """An encoder cannot go on, and what it gave before is good."""


@dataclass(frozen=True)
class _Batch:
    """Records to encode, with what they go by.

    Attributes:
        given: as `encoders.base.Encoder.encode` takes it.
    """

    given: Any
    hashes: list[str]
    places: list[str]

    def __len__(self) -> int:
        return len(self.hashes)

    def __getitem__(self, part: slice) -> _Batch:
        return _Batch(self.given[part], self.hashes[part], self.places[part])

    def add(self, cell: Image | Audio, content_hash: str, place: str) -> None:
        """Take in one more image or recording."""
        self.given.append(cell)
        self.hashes.append(content_hash)
        self.places.append(place)


@dataclass
class Batches:
    """Encodes records, and holds what became of them until it is taken.

    Attributes:
        name: of the encoder, for errors.
        worker: what makes the calls, and when it gives up on one.
        cells: the images or recordings of all records to come, decoded, in their order; None where
            records hold what is encoded.
        encoded: how many records have a vector, those included that were taken.
        cut: how much of the texts the encoder does not read, of those that were not taken.
    """

    encoder: Encoder
    name: str
    worker: Worker
    cells: Iterator[Image | Pictured | Audio | Failure] | None = None
    encoded: int = 0
    cut: Truncated = field(default_factory=Truncated)
    _hashes: list[str] = field(default_factory=list)
    _vectors: list[NDArray[np.float32]] = field(default_factory=list)
    _thumbnails: dict[str, bytes] = field(default_factory=dict)
    _dead: dict[str, str] = field(default_factory=dict)
    _passing: dict[str, str] = field(default_factory=dict)
    _failures: int = 0
    # Records that memory sufficed for at once; that are tried at once; that were, before it failed.
    _fitted: int = 0
    _most: int | None = None
    _before: int | None = None

    def encode(self, records: pl.DataFrame) -> None:
        """Encode some records, columns `storage.staging.SPOOL_COLUMNS`.

        Raises:
            EncodingError: if the encoder returns the wrong shape, or fails on all it is given.
            HangError: if it does not return.
        """
        hashes, places = records["content_hash"].to_list(), records["place"].to_list()
        if self.cells is None:
            given = decode(self.encoder.modality, records["content"]).batch
            self._attempt(_Batch(given, hashes, places))
            return
        waiting, held = _Batch([], [], []), 0
        # The cells come last: what is drawn from them in vain is lost.
        for content_hash, place, cell in zip(hashes, places, self.cells, strict=False):
            if isinstance(cell, Failure):
                (self._passing if cell.passes else self._dead)[content_hash] = cell.reason
                continue
            held += size(cell)
            if isinstance(cell, Pictured):
                self._thumbnails[content_hash] = cell.thumbnail
                cell = cell.image  # noqa: PLW2901 - what is encoded of it
            waiting.add(cell, content_hash, place)
            if held >= _HELD:
                self._attempt(waiting)
                waiting, held = _Batch([], [], []), 0
        self._attempt(waiting)

    def take(self, now: datetime, *, alone: bool = False) -> Staged:
        """What became of the records since this was last asked; ``alone``: of the encoded ones."""
        width = (0, self.encoder.dim)
        vectors = np.concatenate(self._vectors) if self._vectors else np.empty(width, np.float32)
        dead, passing = ({}, {}) if alone else (self._dead, self._passing)
        cut = Cut(self.cut.texts, self.cut.cut, self.cut.tokens)
        unread = Unread(len(self._hashes), cut, self.cut.limit)
        staged = Staged(self._hashes, vectors, dead, now, passing, unread, self._thumbnails)
        self._hashes, self._vectors, self._dead, self._passing = [], [], {}, {}
        self._thumbnails = {}
        self.cut = Truncated()
        return staged

    def _attempt(self, batch: _Batch) -> None:
        at = 0
        while at < len(batch):
            part = batch[at : at + (self._most or len(batch))]
            at += len(part) if self._went_through(part) else 0

    def _went_through(self, batch: _Batch) -> bool:
        """Whether every record of a batch has its answer; else smaller ones are to be tried."""
        vectors, error = self._called(batch)
        if error is None:
            self._check_shape(vectors, len(batch))
            self._keep(vectors, batch.hashes)
            return True
        if isinstance(error, PartialError):
            self._keep_part(error, batch)
            return True
        if out_of_memory(error):
            words = redact(str(error).strip()) or type(error).__name__
            del error  # its frames hold what the encoder had in memory
            free_memory()
            return self._made_smaller(batch, words)
        self._divide(batch, error)
        return True

    def _called(self, batch: _Batch) -> tuple[Any, Exception | None]:
        """What the encoder gives, or the error that is a record's fault or that of the memory."""
        try:
            return self.worker.call(self._encode, batch.given), None
        except Overdue:
            raise HangError(
                f"the encoder {self.name!r} has not returned within encode_timeout = "
                f"{self.worker.seconds:g} s, given {_some(batch.places)}; what was encoded before "
                f"is kept. Look what is odd about {'it' if len(batch) == 1 else 'them'}, or raise "
                "encode_timeout in [engine]"
            ) from None
        except EncoderError as error:
            raise _fatal(error) from error
        except Exception as error:
            if passes(error) or disk.told(error):
                raise  # no fault of a record: the whole step is to be tried again
            return None, error

    def _encode(self, given: Any) -> Any:  # noqa: ANN401 - as Encoder.encode; checked by the caller
        vectors = self.encoder.encode(given)
        if isinstance(self.encoder, Cutting):
            self.cut += self.encoder.truncated(given)
        return vectors

    def _keep(self, vectors: NDArray[np.float32], hashes: list[str]) -> None:
        self._fitted, self._before = max(self._fitted, len(hashes)), None
        finite = np.atleast_1d(np.isfinite(vectors).all(axis=1))
        self._vectors.append(vectors[finite])
        for content_hash, ok in zip(hashes, finite.tolist(), strict=True):
            if ok:
                self._hashes.append(content_hash)
                self.encoded += 1
            else:
                self._dead[content_hash] = "the encoder returned NaN or infinity"

    def _keep_part(self, part: PartialError, batch: _Batch) -> None:
        """Keep the answers of a call that broke off, and hand on what it broke off for."""
        self._check_shape(part.vectors, len(batch))
        done = sorted(part.done)
        self._keep(part.vectors[done], [batch.hashes[row] for row in done])
        for row, reason in part.failed.items():
            words = redact(reason)
            self._dead[batch.hashes[row]] = f"the encoder failed: {words}"
            self._count_failure(words)
        if isinstance(part.cause, EncoderError):
            raise _fatal(part.cause) from part.cause
        if part.cause is not None:
            raise part.cause

    def _made_smaller(self, batch: _Batch, words: str) -> bool:
        """Try fewer records at a time from now on, unless a single one is what does not fit."""
        n = len(batch)
        self._before = self._before or n
        if n > 1:
            asked = self.encoder.batch_size
            self._most = asked if n > asked else n // 2
            return False
        self._passing[batch.hashes[0]] = f"{TOO_LARGE}: {words}"
        # That says little of what others need.
        self._most = max(self._fitted, self._before // 2, 1)
        self._before = None
        self._count_failure(words)
        return True

    def _divide(self, batch: _Batch, error: Exception) -> None:
        """Halve a batch that fails until the record that breaks it stands alone."""
        if len(batch) == 1:
            words = redact(f"{type(error).__name__}: {error}")
            self._dead[batch.hashes[0]] = f"the encoder failed: {words}"
            self._count_failure(words)
            return
        middle = len(batch) // 2
        self._attempt(batch[:middle])
        self._attempt(batch[middle:])

    def _count_failure(self, words: str) -> None:
        self._failures += 1
        if not self.encoded and self._failures >= _HOPELESS:
            raise EncodingError(
                f"the encoder failed on each of the first {self._failures} records, the last time "
                f"with {words}"
            )

    def _check_shape(self, vectors: object, n: int) -> None:
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


def _some(places: Sequence[str]) -> str:
    """How many records there are, and where the first of them are from."""
    first = ", ".join(places[:_NAMED])
    which = first if len(places) == 1 else f"the first of them {first}"
    return f"{units.several(len(places), 'record')}, {which}"


def _fatal(error: EncoderError) -> EncodingError:
    kind = StoppedError if isinstance(error, EncodingStoppedError) else EncodingError
    return kind(redact(str(error)))
