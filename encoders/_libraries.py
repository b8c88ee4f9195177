"""The versions of libraries, as far as they belong into a recipe."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from encoders.base import Json


def majors(*names: str) -> dict[str, Json]:
    """The major version of each: a new one may give other vectors, a minor one should not."""
    return {name: version(name).split(".")[0] for name in names}
