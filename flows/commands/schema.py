"""The command that prints what editors check a configuration by."""

from __future__ import annotations

from flows.commands._app import BEGIN, Flag, app
from flows.output.codes import FINE


@app.command(group=BEGIN)
def schema(*, partial: Flag = False) -> int:
    """Print a JSON Schema of the configuration, by which editors complete and check it.

    vecmill schema > conf/schema.json

    Parameters
    ----------
    partial
        For files that are laid over another, such as local.toml: no key is required there.
    """
    from flows.config.schema import schema as made
    from flows.config.starter import as_text

    print(as_text(made(partial=partial)), end="")  # noqa: T201 - the result
    return FINE
