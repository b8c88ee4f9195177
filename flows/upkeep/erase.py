"""Erasing records: from every version, state, leftover, text and export that the store knows of.

What is to be erased is noted in a journal first, since half-way through the store itself cannot
tell any more. Kill it at any instant and run it again: the journal says what is left to do, and it
goes last. Then everything is read again, and a receipt says what was found, and what was not looked
at.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.config.stores import Stores
from flows.engines.engine import Direct
from flows.pipeline.held import drawing, sketching, with_descendants
from flows.reports import kept as kept_reports
from flows.upkeep import journal as journals
from flows.upkeep.holdings import Holdings
from flows.upkeep.receipt import MOST_TERMS, prove, some
from storage import cleaning, cluster_removal, erasure, forgetting
from storage.blotting import LEAST_ID, LEAST_VALUE, size
from storage.exported import count_in, erase_from
from storage.model import UsageError
from storage.parts import key, parent_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from flows.config.settings import Settings
    from flows.engines.engine import Engine
    from flows.output.progress import Reporter
    from flows.upkeep.journal import Journal
    from storage.model import Version

IN_SOURCE = "records still in the source"
"""What `Eraser.look` calls them."""

_NUMBERED = re.compile(r"([0-9a-f]{32})#\d+")


_TELL_OF_OTHERS = ("graph", "interactions")
"""Modalities whose contents tell of other records, under other names than their ids."""


@dataclass(frozen=True)
class Source:
    """Whether the records still stand in the source: the next run would bring them back.

    Attributes:
        records: how many do; None where the source could not be asked.
        why: why it could not.
    """

    records: int | None
    why: str = ""


class Eraser:
    """Erases records of one feature.

    Args:
        settings: the configuration.
        feature: the feature, configured or only known to the catalog.
        ids: the records; those of an erasure that was broken off are added.
        engine: what carries out the steps.
    """

    def __init__(
        self, settings: Settings, feature: str, ids: Collection[str], engine: Engine | None = None
    ) -> None:
        self._holdings = Holdings(settings, feature)
        self._stores = self._holdings.stores
        self._ids = set(ids)
        self._engine: Engine = engine or Direct()
        self._removed: Counter[str] = Counter()
        self._unreachable: list[str] = []
        self._receipt: dict[str, Any] = {}

    def look(self, reporter: Reporter) -> dict[str, int]:
        """What there is of the records, in rows, by where it is; nothing is written."""
        journal, source = self._look(reporter)
        return journal.found | {IN_SOURCE: source.records or 0}

    def erase(self, reporter: Reporter, *, locked: bool = False) -> dict[str, Any]:
        """Erase the records, prove it, and give the receipt (`flows.upkeep.receipt.prove`).

        Args:
            reporter: told of progress.
            locked: whether the caller holds the locks of the feature and of those over it.

        Raises:
            StorageError: if the store cannot be read or written; run it again then.
        """
        settings, name, step = self._holdings.settings, self._holdings.feature, self._step
        with nullcontext() if locked else with_descendants(settings, [name], reporter):
            journal, source = self._look(reporter)
            step("note", partial(journals.write, self._holdings.journal, journal))
            for version in self._holdings.versions():
                step("rows", partial(self._rows, version, journal))
                step("publish", partial(self._publish, version))
                step("states", partial(self._states, version))
                step("staging", partial(self._staging, version))
            step("canaries", partial(self._canaries, journal))
            step("maps", partial(self._maps, journal, reporter))
            step("sketches", partial(self._sketches, reporter))
            step("clusters", partial(self._clusters, journal))
            step("exports", partial(self._exports, journal))
            step("logs", partial(self._logs, journal))
            step("memory", partial(self._memory, journal))
            step("catalog", partial(self._catalog, journal))
            # After the catalog, and under their own lock: what is made of it later names none.
            step("reports", partial(self._reports, reporter))
            step("rewrite", self._stores.catalog.rewrite)
            step("prove", partial(self._prove, journal, source))
            step("receipt", partial(self._keep, journal))
            step("done", partial(self._holdings.journal.unlink, missing_ok=True))
        return self._receipt

    def _step(self, name: str, function: Callable[[], None]) -> None:
        self._engine.step(name, function)

    # --- looking --------------------------------------------------------------------------------

    def _look(self, reporter: Reporter) -> tuple[Journal, Source]:
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

    # --- removing -------------------------------------------------------------------------------

    def _rows(self, version: Version, journal: Journal) -> None:
        vectors = self._stores.vectors
        if not self._holdings.has_table(version):
            return
        published = self._holdings.published(version)
        if published is None:
            vectors.drop(version.table)  # a first run that was broken off, or dropped by gc
        else:
            by = self._holdings.by(version)
            erasure.erase_rows(vectors, version.table, published, journal.ids, by)

    def _publish(self, version: Version) -> None:
        manifest = self._stores.catalog.published(version)
        if manifest is None or not self._holdings.has_table(version):
            return
        head = self._stores.vectors.head(version.table)
        if head.version != manifest.lance_version:
            rows = head.count_rows()
            cleaning.publish_state(self._stores.catalog, manifest, head.version, rows, "erase")

    def _states(self, version: Version) -> None:
        if self._holdings.has_table(version):
            removed = erasure.remove_other_states(self._stores.vectors, version.table)
            self._removed[f"earlier states of {version.table}"] += removed

    def _staging(self, version: Version) -> None:
        """All of it: what is staged goes by content, and cannot be told from that of the ids."""
        folder = self._stores.staging / version.table
        files = len(list(cleaning.files_under(folder))) if folder.exists() else 0
        if folder.exists():
            shutil.rmtree(folder)
        self._removed[f"files on their way to {version.table}"] += files

    def _maps(self, journal: Journal, reporter: Reporter) -> None:
        """After the rows: a map that is being made is kept for the rows that are there then."""
        with drawing(self._holdings.settings, self._holdings.feature, reporter):
            for version in self._holdings.mapped():
                table, chunked = version.table, version.chunked
                gone = self._stores.maps.erase(table, journal.ids, chunked=chunked)
                self._removed[f"points on maps of {table}"] += gone

    def _sketches(self, reporter: Reporter) -> None:
        """All of them, and after the rows: that of few contents is nearly one of them.

        They are made again from the rows that are left when a monitor next needs them.
        """
        with sketching(self._holdings.settings, self._holdings.feature, reporter):
            for version in self._holdings.sketched():
                found = len(self._stores.sketches.names(version.table))
                self._stores.sketches.drop(version.table)
                self._removed[f"sketches of {version.table}"] += found

    def _canaries(self, journal: Journal) -> None:
        """By content too: a canary goes by one record, and its content may be another's as well."""
        for version in self._holdings.with_canaries():
            if version.modality in _TELL_OF_OTHERS:
                found = len(self._stores.canaries.files(version.table))
                self._stores.canaries.drop(version.table)
            else:
                given = (version.table, [*journal.ids, *journal.terms], journal.hashes)
                found = self._stores.canaries.erase(*given, chunked=version.chunked)
            self._removed[f"canaries of {version.table}"] += found

    def _clusters(self, journal: Journal) -> None:
        for version in self._stores.catalog.versions(self._holdings.feature):
            found = cluster_removal.erase(self._stores.catalog, version, journal.ids)
            self._removed[f"clusters of {version.table}"] += found

    def _exports(self, journal: Journal) -> None:
        self._unreachable = []
        for export in self._holdings.exports():
            if not export.path.exists():
                self._unreachable.append(f"the export {export.path}: no such file here")
            elif erase_from(export.path, export.form, journal.ids, export.by) is None:
                self._unreachable.append(
                    f"the export {export.path}: it has no record ids to find rows by; delete it, "
                    "or export anew"
                )

    def _logs(self, journal: Journal) -> None:
        """All of the feature's, and of others those that quote a record.

        What errors and notes quote cannot be told apart line by line.
        """
        logs, feature = self._stores.logs, self._holdings.feature
        self._removed["logs of runs"] += len(logs.files(feature))
        logs.drop(feature)
        quoting, busy = self._holdings.quoting_logs(some(journal.terms))
        for path in quoting:
            path.unlink(missing_ok=True)
        self._removed["logs of runs of other features"] += len(quoting)
        self._unreachable += [
            f"the log {path}: a run is writing on it; erase again when that has ended"
            for path in busy
        ]

    def _memory(self, journal: Journal) -> None:
        """What a source keeps only saves time, so whatever may name a record goes.

        That of other sources too: one may read the same files, or be this one by an earlier name.
        """
        feature = self._holdings.settings.features.get(self._holdings.feature)
        memory, terms = self._stores.memory, journal.terms
        if len(terms) > MOST_TERMS:
            shutil.rmtree(memory, ignore_errors=True)
        elif feature is not None:
            shutil.rmtree(memory / feature.source.name, ignore_errors=True)
        for path in erasure.search(cleaning.files_under(memory), terms):
            Path(path).unlink(missing_ok=True)

    def _catalog(self, journal: Journal) -> None:
        removed = forgetting.purge_catalog(
            self._stores.catalog,
            self._holdings.feature,
            journal.ids,
            journal.hashes,
            journal.values,
            journal.parts,
            self._holdings.holding(journal.ids),
        )
        self._removed.update(removed)

    def _reports(self, reporter: Reporter) -> None:
        """All of the feature's: a page cannot be told apart by the records that it shows."""
        removed = kept_reports.remove(self._holdings.settings, self._holdings.feature, reporter)
        self._removed["kept reports"] += removed

    # --- proving --------------------------------------------------------------------------------

    def _prove(self, journal: Journal, source: Source) -> None:
        journals.clear(self._holdings.journal)
        self._receipt = prove(self._holdings, journal, source, self._removed, self._unreachable)

    def _keep(self, journal: Journal) -> None:
        text = json.dumps(self._receipt, ensure_ascii=False)
        forgetting.keep_receipt(
            self._stores.catalog, journal.erasure, self._holdings.feature, len(journal.ids), text
        )


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
