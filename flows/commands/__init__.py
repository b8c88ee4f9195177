"""The commands: each file of this folder adds some to `flows.commands._app.app`.

`flows.cli` imports every file, so a new command is a new file and no other edit. What a command
needs is imported where it runs, so that ``vecmill --help`` stays instant.
"""

from __future__ import annotations

import importlib
import pkgutil


def load_all() -> None:
    """Import every file of commands, so that each has added its own."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
