"""What a version is, and what sets it apart from the one before, for a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.lifecycle.compare import contrast
from flows.lifecycle.recipes import differences
from storage.model import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.config.stores import Stores
    from storage.model import Manifest, Version

_MOST = 12
_SOURCE = "SELECT source, encoder FROM features WHERE feature = ?"


def facts(stores: Stores, version: Version, published: Manifest | None) -> dict[str, str]:
    """What a version is, by name and in words."""
    noted = stores.catalog.query(_SOURCE, version.feature).to_pylist()
    model = version.params.get("model")
    kind = f"{version.kind}, {model}" if isinstance(model, str) else version.kind
    dead = len(stores.catalog.dead_letters(version))
    told = {
        "Status": version.standing,
        "Rows": "none published" if published is None else f"{published.rows:,}",
        "Dead letters": f"{dead:,}",
        "Source": noted[0]["source"] if noted else "",
        "Encoder": kind,
        "Vectors": f"{version.dim:,} dimensions, {version.metric}",
    }
    return {name: value for name, value in told.items() if value}


def changes(stores: Stores, version: Version) -> tuple[str, ...]:
    """What sets a version apart from the one before it, a sentence each."""
    before = [v for v in stores.catalog.versions(version.feature) if v.version < version.version]
    if not before:
        return (f"v{version.version} is the first version of {version.feature}.",)
    return tuple(_changes(stores, before[-1], version))


def _changes(stores: Stores, old: Version, new: Version) -> Iterator[str]:
    yield from _made(old, new)
    try:
        yield from (f"{told[:1].upper()}{told[1:]}." for told in _rows(stores, old, new))
    except StorageError as error:
        yield f"Their rows cannot be held against each other: {error}."


def _rows(stores: Stores, old: Version, new: Version) -> Iterator[str]:
    for told in contrast(stores, old, new, size=0).sentences():
        yield told.removeprefix("rows: ")


def _made(old: Version, new: Version) -> Iterator[str]:
    """How the encoders differ."""
    found = differences(new.recipe, old.recipe)
    if old.kind != new.kind:
        yield f"The encoder is of another kind: {new.kind} instead of {old.kind}."
    for name, was, now in found[:_MOST]:
        if now is None:
            yield f"{name} is set no more; it was {was}."
        elif was is None:
            yield f"{name} is {now}; v{old.version} had none."
        else:
            yield f"{name} is {now} instead of {was}."
    if len(found) > _MOST:
        yield f"{len(found) - _MOST} more entries of the recipe differ."
    if not found and old.state != new.state:
        yield f"The encoder has learned anew: its state is {new.state} instead of {old.state}."
    if old.dim != new.dim:
        yield f"Vectors have {new.dim:,} dimensions instead of {old.dim:,}."
    if old.metric != new.metric:
        yield f"They are compared by {new.metric} instead of {old.metric}."
    if old.code_version != new.code_version:
        yield f"It was made by Vecmill {new.code_version}, v{old.version} by {old.code_version}."
