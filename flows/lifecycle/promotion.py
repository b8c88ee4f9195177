"""Which version readers get: promotion through gates, the way back, and giving versions up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from encoders.base import EncoderError
from flows.config.stores import Stores
from flows.lifecycle.compare import SAMPLE, contrast, dead_share, side_of
from flows.lifecycle.gates import DEFAULT_GATES, NEIGHBOURS, Seen, judge
from flows.pipeline.versions import known_version
from storage import standings
from storage.model import StorageError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.config.settings import Settings
    from flows.lifecycle.gates import Gates, Verdict
    from storage.catalog import Catalog
    from storage.model import Version

_ATTEMPTS = 10
_BY_A_RUN = {"complete", "max_dead", "no_alarms", "min_coverage", "min_fresh"}
"""Gates that a run can mend: how two encoders' spaces differ, none changes."""


class GateError(StorageError):
    """A version may not go live: its gates (``verdicts``) say why.

    Attributes:
        brief: the message without what the gates say, for where that stands above it.
    """

    def __init__(self, version: Version, verdicts: Sequence[Verdict]) -> None:
        failed = [verdict for verdict in verdicts if not verdict.passed]
        said = "; ".join(f"{verdict.gate}: {verdict.told}" for verdict in failed)
        super().__init__(_refusal(version, failed, said))
        self.verdicts = verdicts
        names = ", ".join(verdict.gate for verdict in failed)
        self.brief = _refusal(version, failed, f"see {names}")


@dataclass(frozen=True)
class Promotion:
    """What a promotion did.

    Attributes:
        version: the version that is live now.
        before: the number of the one that was, None where none was.
        changed: whether the promotion changed anything: False where it was live already.
        forced: whether gates failed and it was made live all the same.
        gates: what they said.
    """

    version: Version
    before: int | None
    changed: bool = True
    forced: bool = False
    gates: tuple[Verdict, ...] = ()


def promote(
    settings: Settings,
    name: str,
    which: int | str,
    *,
    force: bool = False,
    reason: str | None = None,
) -> Promotion:
    """Make a version of a feature the live one, if it passes the feature's gates.

    The gates read vectors, and may take a while. What they were asked on is checked again in the
    transaction that switches; where a run has published meanwhile they are asked anew.

    Args:
        settings: the configuration; a feature that it does not name is asked the default gates.
        name: the feature.
        which: a version's number, or ``candidate`` for the newest candidate.
        force: make it live even where a gate fails. That there is something to read is no gate.
        reason: why; goes into the log. Needed to force.

    Raises:
        GateError: if a gate fails and it is not forced.
        UsageError: if there is no such version, or its readers would see nothing.
    """
    if force and not (reason or "").strip():
        raise UsageError('to force a version past its gates takes a reason: --reason "..."')
    stores = Stores.of(settings)
    known(settings, stores, name)
    configured = settings.features.get(name)
    gates = configured.gates if configured else DEFAULT_GATES
    for _ in range(_ATTEMPTS):
        version = _version(stores.catalog, name, which)
        basis = standings.basis(stores.catalog, name, version.version)
        if basis.live == version.version:
            return Promotion(version, basis.live, changed=False)
        verdicts = gates_of(stores, gates, version)
        failed = [verdict for verdict in verdicts if not verdict.passed]
        if failed and not force:
            raise GateError(version, verdicts)
        switched = standings.promote(
            stores.catalog,
            name,
            version.version,
            basis,
            forced=bool(failed),
            reason=reason,
            gates=[verdict.row() for verdict in verdicts],
        )
        if switched:
            version = _version(stores.catalog, name, version.version)
            return Promotion(version, basis.live, gates=tuple(verdicts), forced=bool(failed))
    raise StorageError(
        f"{name} changed each of the {_ATTEMPTS} times that its gates were asked, so nothing is "
        "promoted; wait for its runs to end, and try again"
    )


