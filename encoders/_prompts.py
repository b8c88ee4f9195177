"""What a sentence model wants put before texts: one thing before documents, another before queries.

A model says so in its config_sentence_transformers.json, in ``prompts`` by name.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_DOCUMENT = ("document", "passage", "corpus")
_QUERY = ("query",)


@dataclass(frozen=True)
class Prompts:
    """What is put before texts; empty for nothing.

    Attributes:
        document: before what is kept and found.
        query: before what is searched for.
        usual: before either, had the model no name for documents; what its library puts there
            when it is not told which of the two a text is.
    """

    document: str
    query: str
    usual: str


def prompts_of(folder: Path, document: str | None = None, query: str | None = None) -> Prompts:
    """The prompts of a model, those excepted that are given.

    A model that names none for queries is taken for one that encodes both alike.
    """
    file = folder / "config_sentence_transformers.json"
    found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    named: dict[str, str] = {
        name: text for name, text in (found.get("prompts") or {}).items() if text
    }
    usual = named.get(found.get("default_prompt_name") or "", "")
    both = usual if document is None else document
    if document is None:
        document = next((named[name] for name in _DOCUMENT if name in named), usual)
    if query is None:
        query = next((named[name] for name in _QUERY if name in named), both)
    return Prompts(document, query, usual)
