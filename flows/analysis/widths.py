"""What fewer dimensions would cost a feature: its vectors drawn, and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from encoders import registry
from flows.analysis import dims
from flows.config.stores import Stores
from flows.lifecycle.chosen import readable
from flows.matrices import matrix
from storage import query, views
from storage.ids import seed
from storage.model import UsageError
from storage.vectors import SYSTEM_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from flows.analysis.dims import Width
    from flows.config.settings import Settings
    from storage.model import Manifest, Version

SAMPLE, _MOST = 2_000, 20_000
_CLASSES = 5
"""Rows that a label must have on average, so that a probe can tell it."""

_DRAWN = """
SELECT vector, {label} AS label FROM ({rows})
WHERE {label} IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY content_hash ORDER BY record_id) = 1
ORDER BY md5('{salt}' || content_hash), record_id LIMIT {size}
"""


@dataclass(frozen=True)
class Widths:
    """What `measure` finds.

    Attributes:
        version: whose vectors were measured.
        rows: how many it has.
        sampled: how many were drawn, each of another content.
        label: the column that the probe was to tell.
        guess: the accuracy of always saying the most frequent label.
        nested: whether the first k dimensions are what the encoder would give for ``dim = k``.
    """

    version: Version
    rows: int
    sampled: int
    widths: tuple[Width, ...]
    label: str | None
    guess: float | None
    nested: bool

    def table(self) -> list[dict[str, Any]]:
        """One row of plain values a width."""
        return [
            {
                "feature": self.version.feature,
                "version": self.version.version,
                "how": width.how,
                "dim": width.dim,
                f"overlap@{dims.K}": width.overlap,
                "±": width.overlap_error,
                "accuracy": width.accuracy,
                "vector_bytes": width.vector_bytes,
                "feature_bytes": width.vector_bytes * self.rows,
                "search_speed": width.speed,
            }
            for width in self.widths
        ]

    def sentences(self) -> list[str]:
        """How to read the table."""
        drawn = (
            f"{self.sampled:,} records of {self.version.table}, each of another content: principal "
            "directions and probes are learned on one half, all is measured on the other"
        )
        columns = (
            f"overlap@{dims.K}: the share of a record's {dims.K} nearest that stay the same; "
            "search_speed: of an exact search, as a multiple of that over whole vectors"
        )
        found = [drawn, columns]
        if self.label is not None and self.guess is not None:
            found.append(
                f"accuracy: of a linear probe for {self.label!r}; always saying the most frequent "
                f"one gives {self.guess:.3f}"
            )
        if self.nested:
            found.append(
                f"the first k dimensions are what kind {self.version.kind!r} gives for dim = k: "
                f"set dim in its section, and `vecmill run {self.version.feature}`"
            )
        if registry.coded(self.version.kind):
            found.append(
                f"bytes are those of float32; {self.version.table} holds its vectors in fewer: "
                f"`vecmill reduced {self.version.feature}`"
            )
        tried = {width.dim for width in self.widths if width.how == "first"}
        missing = tried - {width.dim for width in self.widths if width.how == "principal"}
        if missing:
            found.append(
                f"principal directions cannot be learned for {min(missing)} dimensions or more "
                f"on {self.sampled // 2:,} records; a larger --sample would do"
            )
        return found


def measure(
    settings: Settings,
    name: str,
    wanted: Sequence[int] = (),
    *,
    label: str | None = None,
    size: int = SAMPLE,
    number: int | None = None,
) -> Widths:
    """Measure what fewer dimensions keep of a feature's vectors.

    The draw and the halves are seeded by the published state: the same state measures the same,
    but for the speed.

    Args:
        settings: the configuration.
        name: the feature.
        wanted: the widths to try; powers of two from 16 on where none is given.
        label: a kept column that vectors should tell.
        size: how many records to draw, at most.
        number: the version; the live one where none is given.

    Raises:
        UsageError: if a width, the label, the sample or the version makes no sense.
    """
    stores = Stores.of(settings)
    version, manifest = readable(settings, stores, name, number)
    chosen = _widths(version, wanted)
    if not dims.LEAST <= size <= _MOST:
        raise UsageError(f"--sample must be {dims.LEAST} to {_MOST:,}, got {size}")
    vectors, labels = _draw(stores, version, manifest, label, size)
    if len(vectors) < dims.LEAST:
        named = f" and {label!r}" if label else ""
        raise UsageError(
            f"{version.table} has {len(vectors)} records of different content with a vector"
            f"{named}; {dims.LEAST} or more are needed to tell widths apart"
        )
    guess = None if label is None else _guess(label, labels)
    rng = np.random.default_rng(seed(f"{version.table} {manifest.run_id}"))
    known = None if label is None else labels
    found = tuple(dims.widths(vectors, version.metric, chosen, rng, known))
    nested = registry.nested(version.kind)
    return Widths(version, manifest.rows, len(vectors), found, label, guess, nested)


def _widths(version: Version, wanted: Sequence[int]) -> Sequence[int]:
    for width in wanted:
        if not 1 <= width <= version.dim:
            raise UsageError(
                f"--try takes widths of 1 to {version.dim}, which is what vectors of "
                f"{version.table} have, got {width}"
            )
    return wanted or [2**power for power in range(4, 14) if 2**power < version.dim]


def _draw(
    stores: Stores, version: Version, manifest: Manifest, label: str | None, size: int
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Vectors ``(n, dim)`` and labels ``(n,)`` of records drawn by their content."""
    with query.connect(stores.catalog, stores.vectors) as con:
        rows = f"FROM {version.table}"
        if version.history:
            rows = views.current(version.table)
        kept = [c for c in con.sql(rows).columns if c not in SYSTEM_COLUMNS]
        if label is not None and label not in kept:
            there = ", ".join(map(repr, kept)) or "none; name some as keep in its source"
            raise UsageError(
                f"{version.table} has no kept column {label!r}; the kept columns are: {there}"
            )
        quoted = "''" if label is None else '"' + label.replace('"', '""') + '"'
        sql = _DRAWN.format(rows=rows, label=quoted, salt=manifest.run_id, size=size)
        table = query.run(con, sql).to_arrow_table()
    vectors = matrix(table.column("vector"), version.dim).astype(np.float64)
    labels = np.array([str(value) for value in table.column("label").to_pylist()], dtype=np.str_)
    finite = np.isfinite(vectors).all(axis=1)
    return vectors[finite], labels[finite]


def _guess(label: str, labels: NDArray[Any]) -> float:
    """The share of the most frequent label."""
    values, counts = np.unique(labels, return_counts=True)
    if not 1 < len(values) <= len(labels) // _CLASSES:
        raise UsageError(
            f"{label!r} has {len(values):,} different values over {len(labels):,} records; a probe "
            f"needs 2 or more, and {_CLASSES} records of each on average"
        )
    return float(counts.max() / len(labels))
