"""The names that features and sources go by among Prefect's assets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flows.pipeline import kin

if TYPE_CHECKING:
    from flows.config.settings import Settings

_ODD = re.compile(r"[^A-Za-z0-9._/-]+")


def project(settings: Settings) -> str:
    """What this project is called where others are: as it says, or as its folder.

    A folder's name is put in letters that Prefect takes.
    """
    if settings.project.name is not None:
        return settings.project.name
    return _ODD.sub("-", settings.root.name).strip("-/") or "project"


def feature(settings: Settings, name: str) -> str:
    """The key of a feature: one and the same wherever it is run, and another in another store."""
    return f"vecmill://{_store(settings)}/{name}"


def upstream(settings: Settings, name: str) -> tuple[str, ...]:
    """The keys of what a feature is made of: other features, or its source."""
    found = settings.feature(name)
    if found.over is not None:
        return tuple(feature(settings, part) for part in kin.parents(found))
    return (f"vecmill://{_store(settings)}/sources/{found.source.name}",)


def _store(settings: Settings) -> str:
    where = settings.store.vectors
    found = _ODD.sub("-", where.split("://", 1)[1]).strip("/") if "://" in where else ""
    return found or project(settings)


def deployment(settings: Settings, schedule: str) -> str:
    """The name of a schedule's deployment, which no other project's has."""
    return f"{project(settings).replace('/', '-')}.{schedule}"
