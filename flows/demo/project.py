"""A project for the demo where there is none: what is installed carries its configuration."""

from __future__ import annotations

from pathlib import Path

from flows.config.settings import SettingsError
from flows.config.starter import STARTER

CARRIED = Path(__file__).with_name("demo.toml")
DEMO = Path("conf/demo.toml")
"""Where the demo's configuration is in a project that has it, such as the repository."""


def project(folder: Path) -> Path:
    """Write the demo's project into a folder of its own.

    Returns:
        Its ``demo.toml``. What is there already is kept: it has been read, or edited, before.

    Raises:
        SettingsError: if it cannot be written.
    """
    conf = folder / DEMO
    for target, carried in ((conf, CARRIED), (conf.with_name("base.toml"), STARTER)):
        if target.exists():
            continue
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(carried.read_text("utf-8"), encoding="utf-8")
        except OSError as error:
            raise SettingsError(
                f"cannot write {target}: {error.strerror or error}; run the demo where you may "
                "write, or name a configuration with --conf"
            ) from error
    return conf
