"""What an upkeep of the store would do, or did, as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flows.output import units

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flows.upkeep.leftovers import Action, Item

_DONE: dict[Action, str] = {
    "compact": "compacted", "build": "built", "extend": "extended", "drop": "dropped",
    "discard": "discarded", "remove": "removed", "keep": "kept",
}  # fmt: skip
_FREES = ("remove", "discard", "drop")


def rows(items: Sequence[Item], *, done: bool) -> list[dict[str, Any]]:
    """One row a thing: what becomes of it, how large it is or how long that took, and why."""
    return [
        {
            "feature": item.feature,
            "version": item.version,
            ("did" if done else "would"): _DONE[item.action] if done else item.action,
            "what": item.what,
            "size": units.size(item.bytes) if item.bytes else "",
            "took": "" if item.seconds is None else units.duration(item.seconds),
            "why": item.why,
        }
        for item in items
    ]


def summary(items: Sequence[Item], *, done: bool) -> str:
    """All of it in one sentence."""
    acted = [item for item in items if item.goes]
    if not acted:
        return "nothing to do"
    told = ", ".join(_counted(acted, done=done))
    if not done:
        return f"this would {told}; do it with --yes"
    took = sum(item.seconds or 0.0 for item in acted)
    return f"{told}, in {units.duration(took)}"


def _counted(items: Sequence[Item], *, done: bool) -> Iterator[str]:
    """How many things each is done to."""
    for action, past in _DONE.items():
        chosen = [item for item in items if item.action == action]
        if not chosen:
            continue
        freed = sum(item.bytes for item in chosen) if action in _FREES else 0
        things = _things(action, len(chosen))
        told = f" (about {units.size(freed)})" if freed else ""
        yield f"{past if done else action} {things}{told}"


def _things(action: Action, number: int) -> str:
    thing = {
        "compact": "table", "build": "index", "extend": "index", "drop": "index",
    }.get(action, "thing")  # fmt: skip
    many = {"index": "indexes"}.get(thing, f"{thing}s")
    return f"{number:,} {thing if number == 1 else many}"
