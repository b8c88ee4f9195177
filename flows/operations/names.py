"""Two projects of one name on one Prefect server: the second is refused what is the first's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.config.configuration import load
from flows.config.settings import SettingsError
from flows.operations import lineage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flows.config.settings import Settings


def refuse_anothers(settings: Settings, deployment: str, given: Mapping[str, Any]) -> None:
    """Refuse a deployment that a project of the same name and another store has made.

    A project that was moved, or whose other checkout shares its store, is the same project. What
    was deployed on another machine, or into an image, cannot be told from this one's.

    Args:
        settings: the configuration.
        deployment: its name, which it has on the server already.
        given: the parameters that it has there.

    Raises:
        SettingsError: if it is another project's.
    """
    conf = Path(str(given.get("conf") or ""))
    if conf == settings.conf or not conf.is_absolute() or not conf.is_file():
        return
    try:
        other = load(conf)
    except SettingsError:
        return
    name = lineage.project(settings)
    same_store = (other.vectors, other.catalog) == (settings.vectors, settings.catalog)
    if same_store or lineage.project(other) != name:
        return
    raise SettingsError(
        f"Prefect has a deployment {deployment} of another project that is called {name!r} "
        f'too ({conf}); call one of them otherwise: [project] name = "{name}-2" in {settings.conf}'
    )
