"""The reports that the store keeps, in a folder of its own: which there are, and their end.

A report holds texts of records. So `vecmill erase` removes those of its feature, and the page over
all features with them; `vecmill gc` those of versions that are dropped.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from flows.config.stores import Stores
from flows.output.markup import as_json, put
from storage import cleaning
from storage.locks import exclusive

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from flows.config.settings import Settings
    from flows.output.progress import Reporter

INDEX = "all-features.html"
"""The page over all features; no feature has a dash in its name."""


def folder(settings: Settings) -> Path:
    """The folder of the reports that the store keeps."""
    return settings.catalog.parent / "reports"


def kept(settings: Settings, feature: str) -> list[Path]:
    """The kept reports of a feature, finished or not, and the page over all features."""
    own = re.compile(rf"\.?{re.escape(feature)}(_v\d+)?\.html(\.\d+\.tmp)?")
    over = re.compile(rf"\.?{re.escape(INDEX)}(\.\d+\.tmp)?")
    files = [*sorted(folder(settings).glob("*.html")), *unfinished(settings)]
    found = [file for file in files if own.fullmatch(file.name)]
    # What it says of the feature may be all that is left of it.
    found += [file for file in files if over.fullmatch(file.name)]
    return list(dict.fromkeys(found))


@contextmanager
def writing(settings: Settings, reporter: Reporter) -> Iterator[None]:
    """Hold the lock of the kept reports: none is made of records that are being erased.

    Raises:
        StorageError: if another holder outlasts ``wait_seconds``.
    """
    lock = Stores.of(settings).locks / "reports.lock"
    with exclusive(lock, "the reports", settings.engine.wait_seconds, reporter.note):
        yield


def naming(settings: Settings, feature: str, ids: Collection[str]) -> int:
    """How many kept reports of a feature name one of these records, as pages write names."""
    written = {form for i in ids for form in (f">{put(i)}<", f'"{as_json(i)[1:-1]}"')}
    texts = (file.read_text("utf-8", "replace") for file in kept(settings, feature))
    return sum(any(form in text for form in written) for text in texts)


def loose(settings: Settings) -> list[Path]:
    """Kept reports of versions that are dropped, and of features that nobody knows any more."""
    catalog = Stores.of(settings).catalog
    names = {*settings.features, *cleaning.features(catalog)}
    tables = {v.table for name in names for v in catalog.versions(name) if v.dropped_at is None}
    known = {*names, *tables, INDEX.removesuffix(".html")}
    return [file for file in sorted(folder(settings).glob("*.html")) if file.stem not in known]


def unfinished(settings: Settings) -> list[Path]:
    """What was being written when its process was killed, or is just now."""
    return sorted(folder(settings).glob(".*.tmp"))


def remove(settings: Settings, feature: str, reporter: Reporter) -> int:
    """Remove the kept reports of a feature; how many files there were."""
    with writing(settings, reporter):
        files = kept(settings, feature)
        for file in files:
            file.unlink(missing_ok=True)
    return len(files)
