"""Pages that are made of the code when the documentation is built, so that they are true.

MkDocs calls `on_files` (it is named in ``mkdocs.yml``). The commands come from the application
itself; keys, types, defaults and what they mean from the schema that editors complete by.
"""

from __future__ import annotations

import importlib
import json
import re
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

import flows.cli  # noqa: F401 - it loads all commands
from flows.commands._app import app
from flows.config.schema import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parent.parent.parent
_VARIABLE = r"\$\{"
"""Any value may be a variable, which is said once and not of each key."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those of the folder."""
    told = schema()
    pages: dict[str, Callable[[], str]] = {
        "index.md": lambda: _rooted("README.md"),
        "changelog.md": lambda: _rooted("CHANGELOG.md"),
        "reference/commands.md": _commands,
        "reference/configuration.md": lambda: "\n".join(_configuration(told)),
        "reference/encoders.md": lambda: "\n".join(_kinds(told, "encoders")),
        "reference/sources.md": lambda: "\n".join(_kinds(told, "sources")),
        "reference/monitors.md": lambda: "\n".join(_kinds(told, "monitors")),
    }
    for name, page in pages.items():
        files.append(File.generated(config, name, content=page()))
    return files


# --- pages ------------------------------------------------------------------------------------


def _rooted(name: str) -> str:
    """A file of the repository's root, with links that lead from the site's."""
    text = (ROOT / name).read_text("utf-8").replace("](docs/", "](")
    return re.sub(r"\]\((\w+)\)", r"](\1/index.md)", text)


def _commands() -> str:
    text = app.generate_docs(recursive=True, include_hidden=False, heading_level=1)
    text = re.sub(r"^## Table of Contents\n.*?(?=^\*\*|^#)", "", text, flags=re.M | re.S)
    return text.replace("# vecmill\n", "# Commands\n", 1)


def _configuration(told: dict[str, Any]) -> Iterator[str]:
    yield (
        "# Configuration\n\nThe tables of `conf/base.toml`; [sources](sources.md), "
        "[encoders](encoders.md) and [monitors](monitors.md) have pages of their own. Any value "
        "may be taken from the environment: `${NAME}`, or `${NAME:-default}`.\n"
    )
    sections = told["properties"]
    feature = sections["features"]["additionalProperties"]
    yield _table("[features.NAME]", feature)
    for key in ("gates", "index"):
        yield _table(f"[features.NAME.{key}]", feature["properties"][key])
    yield _table("[schedules.NAME]", sections["schedules"]["additionalProperties"])
    for name in ("store", "engine", "limits", "gc", "reports"):
        yield _table(f"[{name}]", sections[name])
    for name, table in told["$defs"].items():
        if name.startswith("alerts.") and name.count(".") == 1:
            yield _table(f'[alerts.NAME], kind = "{name.removeprefix("alerts.")}"', table)


_LEADS = {
    "sources": "`kind` in `[sources.NAME]` names one of these; the other keys are its own.",
    "encoders": "`kind` in `[encoders.NAME]` names one of these; the other keys are its own. What "
    "each is for, costs and was measured to do is told in [its own page](../encoders/index.md).",
    "monitors": "A feature's `monitors` lists these by name; `[monitors.NAME]` sets keys, with "
    "`kind` where the name is another one. What they are for is told in "
    "[Monitors](../monitoring.md).",
}


def _kinds(told: dict[str, Any], section: str) -> Iterator[str]:
    yield f"# {section.capitalize()}\n\n{_LEADS[section]}\n"
    for name, table in told["$defs"].items():
        if name.startswith(f"{section}.") and name.count(".") == 1:
            kind = name.partition(".")[2]
            module = importlib.import_module(_MODULES[section].format(kind))
            yield f"## {kind}\n\n{_about(module)}\n\n{_keys(table)}"


_MODULES = {"sources": "flows.sources.{}", "encoders": "encoders.{}", "monitors": "flows.monitors.{}"}


def _about(module: ModuleType) -> str:
    return re.sub(r"``(.+?)``", r"`\1`", cleandoc(module.__doc__ or ""))


# --- tables of keys -----------------------------------------------------------------------------


def _table(name: str, table: dict[str, Any]) -> str:
    return f"## {name}\n\n{table.get('description', '')}\n\n{_keys(table)}"


def _keys(table: dict[str, Any]) -> str:
    """A table of keys: name, type, default, what it means."""
    needed = table.get("required", ())
    rows = [
        f"| `{key}` | {_type(value)} | {_default(value, needed=key in needed)} | "
        f"{value.get('description', '').replace('|', '&#124;')} |"
        for key, value in table.get("properties", {}).items()
        if key != "kind" or "const" not in value
    ]
    if not rows:
        return "It has no keys.\n"
    return "\n".join(["| key | type | default | |", "|---|---|---|---|", *rows, ""])


def _type(value: dict[str, Any]) -> str:
    """A type as people say it."""
    if "anyOf" in value:
        kinds = [_type(one) for one in value["anyOf"] if one.get("pattern") != _VARIABLE]
        return " or ".join(dict.fromkeys(kinds))
    if "enum" in value:
        return " or ".join(f"`{json.dumps(one)}`" for one in value["enum"])
    if "$ref" in value or value.get("type") == "object":
        return "table"
    if value.get("type") == "array":
        items = value.get("items") or {}
        return f"list of {_type(items)}s" if items.get("type") in {"string", "integer"} else "list"
    return str(value.get("type", "any"))


def _default(value: dict[str, Any], *, needed: bool) -> str:
    if needed:
        return "**needed**"
    default = value.get("default")
    if default in (None, [], {}):
        return ""
    return f"`{json.dumps(default, ensure_ascii=False)}`".replace("|", "&#124;")
