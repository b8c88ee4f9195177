"""Which files a configuration is read from, known without reading them."""

from __future__ import annotations

import os
import tomllib
from contextlib import suppress
from pathlib import Path

DEFAULT_CONF = "conf/base.toml"
LOCAL = "local.toml"
"""What belongs to one machine: its secrets, and where it differs."""


def named(conf: Path | None) -> Path:
    """The file that is meant: the one named, ``$VECMILL_CONF``, or ``conf/base.toml``."""
    return conf or Path(os.environ.get("VECMILL_CONF") or DEFAULT_CONF)


def layers(path: Path) -> tuple[Path, ...]:
    """The files that are merged where this one is named, in that order; those that are there."""
    found = (path.parent / "base.toml", path, path.parent / LOCAL)
    return tuple(dict.fromkeys(layer for layer in found if layer.is_file()))


def project_root(path: Path) -> Path:
    """The project folder of a configuration file, from which relative paths are taken."""
    return path.parent.parent if path.parent.name == "conf" else path.parent


def feature_names(conf: Path | None) -> list[str]:
    """The features that a configuration has, as far as its files can be read; checks nothing."""
    names: dict[str, None] = {}
    for file in layers(named(conf)):
        with suppress(OSError, ValueError):
            found = tomllib.loads(file.read_text(encoding="utf-8")).get("features")
            names |= dict.fromkeys(found if isinstance(found, dict) else ())
    return list(names)
