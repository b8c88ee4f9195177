"""Guesses as sections of a configuration, each key with its reason beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from flows.config.templates import is_template, unfilled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flows.guessing.model import Guess, Line, Value

NEW = """\
# Vecmill's configuration: where records come from (sources), what turns them into vectors
# (encoders), and the names under which those are read (features). `vecmill init` in an empty folder
# writes one that shows every section. Relative paths are taken from the project folder, the one
# that holds conf/. Strings may use the environment: "${DATA}/news.csv".

[store]
vectors = "data/vectors"              # a folder, or s3://bucket/prefix, gs://, az://
catalog = "data/catalog.duckdb"       # runs, versions, dead letters, findings
"""
_COMMENTS_AT = 38
_WIDEST = 100


def sections(guess: Guess, *, encoder_is_there: bool) -> str:
    """The sections of a guess, ready to stand at the end of a configuration.

    Args:
        guess: what to write.
        encoder_is_there: whether the configuration has its encoder already.
    """
    coder = guess.encoder
    lines = ["", f"# {_one_line(guess.what)}.", ""]
    lines += [f"[sources.{guess.name}]", _line("kind", guess.kind), *_lines(guess.source)]
    if not encoder_is_there:
        lines += ["", f"[encoders.{coder.name}]", _line("kind", coder.kind, coder.why)]
        lines += _lines(coder.keys)
    lines += ["", f"[features.{guess.name}]", _line("source", guess.name)]
    lines += [_line("encoder", coder.name), *_lines(guess.feature)]
    return "\n".join(lines) + "\n"


def _lines(lines: Sequence[Line]) -> list[str]:
    return [_line(line.key, line.value, line.why) for line in lines]


def _line(key: str, value: Value, why: str = "") -> str:
    """``key = value  # why``, over several lines where the value is a long list."""
    # what the user wrote with ${NAME} is an address; in a path the same signs stand for themselves
    kept = value if key == "url" or not is_template(value) else unfilled(value)
    text = f"{key} = {toml(kept)}"
    if isinstance(kept, list) and len(text) > _WIDEST - 10:
        items = "".join(f"  {toml(item)},\n" for item in kept)
        return f"{key} = [{_comment(why)}\n{items}]"
    padding = " " * max(_COMMENTS_AT - len(text), 2)
    return f"{text}{padding}{_comment(why).lstrip()}".rstrip()


def _comment(why: str) -> str:
    return f"  # {_one_line(why)}" if why else ""


def _one_line(text: str) -> str:
    """A text without what a comment of TOML may not hold."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def toml(value: Value) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(toml(item) for item in value)}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {toml(item)}' for key, item in value.items())} }}"
    if isinstance(value, int):
        return str(value)
    # JSON's strings are TOML's, but for one sign that TOML wants escaped
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
