"""Profiles of raw records as monitors are given them: of a run, and of those it is held against."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from flows.monitors._profile import Look, Profile, merged
from storage.profiles import profiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flows.config.stores import Stores
    from flows.monitoring.references import Reference
    from storage.model import Manifest, Version

MAX_RUNS = 20
"""Runs that a reference of all that came before is made of: the last ones."""


def pair(
    stores: Stores,
    version: Version,
    manifests: Sequence[Manifest],
    reference: Reference | None,
    current: Manifest,
    own: Profile | None = None,
) -> tuple[Profile | None, Profile | None]:
    """The profile of the reference's runs, and that of a run; None where none was taken.

    Args:
        stores: where they are kept.
        version: the version.
        manifests: what was published of it, oldest first.
        reference: what the run is held against.
        current: the run.
        own: its profile, where it is not published yet.
    """
    wrote = [m for m in manifests if m.counts.written]
    before = [] if reference is None else _runs(reference, wrote, current)
    kept = profiles(stores.catalog, version, [m.run_id for m in (*before, current)])
    known = {run_id: Profile.parse(row) for run_id, row in kept.items()}
    if own is not None:
        known[current.run_id] = own
    first = wrote[0].run_id if wrote else current.run_id
    given = [_with_run(known, manifest, first) for manifest in before]
    now = _with_run(known, current, first) if current.run_id in known else None
    return merged(given), now


def _runs(reference: Reference, wrote: Sequence[Manifest], current: Manifest) -> list[Manifest]:
    """The runs behind a reference that wrote something."""
    others = [m for m in wrote if m.run_id != current.run_id]
    if reference.runs is not None:
        return [m for m in others if m.run_id in reference.runs]
    upto = reference.manifest.lance_version
    return [m for m in others if m.lance_version <= upto][-MAX_RUNS:]


def _with_run(known: Mapping[str, Profile], manifest: Manifest, first: str) -> Profile:
    """The profile of one run, with its place in the row of runs; an older release took none."""
    profile = known.get(manifest.run_id, Profile(rows=manifest.counts.written))
    kind: Literal["usual", "first", "other"] = "usual"
    if manifest.run_id == first:
        kind = "first"
    if manifest.kind != "run":
        kind = "other"
    look = Look(manifest.counts.written, manifest.published_at, profile.newest, kind)
    return replace(profile, runs=(look,))
