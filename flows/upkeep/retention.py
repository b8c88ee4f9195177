"""Which published states of a version stay, and why: plain decisions over its manifests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from flows.config.settings import Gc
    from storage.model import Manifest


@dataclass(frozen=True)
class State:
    """A published state of a version, however many runs found nothing to change in it.

    Attributes:
        superseded: since when readers see another; None for the one that they see.
        why: why it stays; None if it goes.
    """

    lance_version: int
    published: datetime
    superseded: datetime | None
    why: str | None


def judge(
    manifests: Sequence[Manifest],
    policy: Gc,
    now: datetime,
    *,
    tags: Mapping[int, str],
    reference: tuple[int, str] | None = None,
    live: bool = True,
) -> list[State]:
    """Decide on every state of a version that can still be read.

    A state is as old as the time since readers last saw it, so that ``keep_days`` is also how far
    back one can read.

    Args:
        manifests: of one version, oldest first.
        policy: what stays.
        now: the time, with its zone.
        tags: Lance version to the tag that pins it.
        reference: the Lance version that monitors compare with, and the words that name it; None
            where they need none of the earlier states (`flows.monitoring.references.needed`).
        live: whether readers get the version: of another the newest state stays to be promoted.

    Returns:
        The states, newest first.
    """
    readable = [m for m in manifests if m.forgotten_at is None]
    grouped: dict[int, list[Manifest]] = {}
    for manifest in readable:
        grouped.setdefault(manifest.lance_version, []).append(manifest)
    states: list[State] = []
    superseded: datetime | None = None
    rank = 0
    copied = False  # whether the newer state is gc's, which holds the same rows
    for lance_version in sorted(grouped, reverse=True):
        group = grouped[lance_version]
        named = reference[1] if reference and reference[0] == lance_version else None
        among_last = rank < policy.keep_runs and not copied
        if superseded is None and not live:
            why: str | None = "the version can be promoted"
        else:
            why = _why(superseded, policy, now, tags.get(lance_version), named, among_last)
        published = min(m.published_at for m in group)
        states.append(State(lance_version, published, superseded, why))
        superseded = published
        copied = all(m.kind == "gc" for m in group)
        rank += not copied
    return states


def unnamed(versions: Collection[int], manifests: Sequence[Manifest]) -> set[int]:
    """The Lance versions that no readable manifest names."""
    return set(versions) - {m.lance_version for m in manifests if m.forgotten_at is None}


def _why(
    superseded: datetime | None,
    policy: Gc,
    now: datetime,
    tag: str | None,
    reference: str | None,
    among_last: bool,  # noqa: FBT001 - as computed above
) -> str | None:
    if superseded is None:
        return "readers see it"
    age = now - superseded
    grace, days = timedelta(hours=policy.grace_hours), timedelta(days=policy.keep_days)
    reasons = (
        (tag is not None, f"the tag {tag!r} pins it"),
        (reference is not None, f'monitors compare with it (reference = "{reference}")'),
        (age < grace, f"readers saw it within grace_hours = {policy.grace_hours:g}"),
        (age < days, f"readers saw it within {policy.keep_days:g} days (keep_days)"),
        (among_last, f"among the last {policy.keep_runs} states (keep_runs)"),
    )
    return next((reason for holds, reason in reasons if holds), None)
