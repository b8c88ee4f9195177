"""The tables of a configuration as they are written, before anything of them is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def at(values: Any, table: tuple[str, ...]) -> Any:  # noqa: ANN401 - TOML
    """What stands under a name, by its parts; None where nothing does."""
    for part in table:
        values = values.get(part) if isinstance(values, dict) else None
    return values


def without(raw: Mapping[str, Any], table: tuple[str, ...], key: str) -> dict[str, Any] | None:
    """The tables without one key; None where that is not there."""
    if not table:
        return {k: v for k, v in raw.items() if k != key} if key in raw else None
    inner = raw.get(table[0])
    rest = without(inner, table[1:], key) if isinstance(inner, dict) else None
    return None if rest is None else {**raw, table[0]: rest}


def named_plugins(keys: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - TOML
    """The plug-ins that a feature names, each with its section."""
    if isinstance(keys, dict):
        for key in ("source", "encoder"):
            if isinstance(keys.get(key), str):
                yield f"{key}s", keys[key]
        for section in ("monitors", "alerts"):
            names = keys.get(section)
            listed = names if isinstance(names, list) else ()
            yield from ((section, name) for name in listed if isinstance(name, str))


def named_features(keys: Any) -> set[str]:  # noqa: ANN401 - TOML
    """The features that a feature is over, or shares a space with."""
    if not isinstance(keys, dict):
        return set()
    shared = keys.get("shares_space_with", [])
    found = [shared] if isinstance(shared, str) else shared if isinstance(shared, list) else []
    over = keys.get("over", [])
    for part in over if isinstance(over, list) else ():
        found = [*found, part.get("feature") if isinstance(part, dict) else part]
    return {name for name in found if isinstance(name, str)}


def with_parts(features: Mapping[str, Any], names: Iterable[str]) -> set[str]:
    """Features with all those that they are over in turn."""
    found = set(names)
    for name in found.copy():
        found |= with_parts(features, named_features(features.get(name)) - found)
    return found


def strings(value: Any, key: str | None = None) -> Iterator[tuple[str | None, str]]:  # noqa: ANN401 - TOML
    """All strings of a value, each with the key of the table that it stands at."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from strings(inner, key or name)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner, key)
