"""Short ways to read a whole source in a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import polars as pl

from flows.sources import files, table

if TYPE_CHECKING:
    from pathlib import Path

    from flows.sources._records import RowSource
    from flows.sources.base import Modality, Reject, Source

Value: TypeAlias = Any
"""Whatever a key of ``Params`` takes."""


@dataclass(frozen=True)
class Everything:
    """All chunks of a source, put together."""

    records: pl.DataFrame
    rejects: list[Reject]

    @property
    def ids(self) -> list[str]:
        return self.records["record_id"].to_list()

    @property
    def contents(self) -> list[Any]:
        return self.records["content"].to_list()

    @property
    def places(self) -> list[str]:
        return self.records["place"].to_list()

    @property
    def refused(self) -> dict[str, str]:
        """Reasons by place."""
        return {reject.place: reject.reason for reject in self.rejects}


def everything(source: Source) -> Everything:
    chunks = list(source.scan())
    return Everything(
        pl.concat([chunk.records for chunk in chunks]),
        [reject for chunk in chunks for reject in chunk.rejects],
    )


def open_csv(
    folder: Path, text: str | bytes, modality: Modality = "text", **params: Value
) -> RowSource:
    """Open ``rows.csv`` with this text; id and content default to columns of those names."""
    raw = text if isinstance(text, bytes) else text.encode()
    (folder / "rows.csv").write_bytes(raw)
    given = {"id": "id", "content": "body", **params}
    return table.open(table.Params(path="rows.csv", **given), folder, modality)


def read_csv(
    folder: Path, text: str | bytes, modality: Modality = "text", **params: Value
) -> Everything:
    return everything(open_csv(folder, text, modality, **params))


def read_jsonl(
    folder: Path, text: str | bytes, modality: Modality = "text", **params: Value
) -> Everything:
    raw = text if isinstance(text, bytes) else text.encode()
    (folder / "rows.jsonl").write_bytes(raw)
    given = {"id": "id", "content": "body", **params}
    return everything(table.open(table.Params(path="rows.jsonl", **given), folder, modality))


def read_parquet(
    folder: Path, rows: pl.DataFrame, modality: Modality = "text", **params: Value
) -> Everything:
    rows.write_parquet(folder / "rows.parquet")
    given = {"id": "id", "content": "body", **params}
    return everything(table.open(table.Params(path="rows.parquet", **given), folder, modality))


def read_files(folder: Path, modality: Modality, **params: Value) -> Everything:
    return everything(files.open(files.Params(**params), folder, modality))
