"""What a version must come up to before readers are given it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.lifecycle.similarity import Estimate

NEIGHBOURS = 10
"""The neighbours that ``min_overlap`` is about."""


@dataclass(frozen=True)
class Gates:
    """The keys of ``[features.NAME.gates]``: each is passed before a version is promoted.

    Those with a default are asked of every feature, and 0 or false turns them off. The others are
    asked where they are set: what is much differs from one pair of encoders to the next.

    Attributes:
        min_coverage: the share of the live version's record ids that the version must hold.
        min_fresh: the share of the records both hold whose content must be the same, where the
            live version was brought up to date after this one.
        no_alarms: no monitor's last look at the version that could tell may have raised an alarm.
        max_dead: the share of the version's records that may be dead letters; a run that has more
            than the feature's own ``max_dead`` of them publishes nothing anyway.
        min_overlap: the mean share of 10 nearest neighbours that must be the same as in the live.
        min_cka: linear CKA with the live version, at least.
        max_procrustes: the Procrustes residual against the live version, at most.
    """

    min_coverage: float = 0.99
    min_fresh: float = 0.99
    no_alarms: bool = True
    max_dead: float | None = None
    min_overlap: float | None = None
    min_cka: float | None = None
    max_procrustes: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{field.name} is a share from 0 to 1, got {value}")

    @property
    def of_the_space(self) -> bool:
        """Whether the vectors themselves have to be compared with the live version's."""
        return any(x is not None for x in (self.min_overlap, self.min_cka, self.max_procrustes))


DEFAULT_GATES = Gates()


@dataclass(frozen=True)
class Seen:
    """What the gates are held against.

    Attributes:
        complete: whether a run over the whole source has been published into the version.
        dead: the share of its records that are dead letters.
        alarms: the monitors whose last look at it that could tell raised an alarm.
        coverage: the share of the live version's records that it holds; None where none is live.
        fresh: the share of the records both hold with the same content, where the live version is
            the one brought up to date last; None where it is not.
        missing: some of the live version's records that it lacks.
        sampled: how many records overlap, cka and procrustes come from.
    """

    complete: bool
    dead: float
    alarms: tuple[str, ...] = ()
    coverage: float | None = None
    fresh: float | None = None
    missing: tuple[str, ...] = ()
    sampled: int = 0
    overlap: Estimate | None = None
    cka: Estimate | None = None
    procrustes: Estimate | None = None


@dataclass(frozen=True)
class Verdict:
    """What one gate says.

    Attributes:
        found: what was found, None where it cannot be told.
        limit: what was asked for.
        told: both in a sentence.
    """

    gate: str
    passed: bool
    found: float | None
    limit: float
    told: str

    def row(self) -> dict[str, Any]:
        """The verdict as plain values, as the log keeps it."""
        return asdict(self)


def judge(gates: Gates, seen: Seen, against: str | None) -> list[Verdict]:
    """Hold a version against its feature's gates.

    Args:
        gates: the feature's.
        seen: what there is to see of the version.
        against: the name of the live version, None where nothing is live: then only the gates
            that need no other version are asked.
    """
    verdicts = list(_alone(gates, seen))
    if against is not None:
        verdicts += [*_rows(gates, seen, against), *_space(gates, seen, against)]
    return verdicts


def _alone(gates: Gates, seen: Seen) -> Iterator[Verdict]:
    told = "holds a whole source" if seen.complete else (
        "no run over the whole source is published in it yet: finish one"
    )  # fmt: skip
    yield Verdict("complete", seen.complete, float(seen.complete), 1, told)
    limit = gates.max_dead
    if limit is not None:
        told = f"{seen.dead:.2%} of its records are dead letters, at most {limit:.2%} may be"
        yield Verdict("max_dead", seen.dead <= limit, seen.dead, limit, told)
    if gates.no_alarms:
        alarms = len(seen.alarms)
        told = f"alarms by {', '.join(seen.alarms)}" if alarms else "no monitor raises an alarm"
        yield Verdict("no_alarms", alarms == 0, alarms, 0, told)


def _rows(gates: Gates, seen: Seen, against: str) -> Iterator[Verdict]:
    if seen.coverage is not None:
        told = (
            f"holds {_share(seen.coverage)} of the records of {against}, at least "
            f"{gates.min_coverage:.2%} are wanted"
        )
        if seen.missing and seen.coverage < gates.min_coverage:
            told += f"; it lacks, for example, {', '.join(seen.missing)}"
        passed = seen.coverage >= gates.min_coverage
        yield Verdict("min_coverage", passed, seen.coverage, gates.min_coverage, told)
    if seen.fresh is not None:
        told = (
            f"{_share(seen.fresh)} of the records that {against} has too are up to date with it, "
            f"at least {gates.min_fresh:.2%} are wanted"
        )
        passed = seen.fresh >= gates.min_fresh
        yield Verdict("min_fresh", passed, seen.fresh, gates.min_fresh, told)


def _space(gates: Gates, seen: Seen, against: str) -> Iterator[Verdict]:
    asked = (
        ("min_overlap", gates.min_overlap, seen.overlap, f"the {NEIGHBOURS} nearest neighbours"),
        ("min_cka", gates.min_cka, seen.cka, "linear CKA"),
        ("max_procrustes", gates.max_procrustes, seen.procrustes, "the Procrustes residual"),
    )
    for name, limit, found, what in asked:
        if limit is None:
            continue
        bound = "at least" if name.startswith("min") else "at most"
        if found is None:
            told = (
                f"{what} cannot be compared with {against}: {seen.sampled} records with the same "
                "content in both, or vectors that do not vary"
            )
            yield Verdict(name, passed=False, found=None, limit=limit, told=told)
            continue
        value = found.value
        verb = "agree by" if name == "min_overlap" else "is"
        told = (
            f"{what} {verb} {value:.3f} ± {found.standard_error:.3f} against {against}, "
            f"{bound} {limit:g} is wanted ({seen.sampled:,} records sampled)"
        )
        passed = value >= limit if bound == "at least" else value <= limit
        yield Verdict(name, passed, value, limit, told)


def _share(value: float) -> str:
    """A share that is not whole, never rounded up to all."""
    return "all" if value == 1 else f"{min(value, 0.9999):.2%}"
