"""What is wrong with a configuration: each thing is told, taken out, and the rest looked at."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows.config.as_written import at, without
from flows.config.configuration import SECTIONS
from flows.config.lines import line_of
from flows.config.settings import SettingsError
from flows.config.templates import TemplateError
from flows.output.redact import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from flows.config.written import Written

_UNKNOWN = re.compile(r"unknown key '(?P<key>[^']*)' in \[(?P<table>[^\]]+)\]")
_KEYED = re.compile(r"\[[^\]]+\]:? (?P<key>\w+)")
_LACKS = re.compile(r"needs the key '(?P<key>[^']*)'")
_MEANT = re.compile(r"did you mean '(?P<key>[^']*)'")
_TABLE = re.compile(r"[^[]*\[([a-z_]+(?:\.[^\]\s]+)*)\]")
_NAMES = re.compile(r"names the (?P<what>source|encoder|monitor|alert channel|feature) '")
_KEY_OF = {"monitor": "monitors", "alert channel": "alerts", "feature": "features"}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, or that somebody may want to know.

    Attributes:
        where: the table, such as ``encoders.minilm``; empty for a whole file.
        found: what is wrong, and what to do.
        file: the file to mend it in, where that is known.
        line: of that file, from 1.
        fault: whether a run would fail of it; a note is no more than that.
    """

    where: str
    found: str
    file: Path | None = None
    line: int | None = None
    fault: bool = True


class Faults:
    """All that is found wrong with a configuration.

    Attributes:
        all: in the order in which it was found.
    """

    def __init__(self, written: Written) -> None:
        self._written = written
        self.all: list[Fault] = []

    def attempt(
        self,
        raw: dict[str, Any],
        table: tuple[str, ...],
        check: Callable[[Mapping[str, Any]], object],
        *,
        whole: bool = True,
    ) -> tuple[dict[str, Any] | None, bool]:
        """Check tables again and again, each time without the keys that are told of.

        Args:
            raw: the tables.
            table: the name of the one that is checked.
            check: what raises on the first thing that is wrong with them.
            whole: whether no key of them has been taken out before.

        Returns:
            The tables without what is wrong, None where too little is left to be checked; and
            whether nothing is wrong.
        """
        told = set[str]() if whole else {*_missing(at(self._written.values, table), at(raw, table))}
        is_right = whole
        while True:
            try:
                check(raw)
            except (SettingsError, TemplateError) as error:
                rest = raw
                for message in getattr(error, "each", (str(error),)):
                    if _follows(message, told):
                        return None, False
                    place, key = self.tell(message, table)
                    meant = _MEANT.search(message)
                    if meant and meant["key"] not in (at(raw, place) or ()):
                        told.add(meant["key"])
                    less = without(rest, place, key) if key and key != "kind" else None
                    if less is not None and key is not None:
                        told.add(key)
                        rest = less
                if rest is raw:
                    return None, False
                raw, is_right = rest, False
            else:
                return raw, is_right

    def tell(self, message: str, table: tuple[str, ...]) -> tuple[tuple[str, ...], str | None]:
        """Tell of a fault; the table and the key that it is about."""
        match = _UNKNOWN.match(message) or _KEYED.search(message)
        named = _TABLE.match(message)
        if named and named[1].split(".")[0] in SECTIONS:
            table = tuple(named[1].split("."))
        key = match["key"] if match else None
        if names := _NAMES.search(message):
            key = _KEY_OF.get(names["what"], names["what"])
        self.add(redact(message), table, key)
        return table, key

    def add(
        self, message: str, table: tuple[str, ...], key: str | None = None, *, fault: bool = True
    ) -> None:
        """Note what is wrong with a table, or may be of interest."""
        place = line_of(self._written.files, table, key)
        file, line = place or (self._written.conf, None)
        self.all.append(Fault(".".join(table), message, file, line, fault))


def _missing(whole: Any, part: Any) -> set[str]:  # noqa: ANN401 - TOML
    return {*whole} - {*part} if isinstance(whole, dict) and isinstance(part, dict) else set()


def _follows(message: str, told: set[str]) -> bool:
    """Whether a fault comes of keys that were taken out, or of one that is misspelt."""
    if _UNKNOWN.match(message):
        return False
    lacks = _LACKS.search(message)
    return bool(told & ({lacks["key"]} if lacks else {*re.findall(r"\w+", message)}))
