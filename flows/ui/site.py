"""What the pages share: the configuration as it stands in its files, and the jobs."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flows.config.configuration import load
from flows.config.nearest import hint
from flows.config.settings import SettingsError
from flows.config.stores import Stores
from flows.ui.jobs import Jobs
from flows.ui.processes import Processes
from storage import cleaning

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.settings import Settings


class Current:
    """The configuration, read again where one of its files has changed.

    Args:
        settings: as it was when the server began.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seen = _stamps(settings)
        self._lock = threading.Lock()

    def settings(self) -> Settings:
        """The configuration as it stands now.

        Raises:
            SettingsError: if it cannot be used any more.
        """
        with self._lock:
            if _stamps(self._settings) != self._seen:
                self._settings = load(self._settings.conf)
                self._seen = _stamps(self._settings)
            return self._settings


def _stamps(settings: Settings) -> dict[Path, int]:
    """When each file was last written; one that is missing has none."""
    files = {*settings.files, settings.conf, settings.conf.parent / "local.toml"}
    return {file: file.stat().st_mtime_ns for file in files if file.is_file()}


@dataclass
class Site:
    """What the pages share.

    Attributes:
        current: the configuration.
        jobs: what takes longer than a page may.
        processes: what answers statements.
        encoded: versions that an encoder is loaded of, since something was searched in them.
    """

    current: Current
    jobs: Jobs = field(default_factory=Jobs)
    processes: Processes = field(default_factory=Processes)
    encoded: set[str] = field(default_factory=set)

    @property
    def settings(self) -> Settings:
        """The configuration as it stands now."""
        return self.current.settings()

    def features(self) -> list[str]:
        """The features of the configuration and of the catalog, by name."""
        catalog = Stores.of(self.settings).catalog
        return sorted({*self.settings.features, *cleaning.features(catalog)})

    def feature(self, name: str) -> str:
        """The name of a feature, if it is one.

        Raises:
            SettingsError: if it is none.
        """
        known = self.features()
        if name not in known:
            raise SettingsError(f"no feature {name!r}{hint(name, known)}")
        return name
