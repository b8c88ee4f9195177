"""Secrets that Prefect keeps for several machines: ``${secret:NAME}`` in a configuration.

They are `Secret` blocks on the server, encrypted there. What one holds is kept in this process
alone, and `flows.output.redact` keeps it out of all that is written down.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

from flows import run as _run  # noqa: F401 - first: it sets what Prefect reads when it is imported

# isort: split

from httpx import HTTPError
from prefect.blocks.system import Secret
from prefect.exceptions import PrefectException


class SecretError(Exception):
    """A secret cannot be had; the message says why, and holds nothing of it."""


@cache
def value(name: str) -> str | None:
    """What the `Secret` block of that name holds; None where there is none.

    Raises:
        SecretError: if the server cannot be asked, or what it holds is no text.
    """
    try:
        found = cast("Secret[Any]", Secret.load(name))
    except ValueError:
        return None
    except (PrefectException, HTTPError, RuntimeError) as error:
        raise SecretError(f"Prefect cannot be asked for it ({type(error).__name__})") from None
    held = found.get()
    if not isinstance(held, str):
        raise SecretError(f"the block holds {type(held).__name__}, and a text is needed")
    return held
