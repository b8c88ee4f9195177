"""What there is of records that are to be erased: in the store, and whether in the source still."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flows.config.stores import Stores
from flows.reports import kept as kept_reports
from flows.upkeep import journal as journals
from flows.upkeep.receipt import some
from storage import cleaning, cluster_removal, erasure, forgetting
from storage.blotting import LEAST_ID, LEAST_VALUE, size
from storage.exported import count_in
from storage.model import UsageError
from storage.parts import key, parent_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from flows.config.settings import Settings
    from flows.output.progress import Reporter
    from flows.upkeep.holdings import Holdings
    from flows.upkeep.journal import Journal
    from storage.model import Version

IN_SOURCE = "records still in the source"
"""What `flows.upkeep.erase.Eraser.look` calls them."""

_NUMBERED = re.compile(r"([0-9a-f]{32})#\d+")


@dataclass(frozen=True)
class Source:
    """Whether the records still stand in the source: the next run would bring them back.

    Attributes:
        records: how many do; None where the source could not be asked.
        why: why it could not.
    """

    records: int | None
    why: str = ""


class Search:
    """Looks for records of one feature; writes nothing.

    Args:
        holdings: where the feature keeps what it has of records.
        ids: the records; those of an erasure that was broken off are added.
    """

    def __init__(self, holdings: Holdings, ids: Collection[str]) -> None:
        self._holdings, self._ids = holdings, set(ids)
        self._stores = holdings.stores

    def look(self, reporter: Reporter) -> tuple[Journal, Source]:
        """What there is, with what an erasure that was broken off has noted of it.

        Raises:
            UsageError: if an id names no record, but a chunk of one.
        """
        holdings, catalog = self._holdings, self._stores.catalog
        journal = journals.read(holdings.journal, self._ids)
        reporter.stage(holdings.feature, "look", None)
        ids = set(journal.ids)
        found, traces = self._traces(ids)
        self._refuse_chunks()
        traces.hashes.update(journal.hashes)
        chunked = [v.version for v in catalog.versions(holdings.feature) if v.chunked]
        traces.parts |= forgetting.parts_in_findings(catalog, holdings.feature, chunked, ids)
        journal.parts = sorted({*journal.parts, *traces.parts})
        for version in holdings.mapped():
            on_map = self._stores.maps.count(version.table, ids, chunked=version.chunked)
            found[f"points on maps of {version.table}"] = on_map
        for version in holdings.with_canaries():
            kept = self._stores.canaries.count(version.table, ids, chunked=version.chunked)
            found[f"canaries of {version.table}"] = kept
        for export in holdings.exports():
            if export.path.exists():
                rows = count_in(export.path, export.form, ids, export.by)
                found[f"rows of {export.path.name}"] = rows or 0
        traces.values |= forgetting.reasons(catalog, holdings.feature, ids)
        found["kept reports"] = kept_reports.naming(holdings.settings, holdings.feature, ids)
        source = self._in_source(ids, traces.values)
        found.update(
            forgetting.in_catalog(catalog, holdings.feature, ids, traces.hashes, journal.parts)
        )
        named = [i for i in journal.ids if size(i) >= LEAST_ID]
        found["files that hold an id"] = len(erasure.search(holdings.files(), some(named)))
        journal.hashes = sorted(traces.hashes)
        long = {v for v in traces.values if size(v) >= LEAST_VALUE}
        journal.values = sorted({*journal.values, *long} - holdings.shared(ids, long))
        journal.found = {k: max(found[k], journal.found.get(k, 0)) for k in found | journal.found}
        return journal, source

    def _traces(self, ids: set[str]) -> tuple[Counter[str], erasure.Traces]:
        """What tables and staged work hold of the records, counted and put together."""
        found, every = Counter[str](), erasure.Traces()
        for version in self._holdings.versions():
            table = version.table
            folder, by = self._stores.staging / table, self._holdings.by(version)
            seen = [erasure.unpublished_contents(folder, ids, by)]
            found[f"records on their way to {table}"] = seen[0].older
            if self._holdings.has_table(version):
                published = self._holdings.published(version)
                seen.append(erasure.traces(self._stores.vectors, table, ids, published, by))
                found[f"rows of {table} ({version.standing})"] = seen[1].rows
                found[f"rows of earlier states of {table}"] = seen[1].older
                found[f"clusters of {table}"] = cluster_removal.count(
                    self._stores.catalog, version, ids
                )
            for one in seen:
                every.hashes |= one.hashes
                every.values |= one.values
                every.parts |= one.parts
        return found, every

    def _refuse_chunks(self) -> None:
        """Refuse ids of chunks: a record goes whole, and a proof for a part of one proves nothing.

        An id may be that of a record and of another's chunk; it means the record then.
        """
        catalog, feature = self._stores.catalog, self._holdings.feature
        for version in catalog.versions(feature) if self._ids else ():
            if not version.chunked or not _holds(self._stores, version, self._ids, "record_id"):
                continue
            for named in sorted(self._ids):
                if not _holds(self._stores, version, [named], "record_id"):
                    continue
                found, _ = self._traces({named})
                letters = forgetting.in_catalog(catalog, feature, [named], [])["dead letters"]
                if not letters and not any(found.values()):
                    raise UsageError(
                        f"{named!r} is a chunk of the record {parent_of(named)!r} in "
                        f"{version.table}, and a record is erased whole: name {parent_of(named)!r}"
                    )

    def _in_source(self, ids: set[str], values: set[str]) -> Source:
        """Read the source through for the ids; their contents are added to ``values``."""
        import polars as pl

        from encoders.base import EncoderError
        from flows.config.settings import SettingsError
        from flows.pipeline.versions import open_source
        from flows.sources.base import SourceError

        feature = self._holdings.settings.features.get(self._holdings.feature)
        if feature is None:
            return Source(None, "the feature is not configured any more")
        asked = ids | {m[1] for i in ids if (m := _NUMBERED.fullmatch(i))}
        number = 0
        try:
            live = self._stores.catalog.live(feature.name)
            for chunk in open_source(self._holdings.settings, feature, live).scan():
                rows = chunk.records.filter(pl.col("record_id").is_in(sorted(asked)))
                number += len(rows) + sum(r.record_id in ids for r in chunk.rejects)
                if len(rows) and rows.schema["content"] == pl.String:
                    values.update(filter(None, rows["content"].to_list()))
        except (SourceError, EncoderError, SettingsError, UsageError) as error:
            return Source(None, str(error))
        return Source(number)


def known_features(settings: Settings) -> list[str]:
    """The features of the configuration and of the catalog."""
    stores = Stores.of(settings)
    return list(dict.fromkeys([*settings.features, *cleaning.features(stores.catalog)]))


def elsewhere(
    settings: Settings, feature: str, ids: Collection[str], but: Collection[str] = ()
) -> list[str]:
    """Other features (``but`` some) whose published rows hold some of these records."""
    stores = Stores.of(settings)
    others = (name for name in known_features(settings) if name not in {feature, *but})
    return [
        name
        for name in others
        if any(_holds(stores, version, ids) for version in stores.catalog.versions(name))
    ]


def _holds(stores: Stores, version: Version, ids: Collection[str], by: str | None = None) -> bool:
    published = stores.catalog.published(version)
    return published is not None and stores.vectors.holds(
        version.table, published.lance_version, ids, by or key(chunked=version.chunked)
    )
