"""Pages that are made of the code when the documentation is built, so that they are true.

MkDocs calls `on_files` (it is named in ``mkdocs.yml``). The commands come from the application
itself, the keys of each kind from its dataclass, and what they mean from its docstring.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import MISSING, fields
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File

from encoders.media import Limits
import flows.cli  # noqa: F401 - it loads all commands
from flows.commands._app import app
from flows.config import settings
from flows.monitors import base as monitors
from flows.sources import base as sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parent.parent.parent
SECTIONS = {
    "store": settings.Store,
    "engine": settings.Engine,
    "limits": Limits,
    "gc": settings.Gc,
    "reports": settings.Reports,
}
PAGES: dict[str, Callable[[], str]] = {}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those of the folder."""
    for name, page in PAGES.items():
        files.append(File.generated(config, name, content=page()))
    return files


def attributes(of: type) -> dict[str, str]:
    """What the docstrings of a dataclass and of those it comes from say of each field."""
    found: dict[str, str] = {}
    for one in reversed(of.__mro__):
        text = cleandoc(one.__doc__ or "")
        match = re.search(r"^Attributes:\n(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
        for entry in re.findall(
            r"^    (\w[\w, ]*): (.*?)(?=^    \w[\w, ]*: |\Z)",
            match[1] if match else "",
            re.MULTILINE | re.DOTALL,
        ):
            for name in entry[0].split(", "):
                found[name] = " ".join(entry[1].split())
    return found


def keys(of: type, hidden: frozenset[str] = frozenset()) -> str:
    """A table of the keys of a dataclass: name, type, default, what it means."""
    told = attributes(of)
    rows = [
        f"| `{field.name}` | {_type(str(field.type))} | {_default(field)} | "
        f"{_markdown(told.get(field.name, ''))} |"
        for field in fields(of)
        if field.name not in hidden and not field.name.startswith("_")
    ]
    if not rows:
        return "It has no keys.\n"
    return "\n".join(["| key | type | default | |", "|---|---|---|---|", *rows, ""])


def _code(text: str) -> str:
    return f"`{text}`"


def _type(text: str) -> str:
    """A type as people say it; a bar would end the cell of a table."""
    text = re.sub(
        r"Literal\[([^\]]*)\]", lambda m: " or ".join(re.findall(r"['\"]\w+['\"]", m[1])), text
    )
    return _code(text.replace("'", '"').replace(" | ", " or "))


def _default(field: Any) -> str:  # noqa: ANN401 - a dataclass's field has no useful type
    if field.default is not MISSING:
        value = field.default
    elif field.default_factory is not MISSING:
        value = field.default_factory()
    else:
        return "**needed**"
    if value is None or value in ((), {}, []):
        return ""
    return _code(repr(value).replace("'", '"'))


def _markdown(text: str) -> str:
    """A docstring's text as Markdown, on one line of a table."""
    return re.sub(r"``(.+?)``", r"`\1`", text).replace("|", "\\|")


def _about(module: ModuleType) -> str:
    return re.sub(r"``(.+?)``", r"`\1`", cleandoc(module.__doc__ or ""))


def _commands() -> str:
    text = app.generate_docs(recursive=True, include_hidden=False, heading_level=1)
    text = re.sub(r"^## Table of Contents\n.*?(?=^\*\*|^#)", "", text, flags=re.M | re.S)
    return text.replace("# vecmill\n", "# Commands\n", 1)


def _kinds(title: str, lead: str, package: ModuleType) -> Iterator[str]:
    yield f"# {title}\n\n{lead}\n"
    for kind in package.kinds():
        module = importlib.import_module(f"{package.__package__}.{kind}")
        yield f"## {kind}\n\n{_about(module)}\n\n{keys(package.params_type(kind))}"


def _sources() -> str:
    lead = "`kind` in `[sources.NAME]` names one of these; the other keys are its own."
    return "\n".join(_kinds("Sources", lead, sources))


def _monitors() -> str:
    lead = (
        "A feature's `monitors` lists these by name; `[monitors.NAME]` sets keys, with `kind` where "
        "the name is another one. What they are for is told in [Monitors](../monitoring.md)."
    )
    return "\n".join(_kinds("Monitors", lead, monitors))


def _configuration() -> str:
    parts = [
        "# Configuration\n\nTables of `conf/base.toml`. Those of "
        "[sources](sources.md) and [monitors](monitors.md) have their own pages, as has each kind "
        "of [encoder](../encoders/index.md).\n"
    ]
    for name, of in SECTIONS.items():
        lead = cleandoc(of.__doc__ or "").split("\n\n")[0]
        parts.append(f"## [{name}]\n\n{_markdown(' '.join(lead.split()))}\n\n{keys(of)}")
    return "\n".join(parts)


def _home() -> str:
    """The README, whose links lead from the repository's root."""
    text = (ROOT / "README.md").read_text("utf-8")
    text = text.replace("](docs/", "](")
    return re.sub(r"\]\((?!https?:|#)(\w+)\)", r"](\1/index.md)", text)


def _changes() -> str:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    return text.replace("](docs/encoders)", "](encoders/index.md)").replace("](docs/", "](")


PAGES.update(
    {
        "index.md": _home,
        "changelog.md": _changes,
        "reference/commands.md": _commands,
        "reference/sources.md": _sources,
        "reference/monitors.md": _monitors,
        "reference/configuration.md": _configuration,
    }
)
