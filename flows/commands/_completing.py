"""What a shell offers for the arguments of commands, found when the key is pressed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.config.layers import feature_names

if TYPE_CHECKING:
    from cyclopts import App
    from cyclopts.completion import CompletionContext

_OF_FEATURES = frozenset({"feature", "features", "of", "captions"})
"""Arguments that name features, in all commands."""


def features(context: CompletionContext) -> list[str]:
    """The features of the configuration that the command line names so far."""
    conf = context.get("--conf")
    return feature_names(Path(conf.raw) if conf is not None and conf.raw else None)


def offer_features(command: App) -> None:
    """Let a command's arguments that name features be completed by those that there are."""
    function = command.default_command
    if function is None:
        return
    known: dict[str, Any] = {"str": str, "str | None": str | None}
    annotations = function.__annotations__
    for name in _OF_FEATURES & {*annotations}:
        plain = known.get(annotations[name])
        if plain is not None:
            annotations[name] = Annotated[plain, Parameter(completer=features)]
