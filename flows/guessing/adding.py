"""Guesses put into a configuration: added to what is there, and checked before it is written."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flows.config import configuration
from flows.config.conf_files import append, appended
from flows.config.settings import SettingsError
from flows.guessing.names import free
from flows.guessing.writing import NEW, sections
from storage import swaps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flows.guessing.model import Guess

_PLACES = ("path", "url", "table", "nodes", "edges")
"""Keys by which two sources are seen to read the same."""


@dataclass(frozen=True)
class Standing:
    """What a configuration has before anything is added.

    Attributes:
        file: that is to be added to; it need not be there.
        values: of all files that make it up, merged where they are of use here.
    """

    file: Path
    values: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, file: Path) -> Standing:
        """Read the files that go together with one.

        Raises:
            SettingsError: if the configuration that is there cannot be used.
        """
        values: dict[str, dict[str, Any]] = {"sources": {}, "encoders": {}, "features": {}}
        if file.is_file():
            for each in configuration.load(file).files:
                read = tomllib.loads(each.read_text(encoding="utf-8"))
                for section, tables in values.items():
                    tables.update(read.get(section, {}))
        return cls(file, values)

    @property
    def names(self) -> set[str]:
        """The names that sources and features have."""
        return {*self.values["sources"], *self.values["features"]}

    def reading(self, guess: Guess) -> str | None:
        """The source that reads the same as a guess; None where none does."""
        places = {line.key: line.value for line in guess.source if line.key in _PLACES}
        for name, keys in self.values["sources"].items():
            if {key: keys.get(key) for key in places} == places:
                return str(name)
        return None


def text_of(standing: Standing, guesses: Sequence[Guess]) -> str:
    """What is to stand at the end of the file, or be the file where there is none."""
    coders = dict(standing.values["encoders"])
    parts = [] if standing.file.is_file() else [NEW]
    for guess in guesses:
        coder = guess.encoder
        keys = {"kind": coder.kind} | {line.key: line.value for line in coder.keys}
        same = coders.get(coder.name) == keys
        if not same:
            coder = replace(coder, name=free(coder.name, coders))
        parts.append(sections(replace(guess, encoder=coder), encoder_is_there=same))
        coders[coder.name] = keys
    return "".join(parts)


def add(standing: Standing, text: str) -> None:
    """Write it, if the configuration is sound with it.

    Raises:
        SettingsError: if it is not, or the file cannot be written; nothing is changed then.
    """
    file = standing.file
    new = not file.is_file()
    folder_is_new = not file.parent.exists()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        tried = file.with_name(f".init.{os.getpid()}.toml")
        try:
            tried.write_text(text if new else appended(file, text), encoding="utf-8")
            configuration.load(tried)
        finally:
            tried.unlink(missing_ok=True)
            if folder_is_new and new:
                file.parent.rmdir()
    except OSError as error:
        raise SettingsError(
            f"cannot write {file}: {error.strerror}; name another folder with --project"
        ) from error
    except UnicodeEncodeError as error:
        raise SettingsError(
            "a path is not UTF-8, and cannot stand in a configuration; rename the file or folder"
        ) from error
    file.parent.mkdir(exist_ok=True)
    if new:
        with swaps.whole(file, hidden=True) as fresh:
            fresh.write_text(text, encoding="utf-8")
    else:
        append(file, text)
