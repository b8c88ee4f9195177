"""The lines of a run's log (`storage.logs`) as people read them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from flows.output import units

if TYPE_CHECKING:
    from collections.abc import Mapping


def told(entry: Mapping[str, Any]) -> str:
    """One line of a log in words, with its time of day."""
    words = _WORDS.get(str(entry.get("event")), _other)(entry)
    return f"{_clock(str(entry.get('at')))}  {words}"


def _clock(at: str) -> str:
    try:
        return f"{datetime.fromisoformat(at).astimezone():%H:%M:%S}"
    except ValueError:
        return at


def _begin(entry: Mapping[str, Any]) -> str:
    when = units.moment(datetime.fromisoformat(str(entry["at"])))
    code = f", Vecmill {entry['vecmill']}" if entry.get("vecmill") else ""
    return (
        f"{entry['feature']}: {entry['kind']} {entry['run']} of {entry['source']} by "
        f"{entry['encoder']}, begun {when} on {entry['host']}{code}"
    )


def _version(entry: Mapping[str, Any]) -> str:
    return f"works on v{entry['version']}, fingerprint {str(entry['fingerprint'])[:12]}"


def _stage(entry: Mapping[str, Any]) -> str:
    of = "" if entry.get("total") is None else f", {units.several(entry['total'], 'record')}"
    return f"{entry['stage']}{of}"


def _far(entry: Mapping[str, Any]) -> str:
    return f"{entry['stage']}: {units.far(entry['records'], entry['total'], entry['seconds'])}"


def _staged(entry: Mapping[str, Any]) -> str:
    took = units.duration(entry["seconds"])
    records = entry["records"]
    if not records:
        return f"{entry['stage']}: done in {took}"
    pace = f", {units.rate(records / entry['seconds'])}" if entry["seconds"] else ""
    return f"{entry['stage']}: {units.several(records, 'record')} in {took}{pace}"


def _broken_off(entry: Mapping[str, Any]) -> str:
    far = f" with {units.several(entry['records'], 'record')} done" if entry["records"] else ""
    return f"{entry['stage']}: broken off after {units.duration(entry['seconds'])}{far}"


def _shard(entry: Mapping[str, Any]) -> str:
    dead = f", {entry['dead']:,} dead" if entry["dead"] else ""
    return f"{entry['shard']}: {entry['encoded']:,} encoded{dead} in " + units.duration(
        entry["seconds"]
    )


def _finding(entry: Mapping[str, Any]) -> str:
    return f"{entry['monitor']}: {entry['verdict']}: {entry['summary']}"


def _done(entry: Mapping[str, Any]) -> str:
    counts = ("new", "changed", "updated", "deleted", "encoded", "resumed", "dead")
    words = ", ".join(f"{entry[name]:,} {name}" for name in counts if entry.get(name))
    return (
        f"done in {units.duration(entry['seconds'])}: {units.several(entry['records'], 'record')}"
        f"{', ' + words if words else ', nothing to do'}; v{entry['version']} is "
        f"{entry['standing']}, {units.several(entry['rows'], 'row')}"
    )


def _failed(entry: Mapping[str, Any]) -> str:
    trace = f"\n{entry['traceback'].rstrip()}" if entry.get("traceback") else ""
    return f"failed: {entry['message']}{trace}"


def _other(entry: Mapping[str, Any]) -> str:
    """A note; or an event of a later release, as it stands."""
    if "message" in entry:
        return str(entry["message"])
    return ", ".join(f"{key} {value}" for key, value in entry.items() if key != "at")


_WORDS = {
    "begin": _begin,
    "version": _version,
    "stage": _stage,
    "progress": _far,
    "staged": _staged,
    "broken_off": _broken_off,
    "shard": _shard,
    "finding": _finding,
    "done": _done,
    "failed": _failed,
}
