"""Records whose content is vectors of other features, joined by their ids.

A record's content hash is made of those of its parts, so that it is encoded again when one of them
has changed, and versions over other versions of the parts can be compared by it. What the source
gives as content are the places of rows; vectors are read of the records that are to be encoded.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import numpy as np

from encoders.vectors import column
from flows.output import units
from flows.sources import _arrow
from flows.sources._foreign import telling
from flows.sources.base import Chunk, Reject
from storage.ids import hash_row, hash_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import polars as pl
    import pyarrow as pa

    from storage.aligned import Aligned

_MEND = "mend `over`"


@dataclass
class Joined:
    """Published rows of several features, side by side (`flows.sources.base.Source`).

    Attributes:
        tables: the features' tables at the states that are read.
        every: whether a record needs a vector of each of them.
        marks: what tells these states from all others.
    """

    tables: Aligned
    every: bool
    marks: Sequence[str]
    _scanned: bool = field(default=False, repr=False)

    @property
    def kept(self) -> dict[str, pl.DataType]:
        """The kept columns and their types."""
        import pyarrow as pa

        fields = [
            pa.field(name, self.tables.columns(side.name)[name])
            for side in self.tables.sides
            for name in side.kept
        ]
        return cast("dict[str, pl.DataType]", _arrow.types(pa.schema(fields)))

    @property
    def types(self) -> dict[str, str]:
        """None: the tables have types."""
        return {}

    def stamp(self) -> str:
        """A digest of the states."""
        return hash_text("\n".join(self.marks))

    def scan(self) -> Iterator[Chunk]:
        """Stream the records in the order of the first feature's table.

        Raises:
            SourceError: if a table cannot be read.
        """
        with telling(_MEND):
            for rows in self.tables.stream(every=self.every):
                yield self._chunk(rows)
        self._scanned = True

    def fetch(self, records: pl.DataFrame) -> pl.DataFrame:
        """See `flows.sources.base.Deferred`."""
        import polars as pl

        parts = {
            side.name: self._part(side.name, records["content"].struct.field(side.name))
            for side in self.tables.sides
        }
        return records.with_columns(pl.DataFrame(parts).to_struct("content"))

    def remarks(self) -> list[str]:
        """How many records are passed over, or fused from a part of their features."""
        if not self._scanned:
            return []
        tally = self.tables.tally
        found = [
            f"{units.several(n, 'row')} of {name} {'has' if n == 1 else 'have'} no id to join "
            f"{'it' if n == 1 else 'them'} by, and {'belongs' if n == 1 else 'belong'} to no record"
            for name, n in tally.nameless.items()
            if n
        ]
        lacking = [f"{n:,} have no vector of {name}" for name, n in tally.lacking.items() if n]
        if lacking:
            became = (
                'these are passed over; require = "any" takes them' if self.every
                else "these are encoded without"
            )  # fmt: skip
            found.append(f"of {units.several(tally.ids, 'record')} {', '.join(lacking)}; {became}")
        return found

    def _part(self, name: str, places: pl.Series) -> pl.Series:
        there = places.is_not_null().to_numpy()
        with telling(_MEND):
            taken = self.tables.vectors(name, places.drop_nulls().to_numpy())
        values = np.zeros((len(places), taken.shape[1]), np.float32)
        values[there] = taken
        return column(values, there).alias(name)

    def _chunk(self, rows: pa.Table) -> Chunk:
        import polars as pl

        frame = pl.DataFrame(rows)
        sides = self.tables.sides
        numbers = range(len(sides))
        doubled = pl.any_horizontal(pl.col(f"n_{i}") > 1 for i in numbers).fill_null(value=False)
        good = frame.filter(~doubled)
        hashes = good.select(f"hash_{i}" for i in numbers)
        names = [side.name for side in sides]
        content = good.select(pl.col(f"place_{i}").alias(names[i]) for i in numbers)
        kept = {
            name: good[f"kept_{i}_{j}"]
            for i, side in enumerate(sides)
            for j, name in enumerate(side.kept)
        }
        records = pl.DataFrame(
            {
                "record_id": good["id"],
                "place": pl.Series(
                    [self._place(row) for row in good.iter_rows(named=True)], dtype=pl.String
                ),
                "content": content.to_struct(),
                "content_hash": pl.Series(
                    [hash_row(names, row) for row in hashes.iter_rows()], dtype=pl.String
                ),
                "event_time": good["event_time"],
                **kept,
            }
        )
        return Chunk(records, [self._reject(row) for row in frame.filter(doubled).to_dicts()])

    def _place(self, row: Mapping[str, object]) -> str:
        """Where the first part that a record has stands."""
        i = next(i for i in range(len(self.tables.sides)) if row[f"own_{i}"] is not None)
        return f"{self.tables.sides[i].table}: {row[f'own_{i}']}"

    def _reject(self, row: Mapping[str, object]) -> Reject:
        i = next(i for i in range(len(self.tables.sides)) if cast("int", row[f"n_{i}"] or 0) > 1)
        side = self.tables.sides[i]
        return Reject(
            self._place(row),
            f"{row[f'n_{i}']} records of {side.name} have {side.key} = {row['id']!r}, and one was "
            f"expected; keep one of them in the source of {side.name}",
            cast("str", row["id"]),
        )
