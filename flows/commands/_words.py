"""Sentences on standard output, for commands whose result is told rather than tabled."""

from __future__ import annotations

from json import dumps


def show(line: str) -> None:
    """Print a sentence; what a terminal would obey is shown instead."""
    from rich.markup import escape

    from flows.output.console import out
    from flows.output.redact import redact
    from flows.output.visible import visible

    out.print(escape(visible(redact(line))))


def show_value(key: str, value: object) -> None:
    """Print a key and its value, what is nested on lines of its own."""
    if isinstance(value, dict | list) and value:
        show(f"{key}:")
        for line in dumps(value, indent=2, default=str, ensure_ascii=False).splitlines()[1:-1]:
            show(line)
    else:
        show(f"{key}: {'' if value is None else value}")
