"""A JSON Schema of the configuration, made from the classes that it is parsed by.

Editors complete and check by it. It says what each table may hold, not how tables go together: for
that there is `flows.config.checking`.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import flows.monitors.base
import flows.sources.base
from encoders import registry
from encoders.media import Limits
from flows.alerts import hooks
from flows.config.features import FeatureKeys
from flows.config.plugins import BLOCKS
from flows.config.settings import Engine, Feature, Gc, IndexPolicy, PartOf, Project, Reports, Store
from flows.lifecycle.gates import Gates
from flows.operations.schedules import Keys as ScheduleKeys

if TYPE_CHECKING:
    from collections.abc import Mapping

DRAFT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "Vecmill's configuration"
_SECTIONS = {
    "project": Project, "store": Store, "engine": Engine, "gc": Gc, "limits": Limits,
    "reports": Reports,
}  # fmt: skip
_VARIABLE = {"type": "string", "pattern": r"\$\{"}
"""Any value may come from the environment."""
_ENTRY = re.compile(r"^(\w+(?:, \w+)*): (.*)$")


def schema(*, partial: bool = False) -> dict[str, Any]:
    """The schema of a configuration file.

    Args:
        partial: of a file that is laid over another, such as ``local.toml``: no key is required
            there, and no kind.
    """
    made = _Schema(partial=partial)
    sections = {name: made.table(kind) for name, kind in _SECTIONS.items()}
    sections["sources"] = made.plugins("sources", _kinds(flows.sources.base))
    sections["encoders"] = made.plugins("encoders", _kinds(registry))
    sections["monitors"] = made.monitors(_kinds(flows.monitors.base))
    sections["alerts"] = made.plugins("alerts", dict(hooks.KINDS))
    schedule = made.table(ScheduleKeys, "schedule")
    sections["schedules"] = {"type": "object", "additionalProperties": schedule}
    sections["features"] = {"type": "object", "additionalProperties": made.feature()}
    return {
        "$schema": DRAFT,
        "title": TITLE,
        "type": "object",
        "properties": sections,
        "additionalProperties": False,
        "$defs": made.defs,
    }


def _kinds(family: Any) -> dict[str, Any]:  # noqa: ANN401 - a module with kinds and params_type
    return {kind: family.params_type(kind) for kind in family.kinds()}


class _Schema:
    def __init__(self, *, partial: bool) -> None:
        self._partial = partial
        self.defs: dict[str, Any] = {}

    def table(
        self, kind: type[Any], name: str | None = None, docs: type[Any] | None = None
    ) -> dict[str, Any]:
        """The schema of a table that a dataclass is made of; what is nested goes to the defs.

        Args:
            kind: the dataclass.
            name: what its own nested tables are called by; its own name where none is given.
            docs: the class whose docstring tells of the keys; the dataclass itself.
        """
        from pydantic import TypeAdapter

        name = name or kind.__name__
        found = TypeAdapter(kind).json_schema(ref_template=f"#/$defs/{name}.{{model}}")
        for inner, nested in found.pop("$defs", {}).items():
            self.defs[f"{name}.{inner}"] = self._tidy(nested)
        return self._tidy(found, docs or kind)

    def plugins(self, section: str, kinds: Mapping[str, type[Any]]) -> dict[str, Any]:
        """The tables of a section whose ``kind`` says what keys each takes."""
        return {"type": "object", "additionalProperties": self._of_kinds(section, kinds)}

    def monitors(self, kinds: Mapping[str, type[Any]]) -> dict[str, Any]:
        """As `plugins`; a table that is called as a kind need not name it."""
        blocks = {
            "enum": list(BLOCKS),
            "default": "promotion",
            "description": "What its alarm keeps from happening.",
        }
        any_kind = self._of_kinds("monitors", kinds, {"blocks": blocks})
        named = {
            kind: {"if": {"required": ["kind"]}, "then": any_kind, "else": _ref("monitors", kind)}
            for kind in kinds
        }
        return {"type": "object", "properties": named, "additionalProperties": any_kind}

    def feature(self) -> dict[str, Any]:
        """The tables of ``[features]``."""
        found = self.table(FeatureKeys, "feature", Feature)
        keys = found["properties"]
        for key, kind in (("gates", Gates), ("index", IndexPolicy)):
            keys[key] = {**self.table(kind), "description": keys[key]["description"]}
        parts = [{"type": "string"}, self.table(PartOf)]
        keys["over"]["items"] = {"anyOf": parts}
        for key, words in _WORDS.items():
            keys[key]["description"] = words
        return found

    def _of_kinds(
        self,
        section: str,
        kinds: Mapping[str, type[Any]],
        also: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        for kind, params in kinds.items():
            found = self.table(params, f"{section}.{kind}")
            own = {"kind": {"const": kind}, **(also or {})}
            found["properties"] = own | found.get("properties", {})
            self.defs[f"{section}.{kind}"] = found
        chosen = {"properties": {"kind": {"enum": [*kinds]}}}
        # Editors complete by anyOf and know no conditions; these say which key of a kind is wrong.
        cases = [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": _ref(section, kind),
            }
            for kind in kinds
        ]
        told = {"type": "object", **chosen, "allOf": cases}
        if self._partial:
            return told
        return told | {"required": ["kind"], "anyOf": [_ref(section, kind) for kind in kinds]}

    def _tidy(self, found: dict[str, Any], kind: type[Any] | None = None) -> dict[str, Any]:
        """A table as TOML has it: no null, variables anywhere, and a word on each key."""
        summary, told = _documented(found.get("description", ""))
        told["window"] = (
            "Recordings are cut into windows of so many seconds, each encoded by itself."
        )
        for base in reversed(getattr(kind, "__documented__", kind.__mro__)) if kind else ():
            told |= _documented(inspect.cleandoc(base.__doc__ or ""))[1]
        found = {"description": summary} | {
            key: value for key, value in found.items() if key not in {"title", "description"}
        }
        if "properties" in found:
            found["additionalProperties"] = found.get("additionalProperties", False)
            found["properties"] = {
                key: _value(value) | ({"description": told[key]} if key in told else {})
                for key, value in found["properties"].items()
            }
        if self._partial:
            found.pop("required", None)
        return found


_WORDS = {
    "encoder": "The encoder, by its name in [encoders].",
    "monitors": "Names of [monitors], or kinds of them as they come, that look after each run.",
    "over": "The features whose vectors it is made of, instead of a source; joined by record id.",
    "require": "Whether a record needs a vector of all features that this one is over, or of any.",
    "source": "Where its records come from, by its name in [sources].",
}
"""What the class of a feature, in which names are resolved, does not tell."""


def _ref(section: str, kind: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{section}.{kind}"}


def _value(found: Any) -> Any:  # noqa: ANN401 - JSON Schema
    """The schema of a value, without null and titles, and with variables."""
    if not isinstance(found, dict):
        return found
    found = {
        key: value
        for key, value in found.items()
        if key != "title" and not (key == "default" and value is None)
    }
    outer = {key: found.pop(key) for key in ("default", "description") if key in found}
    if "anyOf" in found:
        kinds = [_value(one) for one in found["anyOf"] if one != {"type": "null"}]
        found = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    elif found.get("type") in {"integer", "number", "boolean"} or "enum" in found:
        found = {"anyOf": [found, _VARIABLE]}
    for key in ("items", "additionalProperties"):
        if key in found:
            found[key] = _value(found[key])
    return found | outer


def _documented(text: str) -> tuple[str, dict[str, str]]:
    """What a docstring says of a class, and of each of its attributes."""
    summary, _, rest = text.partition("Attributes:\n")
    block = re.split(r"\n\n|\n(?=\S)", rest, maxsplit=1)[0]
    entries: list[tuple[str, str]] = []
    for line in inspect.cleandoc(block).splitlines():
        if match := _ENTRY.match(line):
            entries.append((match[1], match[2]))
        elif entries:
            names, said = entries[-1]
            entries[-1] = (names, f"{said} {line.strip()}")
    told = {
        name: _plain(said[:1].upper() + said[1:])
        for names, said in entries
        for name in names.split(", ")
    }
    return _plain(" ".join(summary.split())), told


def _plain(text: str) -> str:
    """Without the marks of reStructuredText that an editor would show as they are."""
    return text.replace("``", "`")
