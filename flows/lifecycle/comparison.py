"""Two versions of a feature held against each other, as numbers and in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from flows.output import units

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from flows.lifecycle.similarity import Estimate
    from storage.pairs import Shared


@dataclass(frozen=True)
class Side:
    """One of the versions, as it is published.

    Attributes:
        bytes_per_vector: what one takes in the table.
        run, lance_version: the run whose published state was read, and that state.
        read_at: when a run last brought it up to date; backfills and upkeep do not count.
        changed_at: when a run of whatever kind last changed it.
        dead: its dead letters.
        rate: records a second that its last runs encoded, None where none did.
        monitors: what each monitor said when it last looked: its verdict and its summary.
        harmless: those whose alarms keep nothing from happening.
        unsettled: those that could not tell then, and whose last look that could was an alarm.
        chunked: whether its rows are chunks of records.
    """

    version: int
    table: str
    standing: str
    kind: str
    metric: str
    dim: int
    bytes_per_vector: int
    complete: bool
    run: str
    lance_version: int
    read_at: datetime
    changed_at: datetime
    rows: int
    dead: int
    rate: float | None
    monitors: Mapping[str, tuple[str, str]]
    chunked: bool = False
    harmless: frozenset[str] = frozenset()
    unsettled: tuple[str, ...] = ()

    @property
    def alarms(self) -> tuple[str, ...]:
        """The monitors whose alarm a promotion heeds: of their last look, or not settled by it."""
        return tuple(
            name
            for name, (verdict, _) in self.monitors.items()
            if (verdict == "alarm" or name in self.unsettled) and name not in self.harmless
        )

    def row(self) -> dict[str, Any]:
        """As plain values."""
        monitors = {
            name: {"verdict": verdict, "summary": summary}
            for name, (verdict, summary) in self.monitors.items()
        }
        row = {key: value for key, value in asdict(self).items() if key != "harmless"}
        return row | {
            "seconds_per_1000": 1000 / self.rate if self.rate else None,
            "monitors": monitors,
        }


@dataclass(frozen=True)
class Space:
    """How alike two versions place the records that both hold with the same content.

    All within the sample: neighbours are looked for among the sampled records alone.

    Attributes:
        k: the neighbours that ``overlap`` is about.
        sampled: the records drawn, each of another content.
        depth: how far down the lists ``churn`` looks.
        persistence: how much each place weighs against the one above it, in ``churn``.
        overlap: the mean share of the k nearest neighbours that are the same.
        churn: 1 - rank-biased overlap of the lists of neighbours, mean.
        cka: linear CKA.
        procrustes: the Procrustes residual.
        moved: the records whose neighbourhood changed most, and how many of their k nearest
            neighbours are left.
    """

    k: int
    sampled: int
    depth: int = 0
    persistence: float = 0.0
    overlap: Estimate | None = None
    churn: Estimate | None = None
    cka: Estimate | None = None
    procrustes: Estimate | None = None
    moved: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Comparison:
    """What `flows.lifecycle.compare.compare` finds."""

    feature: str
    first: Side
    second: Side
    shared: Shared
    space: Space | None = None

    @property
    def coverage(self) -> float:
        """The share of the first version's records that the second holds; 1 where it has none."""
        return self.shared.both / self.shared.first if self.shared.first else 1.0

    @property
    def older(self) -> Side:
        """The version that was brought up to date less recently."""
        return self.first if self.first.read_at < self.second.read_at else self.second

    def row(self) -> dict[str, Any]:
        """The comparison as one nested row of plain values, as ``--json`` prints it."""
        space: dict[str, Any] = {} if self.space is None else asdict(self.space)
        shared = self.shared
        space["moved"] = [
            {"record_id": record_id, "kept": kept} for record_id, kept in space.get("moved", ())
        ]
        return {
            "feature": self.feature,
            "first": self.first.row() | {"records": shared.first},
            "second": self.second.row() | {"records": shared.second},
            "both": shared.both,
            "only_first": shared.first - shared.both,
            "only_second": shared.second - shared.both,
            "stale": shared.both - shared.same,
            "stale_in": self.older.version,
            "coverage": self.coverage,
            "missing": list(shared.missing),
            **space,
        }

    def sentences(self) -> Iterator[str]:
        """Say how to read the numbers."""
        one, two, shared = self.first.table, self.second.table, self.shared
        yield (
            f"rows: {two} holds {shared.both:,} of the {shared.first:,} records of {one}, and "
            f"{shared.second - shared.both:,} that {one} has not"
        )
        if self.first.chunked or self.second.chunked:
            yield f"{_units(self.first)}, {_units(self.second)}: records are counted, not rows"
        stale = shared.both - shared.same
        if stale:
            yield (
                f"{units.verb(stale, 'record', 'has', 'have')} another content in each; "
                f"{self.older.table} was brought up to date less recently"
            )
        if self.space is not None:
            if self.first.chunked != self.second.chunked:
                yield (
                    "space: a vector of a chunk and one of a record can be compared only where the "
                    "chunk is the whole record"
                )
            yield from _of_space(self.space, one, two)


def _units(side: Side) -> str:
    unit = "a chunk" if side.chunked else "a record"
    return f"{side.table} holds {units.several(side.rows, 'row')}, {unit} each"


def _of_space(space: Space, one: str, two: str) -> Iterator[str]:
    yield (
        f"space: on {space.sampled:,} records that both hold with the same content, each version "
        "by its own metric, neighbours among these records alone"
    )
    if space.overlap is None or space.churn is None:
        yield f"neighbours cannot be compared: that needs {space.k + 2} records or more"
        return
    yield (
        f"overlap@{space.k} {_read(space.overlap)}: the share of a record's {space.k} nearest that "
        "are the same; what a search finds changes by the rest"
    )
    yield (
        f"rank churn {_read(space.churn)}: 1 - rank-biased overlap (Webber et al. 2010) down to "
        f"place {space.depth}; 0 is the same order, 1 nothing in common"
    )
    if space.cka is None or space.procrustes is None:
        yield "the vectors of a version do not vary, so that its geometry cannot be compared"
        return
    yield (
        f"linear CKA {_read(space.cka)}: 1 is the same geometry up to rotation and scale "
        "(Kornblith et al. 2019)"
    )
    yield (
        f"Procrustes residual {_read(space.procrustes)}: what no rotation and scale brings "
        f"together; near 0 the vectors of {one} could be turned into those of {two}"
    )
    moved = ", ".join(f"{record_id} ({kept} of {space.k})" for record_id, kept in space.moved)
    yield f"neighbourhoods that change most, with how many neighbours stay: {moved}"


def _read(found: Estimate) -> str:
    return f"{found.value:.3f} ± {found.standard_error:.3f} (by chance {found.by_chance:.3f})"
