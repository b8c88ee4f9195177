"""Writing reports, each whole or not at all: into the store's own folder, or where somebody asks.

One that is written elsewhere is a copy, which `vecmill erase` knows nothing of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.config.stores import Stores
from flows.output.pages import write_page
from flows.reports.gather import collect
from flows.reports.index import index
from flows.reports.kept import INDEX, folder, writing
from flows.reports.page import page
from storage import cleaning

if TYPE_CHECKING:
    from pathlib import Path

    from flows.config.settings import Settings
    from flows.output.progress import Reporter
    from flows.reports.model import Report


def known_features(settings: Settings) -> list[str]:
    """The features of the configuration and of the catalog."""
    catalog = Stores.of(settings).catalog
    return list(dict.fromkeys([*settings.features, *cleaning.features(catalog)]))


def kept_page(settings: Settings, name: str, number: int | None) -> Path:
    """Where the store keeps the page of a feature, of its live version where none is given."""
    return folder(settings) / f"{name if number is None else f'{name}_v{number}'}.html"


def make(
    settings: Settings, name: str, reporter: Reporter, number: int | None, target: Path | None
) -> tuple[Report, Path]:
    """Write the report of a feature; into the store's own folder where no file is named.

    Raises:
        UsageError: if there is no such version, or the file cannot be written.
        SettingsError: if there is no such feature.
    """
    with writing(settings, reporter):
        report = collect(settings, name, reporter, number)
        where = target or kept_page(settings, name, number)
        write_page(where, page(report), "report", make=target is None)
    return report, where


def make_all(
    settings: Settings, reporter: Reporter, target: Path | None
) -> tuple[list[Report], Path]:
    """Write the page over all features, and beside it, in the store's folder, a page of each.

    A page that is asked for elsewhere is written alone, and leads to no other.

    Raises:
        UsageError: if a file cannot be written.
    """
    with writing(settings, reporter):
        own = target is None
        where = target or folder(settings) / INDEX
        reports, pages = [], {}
        for name in known_features(settings):
            report = collect(settings, name, reporter, pictures=own)
            reports.append(report)
            if own:
                pages[name] = f"{name}.html"
                write_page(where.with_name(pages[name]), page(report), "report", make=True)
        write_page(where, index(reports, pages), "report", make=own)
    return reports, where
