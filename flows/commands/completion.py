"""The command that teaches a shell the others."""

from __future__ import annotations

from typing import Literal, TypeAlias

from flows.commands._app import BEGIN, app
from flows.output.answers import say
from flows.output.codes import FINE

Shell: TypeAlias = Literal["bash", "zsh", "fish"]

_INSTALL: dict[Shell, str] = {
    "bash": "vecmill completion bash > ~/.local/share/bash-completion/completions/vecmill",
    "zsh": "vecmill completion zsh > ~/.zfunc/_vecmill   # with fpath+=~/.zfunc before compinit",
    "fish": "vecmill completion fish > ~/.config/fish/completions/vecmill.fish",
}


@app.command(group=BEGIN)
def completion(shell: Shell, /) -> int:
    """Print a script by which a shell completes commands, options and features on Tab.

    Features are those of the configuration that the command line names so far.

    Parameters
    ----------
    shell
        The shell to print it for.
    """
    import sys

    print(app.generate_completion(prog_name="vecmill", shell=shell))  # noqa: T201 - the result
    if sys.stdout.isatty():
        say(f"to install it: {_INSTALL[shell]}, then open a new shell")
    else:
        say("open a new shell to have it")
    return FINE
