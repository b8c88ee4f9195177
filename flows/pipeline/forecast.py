"""What a run is to come to, told beforehand: why there is a new version, time, bytes, policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.lifecycle.recipes import differences
from flows.output.redact import redact_all
from flows.pipeline import fitting
from storage import paces
from storage.footprint import row_bytes
from storage.vectors import SYSTEM_COLUMNS, THUMBNAIL
from storage.views import VALIDITY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from flows.config.settings import Feature, Monitor
    from flows.config.stores import Stores
    from storage.model import Counts, Manifest, Version

_FLOAT = 4
"""Bytes of a dimension as runs write it."""


@dataclass(frozen=True)
class Change:
    """A key of an encoder that differs; None where one of the two has no such key."""

    key: str
    was: str | None
    becomes: str | None


@dataclass(frozen=True)
class Forecast:
    """What is to be expected of a run.

    Attributes:
        against: the version that a new one is held against, None without one.
        changes: how its encoder differs from that one's.
        learns: whether the encoder has to learn before it can encode.
        rate_from: whose runs the expected time is from.
        seconds: how long it will take, None where no such encoder has run here.
        bytes: how much the rows that it writes will take, None before there are any.
        policy: what else the configuration changes, and who does not see it, in sentences.
    """

    against: int | None = None
    changes: tuple[Change, ...] = ()
    learns: bool = False
    rate_from: str | None = None
    seconds: float | None = None
    bytes: int | None = None
    policy: tuple[str, ...] = ()


def forecast(
    feature: Feature,
    stores: Stores,
    version: Version | None,
    counts: Counts,
    *,
    kept: Collection[str],
    monitors: Collection[Monitor],
    rewrites: bool = False,
) -> Forecast:
    """What a run over these counts is to come to.

    Args:
        feature: as configured.
        stores: where it lies.
        version: that the run works on; None for one that is yet to be made.
        counts: of the plan.
        kept: the columns that its source keeps.
        monitors: that look after it.
        rewrites: whether every published row is written anew.
    """
    versions = [v for v in stores.catalog.versions(feature.name) if v.dropped_at is None]
    published = stores.catalog.published(version) if version else None
    base = None
    if published is None:
        others = [v for v in versions if version is None or v.version != version.version]
        base = next((v for v in others if v.standing == "live"), others[-1] if others else None)
    number = version.version if version else len(stores.catalog.versions(feature.name)) + 1
    known = paces.of_kind(stores.catalog, feature.encoder.kind, feature.name, number)
    if version is not None and version.kind != feature.encoder.kind:
        known = paces.of_kind(stores.catalog, version.kind, feature.name, number)
    return Forecast(
        against=base.version if base else None,
        changes=_changes(feature, stores, version, base) if base else (),
        learns=version is None and _has_to_learn(feature, stores),
        rate_from=None if known is None else _whose(known, feature.name, number),
        seconds=None if known is None else known.pace.seconds(counts.encoded, counts.records),
        bytes=_bytes(stores, version, base, published, counts, rewrites=rewrites),
        policy=(
            *_policy(stores, version, published, kept, monitors),
            *_readers(feature.name, number, versions),
        ),
    )


def _changes(
    feature: Feature, stores: Stores, version: Version | None, base: Version
) -> tuple[Change, ...]:
    """How the encoder of a new version differs from that of another."""
    plugin = feature.encoder
    recipe = dict(version.recipe) if version else _recipe(feature, stores)
    if recipe is not None:
        found = differences(redact_all(recipe), base.recipe)  # as the catalog has it
    else:  # it has yet to learn, so that only its parameters can be told
        new = {"kind": plugin.kind, "params": fitting.params_of(plugin)}
        found = differences(new, {"kind": base.kind, "params": dict(base.params)})
        deciding = {"kind", *base.recipe, *_params(base.recipe)}
        found = [one for one in found if one[0] in deciding] or found
    return tuple(Change(key, was, becomes) for key, was, becomes in found)


def _params(recipe: Any) -> Any:  # noqa: ANN401 - a recipe is JSON
    params = recipe.get("params")
    return params if isinstance(params, dict) else {}


def _recipe(feature: Feature, stores: Stores) -> dict[str, Any] | None:
    from flows.pipeline import over

    resolved = over.resolved(feature, stores.catalog)
    return fitting.recipe_of(resolved, stores.catalog, stores.states)


def _has_to_learn(feature: Feature, stores: Stores) -> bool:
    return _recipe(feature, stores) is None


def _whose(known: paces.KnownPace, feature: str, number: int) -> str:
    runs = "its last run" if known.runs == 1 else f"its last {known.runs} runs"
    if (known.feature, known.version) == (feature, number):
        return runs
    runs = "the last run" if known.runs == 1 else f"the last {known.runs} runs"
    return f"{runs} of {known.feature} v{known.version}, whose encoder is of the same kind"


def _bytes(
    stores: Stores,
    version: Version | None,
    base: Version | None,
    published: Manifest | None,
    counts: Counts,
    *,
    rewrites: bool,
) -> int | None:
    """What the rows take that a run writes, by what rows take that are there."""
    like, manifest = version, published
    if published is None and base is not None:
        like, manifest = base, stores.catalog.published(base)
    if like is None or manifest is None:
        return None
    found = row_bytes(stores.vectors, (like.table, manifest.lance_version))
    if found is None:
        return None
    vector, others = found
    if version is not None and version is not like:
        vector = version.dim * _FLOAT
    rows = counts.new + counts.changed + counts.updated + (counts.unchanged if rewrites else 0)
    return round(rows * (vector + others))


def _policy(
    stores: Stores,
    version: Version | None,
    published: Manifest | None,
    kept: Collection[str],
    monitors: Collection[Monitor],
) -> tuple[str, ...]:
    """What the configuration changes of a published version without another one."""
    if version is None or published is None:
        return ()
    names = stores.vectors.state(version.table, published.lance_version).schema.names
    hidden = {*SYSTEM_COLUMNS, *VALIDITY, THUMBNAIL}
    told = []
    before = {n for n in names if n not in hidden and not n.startswith("_")}
    if new := sorted({*kept} - {*names}):
        told.append(f"keeps {_listed(new)} from now on, so every row is written anew")
    if gone := sorted(before - {*kept}):
        told.append(f"keeps {_listed(gone)} no more, so every row is written anew")
    looked = _have_looked(stores, version)
    if looked and (new := [m.name for m in monitors if m.name not in looked]):
        told.append(f"is looked at by {_listed(new)} for the first time")
    if gone := sorted(looked - {m.name for m in monitors}):
        told.append(f"is looked at by {_listed(gone)} no more")
    return tuple(told)


def _readers(name: str, number: int, versions: Sequence[Version]) -> Iterator[str]:
    """That readers will not see what a run makes, where another version is live."""
    live = next((v.version for v in versions if v.standing == "live"), number)
    if live != number:
        yield f"readers go on seeing v{live} until `vecmill promote {name} {number}`"


def _have_looked(stores: Stores, version: Version) -> set[str]:
    """The monitors that looked at the version when it was last looked at."""
    found = stores.catalog.query(
        "SELECT DISTINCT monitor FROM findings WHERE feature = $1 AND version = $2 AND run_id = ("
        "SELECT run_id FROM findings WHERE feature = $1 AND version = $2 "
        "ORDER BY found_at DESC LIMIT 1)",
        version.feature,
        version.version,
    )
    return set(found.column("monitor").to_pylist())


def _listed(names: Collection[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