def gates_of(stores: Stores, gates: Gates, version: Version) -> list[Verdict]:
    """What the gates say of a version as it is published now.

    Raises:
        UsageError: if it has nothing that readers could see.
        StorageError: if its table cannot be read.
    """
    live = stores.catalog.live(version.feature)
    if live is None or live.version == version.version:
        side = side_of(stores, version)
        stores.vectors.rows(version.table, side.lance_version)
        dead = dead_share(stores, version, side)
        return judge(gates, Seen(version.complete, dead, side.alarms), None)
    size = SAMPLE if gates.of_the_space else 0
    found = contrast(stores, live, version, k=NEIGHBOURS, size=size)
    # Whatever has changed the live version since, a backfill too, this one may not have seen.
    behind = found.second.read_at < found.first.changed_at and found.shared.both
    space = found.space
    seen = Seen(
        complete=version.complete,
        dead=dead_share(stores, version, found.second),
        alarms=found.second.alarms,
        coverage=found.coverage,
        fresh=found.shared.same / found.shared.both if behind else None,
        missing=found.shared.missing,
        sampled=space.sampled if space else 0,
        overlap=space.overlap if space else None,
        cka=space.cka if space else None,
        procrustes=space.procrustes if space else None,
    )
    return judge(gates, seen, live.table)


def rollback(settings: Settings, name: str, reason: str | None = None) -> tuple[int, int]:
    """Make the version live that was so before the present one; no gate is asked.

    Returns:
        The version that was live, and the one that is.

    Raises:
        UsageError: if there is none to go back to.
    """
    stores = Stores.of(settings)
    known(settings, stores, name)
    return standings.rollback(stores.catalog, name, reason)


def goes_elsewhere(settings: Settings, name: str, number: int) -> bool:
    """Whether runs of a feature go on with another encoder than that of a version.

    Where the encoder as configured cannot be had just now, they may.
    """
    feature = settings.features.get(name)
    if feature is None or feature.update == "live":
        return False
    try:
        configured = known_version(feature, Stores.of(settings), root=settings.root)
    except (EncoderError, StorageError, UsageError):
        return True
    return configured is None or configured.version != number


def retire(settings: Settings, name: str, number: int, reason: str | None = None) -> bool:
    """Give a candidate up; it can still be promoted.

    Returns:
        False where it was retired already.

    Raises:
        UsageError: if there is no such version, or it is the live one.
    """
    stores = Stores.of(settings)
    known(settings, stores, name)
    return standings.retire(stores.catalog, name, number, reason)


def retire_all(settings: Settings, name: str, reason: str | None = None) -> list[int]:
    """Give up all versions of a feature that is in the configuration no more.

    Returns:
        The versions that were not retired before.

    Raises:
        UsageError: if it is still there: its next run would bring it back.
    """
    stores = Stores.of(settings)
    known(settings, stores, name)
    if name in settings.features:
        raise UsageError(
            f"{name} is in the configuration, so its next run would make a version live again; "
            f"take [features.{name}] out of {settings.conf.name} first, or retire one version with "
            f"`vecmill retire {name} N`"
        )
    return standings.retire_all(stores.catalog, name, reason)


def known(settings: Settings, stores: Stores, name: str) -> None:
    """Check that a feature is in the configuration, or has versions in the catalog.

    Raises:
        SettingsError: if it is in neither.
    """
    if name not in settings.features and not stores.catalog.versions(name):
        settings.feature(name)


def _version(catalog: Catalog, name: str, which: int | str) -> Version:
    versions = {version.version: version for version in catalog.versions(name)}
    if which == "candidate":
        candidates = [
            version
            for version in versions.values()
            if version.standing == "candidate" and version.dropped_at is None
        ]
        if not candidates:
            raise UsageError(
                f"{name} has no candidate; a run with another encoder makes one, and "
                f"`vecmill versions {name}` shows what there is"
            )
        return candidates[-1]
    if which not in versions:
        raise UsageError(standings.no_version(name, int(which), versions))
    return versions[int(which)]


def _refusal(version: Version, failed: Sequence[Verdict], said: str) -> str:
    name = version.feature
    mended = {verdict.gate for verdict in failed} <= _BY_A_RUN
    mend = f"Mend that, such as with `vecmill run {name}`, change" if mended else "Change"
    return (
        f"{version.table} does not pass its gates, so {name} stays as it is: {said}. {mend} "
        f'[features.{name}.gates], or force it with --force --reason "..."'
    )
