"""What the folders above files say of them, as the pattern of a source of files."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SPLITS = frozenset({"train", "test", "val", "valid", "validation", "dev", "training", "testing"})
_MOSTLY_FOLDERS = 2
_DEEPEST = 3
_FEW = 0.1


def pattern(names: Sequence[str]) -> str | None:
    """``{label}/{name}.jpg`` where it holds for all paths below a folder, None where none does.

    A folder tells something where there are at least two of them, and each has files; one that
    all lie in tells nothing.
    """
    depths = {name.count("/") for name in names}
    ends = {PurePosixPath(name).suffix for name in names}
    if len(depths) != 1 or not 1 <= (depth := depths.pop()) < _DEEPEST:
        return None
    parts = [name.split("/")[:-1] for name in names]
    levels = [{part[level] for part in parts} for level in range(depth)]
    if len(levels[-1]) < _MOSTLY_FOLDERS or len(levels[-1]) == len(names):
        return None
    file = f"{{name}}{ends.pop()}" if len(ends) == 1 else "{name}"
    if depth == 1 or len(levels[0]) < _MOSTLY_FOLDERS:
        levels = levels[-1:]
        field = "split" if {level.lower() for level in levels[0]} <= _SPLITS else "label"
        return f"{{{field}}}/{file}"
    above = "split" if {level.lower() for level in levels[0]} <= _SPLITS else "group"
    return f"{{{above}}}/{{label}}/{file}"


def nearly(names: Sequence[str]) -> tuple[str, list[str]] | None:
    """A pattern that would hold but for a few files that lie above, and these; else None."""
    depth = max(name.count("/") for name in names)
    odd = [name for name in names if name.count("/") < depth]
    if not odd or len(odd) > _FEW * len(names):
        return None
    found = pattern([name for name in names if name.count("/") == depth])
    return None if found is None else (found, odd)


def parts_of_names(names: Sequence[str]) -> int:
    """Into how many parts ``_`` or ``-`` cuts the name of each file, one of which makes groups.

    1 where they are no parts of the same number, or make none.
    """
    parts = [re.split("[_-]", PurePosixPath(name).stem) for name in names]
    if len({len(each) for each in parts}) != 1:
        return 1
    telling = [1 < len(set(part)) <= len(names) / 2 for part in zip(*parts, strict=True)]
    return len(telling) if any(telling) else 1
