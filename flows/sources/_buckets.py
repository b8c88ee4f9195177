"""Rows put apart by a key, on disk, so that each part can be taken into memory by itself.

The file has no name: the system takes it away when the process ends, however it ends, so nothing
that it held is left behind.
"""

from __future__ import annotations

import io
import tempfile
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    import polars as pl

    Part = tuple[int, int]


class Buckets:
    """Rows of one schema by a hash of one of their columns; a key's rows keep their order.

    Use it as a context, which closes the file.
    """

    def __init__(self, number: int) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the context
        self._parts: list[list[Part]] = [[] for _ in range(number)]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, rows: pl.DataFrame, key: str) -> None:
        """Put rows away; few calls of many rows are best."""
        import polars as pl

        number = len(self._parts)
        bucket = rows.select(pl.col(key).hash(seed=0) % number).to_series()
        for at in range(number):
            inside = rows.filter(bucket == at)
            if len(inside):
                packed = io.BytesIO()
                inside.write_ipc_stream(packed, compression="lz4")
                begin = self._file.seek(0, io.SEEK_END)
                self._parts[at].append((begin, self._file.write(packed.getbuffer())))

    def __len__(self) -> int:
        return len(self._parts)

    def bucket(self, at: int) -> pl.DataFrame | None:
        """The rows of a bucket, None where it has none."""
        import polars as pl

        found = []
        for begin, size in self._parts[at]:
            self._file.seek(begin)
            found.append(pl.read_ipc_stream(io.BytesIO(self._file.read(size))))
        return pl.concat(found) if found else None
