"""What the files of a configuration say, merged; nothing is filled in or checked yet."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.config import layers
from flows.config.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping


def find(conf: Path | None) -> Path:
    """The configuration file to read: the one named, ``$VECMILL_CONF``, or ``conf/base.toml``.

    Raises:
        SettingsError: if it is not there.
    """
    path = layers.named(conf)
    if not path.is_file():
        above = _above(path)
        do = "name one with --conf, or begin here: `vecmill init PATH` writes one for your records"
        if above is not None:
            do = f"there is {above}: go to {layers.project_root(above)}, or add --conf {above}"
        raise SettingsError(f"no configuration file {path}; {do}")
    return path


def _above(path: Path) -> Path | None:
    """The nearest file of this name in a folder above the one that one is in, as of there."""
    if path.is_absolute():
        return None
    here = Path.cwd()
    steps = range(1, len(here.parts))
    return next((up for n in steps if (up := Path(*[".."] * n, path)).is_file()), None)


@dataclass(frozen=True)
class Written:
    """What files of a configuration say, merged; nothing is filled in or checked yet.

    Attributes:
        conf: the file that was named.
        root: the project folder.
        files: all that were read, in the order they were merged.
        values: the tables.
    """

    conf: Path
    root: Path
    files: tuple[Path, ...]
    values: dict[str, Any]


def read(conf: Path | None = None) -> Written:
    """Read the files of a configuration.

    Raises:
        SettingsError: if the one named is not there, or one is not valid TOML.
    """
    path = find(conf).resolve()
    files = layers.layers(path)
    merged: dict[str, Any] = {}
    for file in files:
        merged = _merge(merged, read_file(file))
    return Written(path, layers.project_root(path), files, merged)


def read_file(file: Path) -> dict[str, Any]:
    """The tables of one file.

    Raises:
        SettingsError: if it cannot be read, or is not valid TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"cannot read {file}: {error.strerror}; check its rights") from error
    except (ValueError, RecursionError) as error:
        # tomllib lets int's own error through for thousands of digits, and recurses into brackets
        raise SettingsError(f"{file} is not valid TOML: {error}; mend it there") from error


def _merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict) and _same_kind(old, value):
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged


def _same_kind(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return bool(new.get("kind", old.get("kind")) == old.get("kind"))
