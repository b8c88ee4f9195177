"""Strings that take a part from the environment, ``${NAME}``, so that files hold no secret.

``${NAME:-default}`` is for a variable that may be unset, ``$${`` for a literal ``${``.
``${secret:NAME}`` is what Prefect's block of the type `Secret` and that name holds.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from flows.config.as_written import strings
from flows.output.redact import remember

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECRET = "secret:"  # noqa: S105 - what a secret is named by
_VARIABLE = re.compile(r"\$(\$)?\{([^}]*)\}")


class TemplateError(Exception):
    """A variable that a string needs is not set."""


def fill(value: Any, where: str) -> Any:  # noqa: ANN401 - TOML, or JSON
    """Fill in all strings of a value from the environment.

    `flows.output.redact` learns what they take.

    Args:
        value: with tables and lists.
        where: what wants it, for the error.

    Raises:
        TemplateError: if a variable is not set, or a secret not there, and has no default.
    """
    if isinstance(value, dict):
        return {key: fill(inner, f"{where}.{key}".lstrip(".")) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(item, where) for item in value]
    if not isinstance(value, str):
        return value

    def found(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        name, separator, default = match[2].partition(":-")
        if name.startswith(_SECRET):
            return _secret(name.removeprefix(_SECRET), default if separator else None, where)
        if name in os.environ:
            remember(name, os.environ[name])
            return os.environ[name]
        if separator:
            return default
        raise TemplateError(
            f"{where} uses ${{{name}}}, but the environment variable {name} is not set; "
            f"set it, or give a default with ${{{name}:-...}}"
        )

    return _VARIABLE.sub(found, value)


def wanted(value: Any) -> Iterator[str]:  # noqa: ANN401 - TOML
    """The environment variables that strings of a value need, as they have no default."""
    for _, text in strings(value):
        for literal, name in _VARIABLE.findall(text):
            if not literal and ":-" not in name and not name.startswith(_SECRET):
                yield name


def _secret(name: str, default: str | None, where: str) -> str:
    from flows.operations import secrets

    try:
        value = secrets.value(name)
    except secrets.SecretError as error:
        raise TemplateError(f"{where} uses ${{{_SECRET}{name}}}, but {error}") from None
    if value is not None:
        remember(_SECRET + name, value)
        return value
    if default is not None:
        return default
    raise TemplateError(
        f"{where} uses ${{{_SECRET}{name}}}, but Prefect has no block secret/{name}; make one on "
        f"its page of blocks, or give a default with ${{{_SECRET}{name}:-...}}"
    )


def unfilled(value: Any) -> Any:  # noqa: ANN401 - TOML, or JSON
    """What `fill` makes this value of, where no variable stands for any of it."""
    if isinstance(value, dict):
        return {key: unfilled(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [unfilled(inner) for inner in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


def is_template(value: Any) -> bool:  # noqa: ANN401 - TOML
    """Whether any string of a value has something to fill in, or a mark that is no such thing."""
    if isinstance(value, dict | list):
        return any(map(is_template, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str) and "${" in value
