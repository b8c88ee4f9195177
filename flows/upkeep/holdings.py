"""What a store holds of one feature: its tables, exports and files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.config.stores import Stores
from flows.reports import kept as kept_reports
from storage import cleaning, clusters, erasure, parts
from storage.blotting import written
from storage.locks import is_free

if TYPE_CHECKING:
    from collections.abc import Collection

    from flows.config.settings import Settings
    from storage.model import Version


@dataclass(frozen=True)
class Export:
    """An export that the catalog knows of; where another machine made it, it may not be here.

    Attributes:
        by: the column that names the record of a row.
    """

    path: Path
    form: str
    by: str = "record_id"


class Holdings:
    """Looks up what the store holds of a feature; each call sees what is there then."""

    def __init__(self, settings: Settings, feature: str) -> None:
        self.settings = settings
        self.feature = feature
        self.stores = Stores.of(settings)

    @property
    def home(self) -> Path:
        """The folder of the catalog, of staged work, fitted states and locks."""
        return self.settings.catalog.parent

    @property
    def journal(self) -> Path:
        """The file that says what is being erased, while something is."""
        return self.home / "erasures" / f"{self.feature}.json"

    def versions(self) -> list[Version]:
        """The versions that have a table or staged work."""
        tables = set(self.stores.vectors.tables())
        return [
            version
            for version in self.stores.catalog.versions(self.feature)
            if version.table in tables or (self.stores.staging / version.table).exists()
        ]

    def with_table(self) -> list[Version]:
        """The versions that have a table, whether anything of it is published or not."""
        return [version for version in self.versions() if self.has_table(version)]

    def mapped(self) -> list[Version]:
        """The versions that have maps, whether they have a table or not."""
        tables = set(self.stores.maps.tables())
        return [v for v in self.stores.catalog.versions(self.feature) if v.table in tables]

    def sketched(self) -> list[Version]:
        """The versions of which sketches are kept, whether they have a table or not."""
        tables = set(self.stores.sketches.tables())
        return [v for v in self.stores.catalog.versions(self.feature) if v.table in tables]

    def with_canaries(self) -> list[Version]:
        """The versions that have canaries, whether they have a table or not."""
        tables = set(self.stores.canaries.tables())
        return [v for v in self.stores.catalog.versions(self.feature) if v.table in tables]

    def has_table(self, version: Version) -> bool:
        """Whether a version has a table."""
        return version.table in self.stores.vectors.tables()

    def by(self, version: Version) -> str:
        """The column of a version's table that names the record of a row."""
        return parts.key(chunked=version.chunked)

    def published(self, version: Version) -> int | None:
        """The Lance version that readers of a version see."""
        manifest = self.stores.catalog.published(version)
        return manifest.lance_version if manifest else None

    def exports(self) -> list[Export]:
        """What was exported of the feature."""
        found: list[dict[str, Any]] = cleaning.exports(self.stores.catalog, self.feature)
        chunked = {v.version for v in self.stores.catalog.versions(self.feature) if v.chunked}
        return [
            Export(
                self.settings.root / row["path"],
                row["form"],
                parts.key(chunked=row["version"] in chunked),
            )
            for row in found
        ]

    def shared(self, ids: Collection[str], terms: Collection[str]) -> set[str]:
        """The terms that records other than these hold too: to find them proves nothing."""
        met: set[str] = set()
        for version in self.with_table():
            published = self.published(version)
            if published is not None:
                left = sorted(set(terms) - met)
                state = (version.table, published)
                met |= erasure.shared(self.stores.vectors, *state, ids, left, self.by(version))
        return met

    def holding(self, ids: Collection[str]) -> set[str]:
        """Ids of other published records of which one of these is a part."""
        found: set[str] = set()
        for version in self.with_table():
            published = self.published(version)
            if published is not None:
                state = (version.table, published)
                found |= erasure.holding(self.stores.vectors, *state, ids, self.by(version))
        return found

    def quoting_logs(self, terms: Collection[str]) -> tuple[list[Path], list[Path]]:
        """Logs of runs of other features that hold any of some terms.

        Returns:
            Those whose run has ended; and those that a run may be writing on, which has to end
            before they can go.
        """
        logs = self.stores.logs
        others = {name: logs.files(name) for name in logs.features() if name != self.feature}
        forms = sorted({form for term in terms for form in written(term)})
        files = [path for found in others.values() for path in found]
        hits = {Path(path) for path in erasure.search(files, forms)}
        busy = {
            found[-1]
            for name, found in others.items()
            if hits & {*found[-1:]} and not is_free(self.stores.locks / f"{name}.lock")
        }
        return sorted(hits - busy), sorted(busy)

    def files(self) -> list[Path]:
        """The store's files, but those of other features, and the journal, which goes last."""
        folders = [self.home / "states", self.home / "locks", self.home / "memory"]
        named = re.compile(re.escape(self.feature) + r"_v\d+")
        grouped = clusters.home(self.stores.catalog)
        kept = (self.home / "maps", self.home / "sketches")
        places = (self.stores.staging, grouped, *kept, self.stores.vectors.folder)
        for place in places:
            if place is not None and place.is_dir():
                folders += [folder for folder in place.iterdir() if named.fullmatch(folder.stem)]
        folders += [export.path for export in self.exports() if export.path.is_dir()]
        folders += self.home.glob(".vecmill-*/")
        files = [path for folder in folders for path in cleaning.files_under(folder)]
        files += [f for v in self.with_canaries() for f in self.stores.canaries.files(v.table)]
        files += self.home.glob(f"{self.settings.catalog.name}*")
        files += self.home.glob(".vecmill-*")
        files += kept_reports.kept(self.settings, self.feature)
        files += self.stores.logs.files(self.feature)
        files += self.journal.parent.glob(f"{self.feature}.*.tmp")
        files += [export.path for export in self.exports()]
        return [path for path in files if path.is_file()]
