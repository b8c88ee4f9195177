"""Features over features: which come first, and which are made of which."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.config.nearest import hint
from flows.config.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flows.config.settings import Feature


def check(features: Mapping[str, Feature]) -> None:
    """Refuse features over what is not there, and circles.

    Raises:
        SettingsError: that names the feature, or the whole circle.
    """
    for name, feature in features.items():
        for part in parents(feature):
            if part not in features:
                raise SettingsError(
                    f"[features.{name}] is over {part!r}, which is no feature{hint(part, features)}"
                )
    done: set[str] = set()
    for name in features:
        _descend(features, name, (), done)


def _descend(
    features: Mapping[str, Feature], name: str, path: tuple[str, ...], done: set[str]
) -> None:
    if name in path:
        circle = " over ".join([*path[path.index(name) :], name])
        raise SettingsError(
            f"features cannot be over each other in a circle: {circle}; take one of them out of "
            "its over"
        )
    if name not in done:
        for part in parents(features[name]):
            _descend(features, part, (*path, name), done)
        done.add(name)


def parents(feature: Feature) -> Sequence[str]:
    """The features that one is over, in their order; none where it has a source of its own."""
    return [] if feature.over is None else [part.feature for part in feature.over.parts]


def ordered(features: Mapping[str, Feature], names: Iterable[str]) -> list[str]:
    """The names, each once, parents before what is over them; else in the order given."""
    wanted = list(dict.fromkeys(names))
    found: list[str] = []

    def visit(name: str) -> None:
        if name in found:
            return
        for part in parents(features[name]):
            visit(part)
        found.append(name)

    for name in wanted:
        visit(name)
    return [name for name in found if name in wanted]


def descendants(features: Mapping[str, Feature], name: str) -> list[str]:
    """The features over one, over these, and so on; what is over another before that other."""
    below = {name}
    order = ordered(features, features)
    for other in order:
        if below & set(parents(features[other])):
            below.add(other)
    return [other for other in reversed(order) if other in below - {name}]
