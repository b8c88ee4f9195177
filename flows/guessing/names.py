"""Names for features that the configuration and SQL allow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from flows.guessing.columns import snake
from storage.names import TAKEN

if TYPE_CHECKING:
    from collections.abc import Collection

_LONGEST = 40
_VERSIONED = re.compile(r"_v\d+$")


def feature_name(stem: str, used: Collection[str] = ()) -> str:
    """A name out of that of a file or folder: lower-case letters, digits and underscores.

    What SQL or the catalog has taken is put in the plural, and what is used is numbered.
    """
    name = re.sub(r"[^a-z0-9_]", "", snake(stem))[:_LONGEST].strip("_")
    name = re.sub("_+", "_", _VERSIONED.sub("", name))
    if not name or not name[0].isalpha():
        name = f"records_{name}".rstrip("_")
    if name in TAKEN:
        name = f"{name}_records"
    return free(name, used)


def free(name: str, used: Collection[str]) -> str:
    """The name, or with the first number from 2 by which nothing goes."""
    if name not in used:
        return name
    return next(f"{name}_{n}" for n in range(2, len(used) + 3) if f"{name}_{n}" not in used)
