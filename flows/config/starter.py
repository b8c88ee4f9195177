"""The starter configuration that `vecmill init` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flows.config.settings import SettingsError
from storage import swaps

STARTER = Path(__file__).with_name("starter.toml")


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
        schema = schema_beside(path)
        text = schema_line(schema) + STARTER.read_text(encoding="utf-8")
        with swaps.whole(path) as fresh:
            fresh.write_text(text, encoding="utf-8")
        write_schema(schema)
    except OSError as error:
        raise SettingsError(
            f"cannot write {path}: {error.strerror}; name another folder"
        ) from error
    return path


def schema_beside(file: Path) -> Path:
    """Where the schema of a configuration file is put: over an older one, and nothing else."""
    path = file.with_name("schema.json")
    return path if not path.exists() or _is_ours(path) else file.with_name("vecmill.schema.json")


def schema_line(schema: Path) -> str:
    """What Taplo, and with it editors, look for at the top of a file."""
    return f"#:schema {schema.name}\n"


def _is_ours(path: Path) -> bool:
    from flows.config.schema import TITLE

    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("title") == TITLE


def write_schema(path: Path) -> None:
    """Write the schema of the configuration, over an older one."""
    from flows.config.schema import schema

    with swaps.whole(path) as fresh:
        fresh.write_text(as_text(schema()), encoding="utf-8")


def as_text(schema: dict[str, Any]) -> str:
    """A schema as a file has it."""
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"
