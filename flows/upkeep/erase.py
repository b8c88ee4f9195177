"""Erasing records: from every version, state, leftover, text and export that the store knows of.

What is to be erased is noted in a journal first, since half-way through the store itself cannot
tell any more. Kill it at any instant and run it again: the journal says what is left to do, and it
goes last. Then everything is read again, and a receipt says what was found, and what was not looked
at.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.engines.engine import Direct
from flows.pipeline.held import drawing, sketching, with_descendants
from flows.reports import kept as kept_reports
from flows.upkeep import journal as journals
from flows.upkeep.holdings import Holdings
from flows.upkeep.receipt import MOST_TERMS, prove, some
from flows.upkeep.sought import IN_SOURCE, Search
from storage import cleaning, cluster_removal, erasure, forgetting
from storage.exported import erase_from

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from flows.config.settings import Settings
    from flows.engines.engine import Engine
    from flows.output.progress import Reporter
    from flows.upkeep.journal import Journal
    from flows.upkeep.sought import Source
    from storage.model import Version

_TELL_OF_OTHERS = ("graph", "interactions")
"""Modalities whose contents tell of other records, under other names than their ids."""


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
        journal, source = Search(self._holdings, self._ids).look(reporter)
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
            journal, source = Search(self._holdings, self._ids).look(reporter)
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
