"""The starter configuration that `vecmill init` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flows.config.settings import SettingsError

STARTER = Path(__file__).with_name("starter.toml")
SCHEMA_LINE = "#:schema schema.json\n"
"""What Taplo, and with it editors, look for at the top of a file."""


def write(folder: Path) -> Path:
    """Write ``conf/base.toml`` into a project folder, and the schema beside it that it names.

    Returns:
        The file's path.

    Raises:
        SettingsError: if there is one already: it may hold somebody's work.
    """
    path = folder / "conf" / "base.toml"
    if path.exists():
        raise SettingsError(
            f"{path} is there already; edit it, or let `vecmill init PATH` add your records to it"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SCHEMA_LINE + STARTER.read_text(encoding="utf-8"), encoding="utf-8")
        write_schema(path.with_name("schema.json"))
    except OSError as error:
        raise SettingsError(
            f"cannot write {path}: {error.strerror}; name another folder"
        ) from error
    return path


def write_schema(path: Path) -> None:
    """Write the schema of the configuration, over an older one."""
    from flows.config.schema import schema

    path.write_text(as_text(schema()), encoding="utf-8")


def as_text(schema: dict[str, Any]) -> str:
    """A schema as a file has it."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
