"""Sentences on standard output, for commands whose result is told rather than tabled."""

from __future__ import annotations

from json import dumps


def show(line: str) -> None:
    """Print a sentence; what a terminal would obey is shown instead.

    Where a terminal is too narrow for one that is set in, the rest of it is set in as far.
    """
    from rich.markup import escape
    from rich.padding import Padding

    from flows.output.console import out
    from flows.output.redact import redact
    from flows.output.visible import visible

    words = visible(redact(line))
    inset = len(words) - len(words.lstrip(" "))
    if inset and out.is_terminal:
        out.print(Padding(escape(words.lstrip(" ")), (0, 0, 0, inset), expand=False))
    else:
        out.print(escape(words))


def show_value(key: str, value: object) -> None:
    """Print a key and its value, what is nested on lines of its own."""
    if isinstance(value, dict | list) and value:
        show(f"{key}:")
        for line in dumps(value, indent=2, default=str, ensure_ascii=False).splitlines()[1:-1]:
            show(line)
    else:
        show(f"{key}: {'' if value is None else value}")
