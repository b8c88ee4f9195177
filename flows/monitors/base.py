"""What a monitor is, and where monitors are found.

A monitor compares two samples of vectors and says what it found. Each file of this package that
defines ``compare`` is one monitor, named in the configuration by the file's name. Such a module
has two names:

* ``Params``: a frozen dataclass with defaults, the keys that ``[monitors.NAME]`` takes,
* ``compare(reference, current, rng, params)``: a pure function that returns a `Finding`.

and may have more:

* ``READS``: what of a sample it looks at beside the vectors, names of `Sample`'s attributes; what
  no monitor of a feature reads is not fetched,
* ``BY_DEFAULT``: whether a feature that names no monitors is looked at by it too,
* ``columns(params)``: the columns that its keys name, by key,
* ``COUNTS``: of what its statistic is a number, such as ``records``, where it is one,
* ``OF_VECTORS``: False for a monitor that looks at records alone, so that what it says is the same
  whatever the encoder makes of them,
* ``COMPARES``: False for a monitor that holds nothing against the reference, so that its findings
  name none.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from flows.monitors._lying import Lying
    from flows.monitors._profile import Profile
    from flows.monitors._sketch import Sketch

Verdict: TypeAlias = Literal["quiet", "watch", "alarm", "cannot tell"]
"""What a monitor says; ``watch`` is not its own to say, but comes of a series of looks: this one
alone would be an alarm, and the series as a whole does not carry one."""

FIRST = "nothing to compare with yet: this is the first run"
"""What a summary says, among other things or alone, where the reference is empty."""

BROKEN = "broken_limits"
"""The figure of a finding's `detail` that counts limits of the user's own which do not hold: no
chance is in them, so that no series of looks makes less of the alarm."""

PartKind: TypeAlias = Literal["check", "slice", "cluster", "word", "detector"]


@dataclass(frozen=True)
class Sample:
    """Vectors to compare, and the records they stand for.

    Attributes:
        vectors: ``(n, dim)`` float32; may hold NaN, which `health` reports.
        record_ids: n ids.
        content_hashes: n hashes; equal contents have equal vectors by right.
        kept: the columns that are kept beside the vectors, n values each; None where there is
            none.
        records: what the raw records were like: of a reference, of the runs behind it; None where
            no profile was taken, or no monitor reads it.
        sketch: of all contents that the rows were drawn from; None where they are few enough to
            look at each, or no sketch can be had.
        canaries: ``(k, dim)`` float32, the vectors of a few contents that are encoded ever again:
            of the reference as they were first, of the current sample as they are now, row by row
            the same contents; NaN where the encoder fails on one. None where there are none.
        alike: whether records that differ in nothing but who they are have one vector by right, as
            users do who met the same items: their contents name them, and so are never equal.
        lying: how the table lies in its store; None where nothing is published, or no monitor
            reads it.
    """

    vectors: NDArray[np.float32]
    record_ids: Sequence[str]
    content_hashes: Sequence[str]
    kept: Mapping[str, Sequence[object]] = field(default_factory=dict)
    records: Profile | None = None
    sketch: Sketch | None = None
    canaries: NDArray[np.float32] | None = None
    alike: bool = False
    lying: Lying | None = None

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True)
class Part:
    """One of the things that a finding is about, such as a slice of the records.

    Attributes:
        kind: what it is.
        name: which one, such as ``label = Sports``.
        verdict: what is said of it alone, with the finding's error rate.
        summary: in words, with the figures that carry it.
        figures: named figures.
        record_ids: some of its current records, the clearest first.
    """

    kind: PartKind
    name: str
    verdict: Verdict
    summary: str
    figures: dict[str, float] = field(default_factory=dict)
    record_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What a monitor says.

    Attributes:
        monitor: the monitor's name.
        verdict: ``alarm``, ``quiet``, or ``cannot tell`` where too few rows were given.
        summary: one sentence for a person, as `flows.monitors._told` has them.
        statistic: what was measured; None where nothing could be.
        threshold: what the statistic was held against.
        p_value: probability of such a statistic if nothing had changed; None for plain checks.
        effect_size: how large the change is, in units that `summary` names.
        n_reference: rows of the reference that were used.
        n_current: rows of the current sample that were used.
        record_ids: the records behind the finding, the clearest first.
        detail: further named figures.
        parts: what it is about, the clearest first.
    """

    monitor: str
    verdict: Verdict
    summary: str
    statistic: float | None
    threshold: float | None
    p_value: float | None
    effect_size: float | None
    n_reference: int
    n_current: int
    record_ids: tuple[str, ...] = ()
    detail: dict[str, float] = field(default_factory=dict)
    parts: tuple[Part, ...] = ()


@cache
def kinds() -> tuple[str, ...]:
    """The monitors, by file name."""
    import flows.monitors as package

    names = (
        m.name
        for m in pkgutil.iter_modules(package.__path__)
        if m.name != "base" and m.name[0] != "_"
    )
    return tuple(sorted(name for name in names if hasattr(_module(name), "compare")))


def _module(kind: str) -> Any:  # noqa: ANN401 - a module with the two names above
    return importlib.import_module(f"flows.monitors.{kind}")


def reads(kind: str) -> frozenset[str]:
    """What of a sample this monitor looks at beside the vectors."""
    return frozenset(getattr(_module(kind), "READS", ()))


def of_vectors(kind: str) -> bool:
    """Whether what this monitor says depends on the encoder."""
    return bool(getattr(_module(kind), "OF_VECTORS", True))


def compares(kind: str) -> bool:
    """Whether this monitor holds the reference against what it looks at."""
    return bool(getattr(_module(kind), "COMPARES", True))


def columns(kind: str, params: object) -> Mapping[str, Sequence[str]]:
    """The kept columns that this monitor's keys name, by key."""
    named = getattr(_module(kind), "columns", None)
    return {} if named is None else cast("Mapping[str, Sequence[str]]", named(params))


def counts(kind: str) -> str | None:
    """Of what this monitor's statistic is a number; None where it measures something else."""
    return cast("str | None", getattr(_module(kind), "COUNTS", None))


def by_default() -> tuple[str, ...]:
    """The monitors of a feature that names none."""
    return tuple(kind for kind in kinds() if getattr(_module(kind), "BY_DEFAULT", False))


def params_type(kind: str) -> type[Any]:
    """The dataclass of the keys that this monitor takes."""
    return cast("type[Any]", _module(kind).Params)


def compare(
    kind: str, reference: Sample, current: Sample, rng: np.random.Generator, params: object
) -> Finding:
    """Run one monitor."""
    return cast("Finding", _module(kind).compare(reference, current, rng, params))
