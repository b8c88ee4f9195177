"""HTML put together so that nothing gets in unescaped: only `Html` is markup, all else is text.

Texts come from records, which anybody may write. They are made visible first
(`flows.output.visible`), so that no mark of direction makes one read otherwise than it is.
"""

from __future__ import annotations

import html
import json
from typing import TypeAlias

from flows.output.visible import visible

_VOID = frozenset({"br", "img", "input", "link", "meta"})


class Html(str):
    """A text that is markup already."""

    __slots__ = ()


Child: TypeAlias = "str | None"
"""What an element holds: `Html` as it is, any other text escaped, None left out."""


def put(*children: Child) -> Html:
    """The children beside each other."""
    return Html("".join(_safe(child) for child in children if child is not None))


def el(tag: str, /, *children: Child, **attributes: str | float | bool | None) -> Html:
    """An element.

    Args:
        tag: its name; ours, never a record's.
        children: what it holds, in order.
        attributes: ``class_`` is ``class`` and ``aria_label`` is ``aria-label``; True stands by its
            name alone, None and False are left out.
    """
    inside = "".join(_attribute(key, value) for key, value in attributes.items())
    if tag in _VOID:
        return Html(f"<{tag}{inside}>")
    return Html(f"<{tag}{inside}>{put(*children)}</{tag}>")


def as_json(value: object) -> Html:
    """JSON for a script of data, in which nothing can end the element that it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return Html(text)


def _attribute(key: str, value: str | float | bool | None) -> str:  # noqa: FBT001 - an attribute's
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    return f' {name}="{html.escape(visible(str(value)))}"'


def _safe(child: str) -> str:
    return child if isinstance(child, Html) else html.escape(visible(child))
