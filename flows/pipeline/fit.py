"""Fitting as a step of its own: a candidate is registered, and the next run fills it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from encoders.base import Learner
from flows.config.stores import Stores
from flows.pipeline import fitting, learning, over, unclaimed, versions
from storage import fits, standings
from storage.locks import exclusive
from storage.model import UsageError

if TYPE_CHECKING:
    from flows.config.settings import Settings
    from flows.output.progress import Reporter
    from flows.pipeline.learning import Draw
    from storage.catalog import Catalog
    from storage.fits import Fit
    from storage.model import Version


@dataclass(frozen=True)
class Fitted:
    """What came of a fit.

    Attributes:
        version: the version that has what was learned.
        new: whether it is a new one; otherwise the encoder learned what it had learned before.
        filled: whether a run has published vectors of it.
        live: the number of the version that readers get, None where there is none.
        retired: versions that earlier fits registered, and that are given up for this one, since
            no run has published anything of them.
    """

    encoder: str
    fit: Fit
    version: Version
    new: bool
    filled: bool
    live: int | None
    update: str
    retired: tuple[int, ...] = ()

    def row(self) -> dict[str, Any]:
        """As one flat row of plain values, as ``--json`` prints it."""
        fit, version = self.fit, self.version
        return {
            "feature": fit.feature,
            "encoder": self.encoder,
            "kind": version.kind,
            "version": version.version,
            "standing": version.standing,
            "new": self.new,
            "retired": list(self.retired),
            "records": fit.records,
            "wanted": fit.wanted,
            "since": fit.since,
            "until": fit.until,
            "seconds": fit.seconds,
            "dim": version.dim,
            "state": fit.state,
            "fingerprint": version.fingerprint,
            "figures": dict(fit.figures),
            "next": self.advice(),
        }

    def advice(self) -> str:
        """What has come of it, and what comes next."""
        said = [f"{self.fit.feature}_v{number}" for number in self.retired]
        are = "are" if len(said) > 1 else "is"
        gone = f"; {', '.join(said)}, of an earlier fit and never filled, {are} retired"
        return self._next() + (gone if said else "")

    def _next(self) -> str:
        table, name, number = self.version.table, self.fit.feature, self.version.version
        if not self.new and self.filled:
            return (
                f"that is what {table} ({self.version.standing}) was made with, so nothing has "
                "changed; other records, or more of them, would teach the encoder something else"
            )
        now = f"{table} is {'a new' if self.new else 'still a'} version without vectors"
        # Runs that are to keep to the live version fill no other unasked.
        asked = f" --version {number}" if self.live and self.update == "live" else ""
        encode = f"`vecmill run {name}{asked}` encodes with it"
        if self.live is None:
            return f"{now}; {encode}, and makes it live"
        return (
            f"{now}; {encode}, then `vecmill compare {name} {self.live} {number}` holds it against "
            f"what readers see, and `vecmill promote {name} {number}` gives it to them"
        )


def fit(settings: Settings, name: str, draw: Draw, reporter: Reporter) -> Fitted:
    """Let a feature's encoder learn, and register the version that the next run is to fill.

    Args:
        settings: the configuration.
        name: the feature.
        draw: which records to learn from.
        reporter: told of progress, and of what the encoder measured.

    Raises:
        UsageError: if the encoder has nothing to learn.
        FittingError: if no record can be read.
        SourceError: if the source cannot be read.
    """
    stores = Stores.of(settings, reporter)
    feature = over.resolved(settings.feature(name), stores.catalog)
    if not isinstance(fitting.unfitted(feature, stores.states), Learner):
        raise UsageError(
            f"{name}: the encoder {feature.encoder.name!r} of kind {feature.encoder.kind!r} has "
            f"nothing to learn from records; `vecmill run {name}` encodes with it as it is"
        )
    lock = stores.locks / f"{name}.lock"
    with exclusive(lock, name, settings.engine.wait_seconds, reporter.note):
        before = {version.version for version in stores.catalog.versions(name)}
        unclaimed.check(name, stores)
        source = versions.open_source(settings, feature, None)
        found = learning.fit(feature, source, stores, reporter, draw)
        if found is None:
            raise TypeError(f"{feature.encoder.kind} is a Learner, and learned nothing")
        version = versions.register(feature, found.state, source, stores)
        fits.register(stores.catalog, name, found.state, version.version)
        filled = stores.catalog.published(version) is not None
        if not filled and standings.reinstate(stores.catalog, name, version.version, "fitted anew"):
            version = replace(version, standing="candidate")
        retired = _give_up(stores.catalog, found, version)
        live = stores.catalog.live(name)
    return Fitted(
        encoder=feature.encoder.name,
        fit=found,
        version=version,
        new=version.version not in before,
        filled=filled,
        live=None if live is None else live.version,
        update=feature.update,
        retired=retired,
    )


def _give_up(catalog: Catalog, found: Fit, version: Version) -> tuple[int, ...]:
    """Retire what earlier fits registered and no run filled: runs fill the newest alone."""
    waiting = fits.unfilled(catalog, found.feature, found.unfitted)
    earlier = [number for number in waiting if number != version.version]
    for number in earlier:
        reason = f"never filled before v{version.version} was fitted"
        standings.retire(catalog, found.feature, number, reason)
    return tuple(earlier)
