"""The starter configuration that `vecmill init` writes."""

from __future__ import annotations

from pathlib import Path

from flows.config.settings import SettingsError

STARTER = Path(__file__).with_name("starter.toml")


def write(folder: Path) -> Path:
    """Write ``conf/base.toml`` into a project folder.

    Returns:
        The file's path.

    Raises:
        SettingsError: if there is one already: it may hold somebody's work.
    """
    path = folder / "conf" / "base.toml"
    if path.exists():
        raise SettingsError(
            f"{path} is there already; edit it, or let `vecmill init PATH` add your records to it"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STARTER.read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"cannot write {path}: {error.strerror}; name another folder"
        ) from error
    return path
