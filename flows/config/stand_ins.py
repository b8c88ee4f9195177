"""What stands in for a faulty plug-in while the feature that names it is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from encoders import registry
from flows.config.parsing import parse_params
from flows.config.settings import SettingsError
from storage.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCE: dict[str, Any] = {"kind": "table", "path": "nothing.csv", "content": "nothing"}
"""A source that is never opened."""
_OVER = {"kind": "fuse"}
_TEXT = {"kind": "lsa"}


def encoder(table: object, *, over: bool) -> tuple[dict[str, Any], bool]:
    """An encoder that a feature may have, and whether it reads what the faulty one does.

    Args:
        table: the faulty one; None where there is none of that name.
        over: whether the feature is over others.
    """
    if over:
        return _OVER, True
    kind = table.get("kind") if isinstance(table, dict) else None
    known = nearest(str(kind), registry.kinds())
    if known is None:
        return _TEXT, False
    for keys in (_others(table), {}):
        try:
            params = parse_params(known, keys)
            if registry.modality(known, params) != "vector":
                return {"kind": known, **keys}, True
        except SettingsError:
            continue
    return _TEXT, False


def _others(table: object) -> Mapping[str, Any]:
    keys = table if isinstance(table, dict) else {}
    return {key: value for key, value in keys.items() if key == "reads"}
