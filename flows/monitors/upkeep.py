"""Upkeep: whether a table lies in its store so that it is read fast, and nothing lies about.

Small fragments, rows that no index knows, states that nobody needs and bytes of no state come of
runs that are right; they make searches slower and the store larger until `vecmill maintain` mends
them. A monitor says when that is due where nobody has put it on a schedule. Nothing is drawn and
nothing estimated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.monitors import _told
from flows.monitors.base import Finding, Part

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from flows.monitors._lying import Lying
    from flows.monitors.base import Sample, Verdict

READS = frozenset({"lying"})
OF_VECTORS = False
COMPARES = False
COUNTS = "checks"

_MEGA = 1_000_000


@dataclass(frozen=True)
class Params:
    """From when on upkeep is due.

    Attributes:
        max_fragments: small fragments that a table may lie in.
        max_unindexed: the share of rows that an index need not know.
        max_old_states: states of a table that nobody needs.
        max_orphan_mb: megabytes of these, and of writes that failed.
    """

    max_fragments: int = 32
    max_unindexed: float = 0.1
    max_old_states: int = 100
    max_orphan_mb: float = 1000.0

    def __post_init__(self) -> None:
        if not 0 <= self.max_unindexed <= 1:
            raise ValueError(f"max_unindexed is a share from 0 to 1, got {self.max_unindexed}")
        for name in ("max_fragments", "max_old_states", "max_orphan_mb"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


def compare(
    reference: Sample,  # noqa: ARG001 - as every monitor takes it
    current: Sample,
    rng: np.random.Generator,  # noqa: ARG001 - as above
    params: Params,
) -> Finding:
    """Hold how the published state lies there against limits.

    ``statistic`` is the number of limits that are passed and ``threshold`` is 0; there is no
    p-value. A part tells of each check, passed or not, with its figures, which are in ``detail``
    too: ``small_fragments``, ``unindexed_share``, ``old_states`` and ``orphan_bytes``.
    """
    lying = current.lying
    parts = () if lying is None else tuple(_checks(lying, params))
    wrong = [part for part in parts if part.verdict == "alarm"]
    verdict: Verdict = "alarm" if wrong else "quiet" if parts else "cannot tell"
    return Finding(
        monitor="upkeep",
        verdict=verdict,
        summary=_summary(parts, wrong),
        statistic=float(len(wrong)) if parts else None,
        threshold=0.0 if parts else None,
        p_value=None,
        effect_size=None,
        n_reference=0,
        n_current=0,
        detail={name: value for part in parts for name, value in part.figures.items()},
        parts=tuple(sorted(parts, key=lambda part: part.verdict != "alarm")),
    )


def _summary(parts: tuple[Part, ...], wrong: list[Part]) -> str:
    if not parts:
        return "how the table lies in its store cannot be told; nothing of it is published"
    if not wrong:
        return "the table lies in few pieces, its indexes know its rows, and little lies about"
    return f"{', '.join(part.summary for part in wrong)}; `vecmill maintain --yes` mends it"


def _checks(lying: Lying, params: Params) -> Iterator[Part]:
    share = lying.unindexed / lying.rows if lying.rows else 0.0
    orphans = lying.orphan_bytes / _MEGA
    given = (
        ("fragments", f"{lying.small_fragments:,} small fragments",
         {"small_fragments": float(lying.small_fragments)},
         lying.small_fragments > params.max_fragments, f"{params.max_fragments:,}"),
        ("indexes", f"{_told.share(share)} of rows in no index", {"unindexed_share": share},
         share > params.max_unindexed, _told.share(params.max_unindexed)),
        ("states", f"{lying.old_states:,} states that nobody needs",
         {"old_states": float(lying.old_states)},
         lying.old_states > params.max_old_states, f"{params.max_old_states:,}"),
        ("orphans", f"{orphans:,.0f} MB of no state", {"orphan_bytes": float(lying.orphan_bytes)},
         orphans > params.max_orphan_mb, f"{params.max_orphan_mb:,.0f} MB"),
    )  # fmt: skip
    for name, told, figures, beyond, most in given:
        verdict: Verdict = "alarm" if beyond else "quiet"
        yield Part("check", name, verdict, f"{told} (at most {most})", figures)
