"""Python code that a model brings: run only where a key says so, and only what is pinned.

A sentence-transformers model names the classes of its modules in ``modules.json``, and one of
transformers those of its configuration, model and tokenizer under ``auto_map``. Both libraries
import them from files of the model if they are allowed to.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from encoders.base import EncoderError, EncoderUsageError

if TYPE_CHECKING:
    from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}")
_OURS = "sentence_transformers."


def check_pinned(model: str, revision: str | None) -> None:
    """Refuse code from the hub that may be other code tomorrow.

    Raises:
        EncoderUsageError: if the revision is no full commit.
    """
    if revision is None or not _COMMIT.fullmatch(revision):
        raise EncoderUsageError(
            f"trust_remote_code runs the code that {model!r} brings, so it needs a revision that "
            f"cannot move: the full commit, 40 hex digits, got {revision!r}; read the code on the "
            "hub, and name the commit that you read"
        )


def check_code(folder: Path, *, trusted: bool) -> None:
    """Look through a model's folder for code that would be imported, before anything is loaded.

    Raises:
        EncoderError: if it names classes of its own and is not trusted, or code that lies in
            another repository, which no revision pins.
    """
    foreign = [name for name in _modules(folder) if not name.startswith(_OURS)]
    if foreign and not trusted:
        raise EncoderError(
            f"the model in {folder} wants code of its own to be run: modules.json names "
            f"{foreign[0]!r}; choose another model, or read that code and set "
            "trust_remote_code = true"
        )
    elsewhere = [name for name in [*foreign, *_mapped(folder)] if "--" in name]
    if elsewhere and trusted:
        raise EncoderError(
            f"the model in {folder} wants code of another repository to be run, {elsewhere[0]!r}, "
            "which its revision does not pin; copy that code into the model's folder and name it "
            "there without the part before --"
        )


def _modules(folder: Path) -> list[str]:
    found = _json(folder / "modules.json")
    entries = found if isinstance(found, list) else []
    return [str(entry.get("type")) for entry in entries if isinstance(entry, dict)]


def _mapped(folder: Path) -> list[str]:
    names: list[str] = []
    for file in folder.rglob("*.json"):
        found = _json(file)
        mapped = found.get("auto_map") if isinstance(found, dict) else None
        for value in mapped.values() if isinstance(mapped, dict) else ():
            names += [str(name) for name in (value if isinstance(value, list) else [value])]
    return names


def _json(file: Path) -> object:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # the loader will say what is wrong with it
