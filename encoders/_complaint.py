"""What an endpoint says of an error, as far as it may be passed on.

Errors are written into catalogs, logs and pages, so neither a key nor a record may be among their
words, and endpoints are fond of quoting both.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST = 200
_HIDDEN = "…"
# A character at a time outside of ASCII, since scripts without spaces glue a quotation to the rest.
_WORD = re.compile(r"[A-Za-z0-9]+|[^\x00-\x7f]")
# As JSON, Python, Rust, C, URLs and HTML write what is no plain letter; with more backslashes where
# a quotation is quoted, and cut anywhere.
_ESCAPE = re.compile(
    r"\\+(?:u\{[0-9a-fA-F]*\}?|u[0-9a-fA-F]{0,4}|U[0-9a-fA-F]{0,8}|x[0-9a-fA-F]{0,2}|[0-7]{1,3}|[abefnrtv])"
    r"|%[0-9a-fA-F]{2}|&#?[0-9A-Za-z]{1,31};"
)


def complaint(body: bytes, texts: Sequence[str], key: str | None) -> str:
    """The message in the body of an error, or nothing where none can be found.

    Args:
        body: as it came; JSON as OpenAI or text-embeddings-inference have it, else it is left out.
        texts: what was sent: words that stand in any of them are taken out.
        key: taken out, too.
    """
    found = _parsed(body)
    error = found.get("error", found) if isinstance(found, dict) else None
    if isinstance(error, str):
        error = {**found, "message": error, "type": found.get("error_type")}
    if not isinstance(error, dict):
        return ""
    named = [error.get(name) for name in ("code", "type", "message", "detail")]
    told = [word for word in named if isinstance(word, str) and word.strip()]
    message = ": ".join(dict.fromkeys(told))
    return _without(message.replace(key, "***") if key else message, texts)


def code(body: bytes) -> str:
    """The code by which OpenAI names an error; empty where there is none."""
    found = _parsed(body)
    error = found.get("error") if isinstance(found, dict) else None
    named = error.get("code") or error.get("type") if isinstance(error, dict) else None
    return named if isinstance(named, str) else ""


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _without(message: str, texts: Sequence[str]) -> str:
    sent = "\n".join(texts).casefold()

    def shown(match: re.Match[str]) -> str:
        return _HIDDEN if match[0].casefold() in sent else match[0]

    plain = _ESCAPE.sub(_HIDDEN, message)
    cut = _WORD.sub(shown, plain[: 4 * _LONGEST])
    cut = re.sub(rf"{_HIDDEN}(\W*{_HIDDEN})+", _HIDDEN, " ".join(cut.split()))
    return cut if len(cut) <= _LONGEST else f"{cut[:_LONGEST]}{_HIDDEN}"
