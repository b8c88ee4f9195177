"""The tokenizer of a sentence model's folder, without the model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from encoders.base import EncoderError

if TYPE_CHECKING:
    from pathlib import Path


def tokenizer_of(folder: Path) -> Any:  # noqa: ANN401 - a tokenizers.Tokenizer, imported when needed
    """A ``tokenizers.Tokenizer`` that cuts texts as the model in a folder does.

    Raises:
        EncoderError: if the model's tokenizer does not say where its tokens stand in a text.
    """
    from tokenizers import Tokenizer

    first = _first_module(folder)
    file = first / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file)) if file.is_file() else _converted(first)
    if _read(first / "sentence_bert_config.json").get("do_lower_case") is True:
        _lower(tokenizer)
    return tokenizer


def _first_module(folder: Path) -> Path:
    file = folder / "modules.json"
    modules = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    return folder / str(modules[0].get("path", "")) if modules else folder


def _read(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _converted(folder: Path) -> Any:  # noqa: ANN401 - as above
    """The tokenizer of older files, which only transformers reads."""
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        if found.is_fast:
            return found.backend_tokenizer
    except (OSError, ValueError, KeyError) as error:
        raise EncoderError(
            f"texts cannot be cut for the model in {folder}: its tokenizer cannot be read "
            f"({error}); copy the whole model, tokenizer.json with it, or leave chunk out"
        ) from error
    raise EncoderError(
        f"texts cannot be cut for the model in {folder}: its tokenizer ({type(found).__name__}) "
        "does not say where in a text its tokens stand; leave chunk out, or name another model"
    )


def _lower(tokenizer: Any) -> None:  # noqa: ANN401 - as above
    """Sentence-transformers puts this before a tokenizer's own normaliser, too."""
    from tokenizers.normalizers import Lowercase, Sequence

    own = tokenizer.normalizer
    tokenizer.normalizer = Lowercase() if own is None else Sequence([Lowercase(), own])
