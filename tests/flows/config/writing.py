"""Configurations, written where a test may read them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from flows.config.configuration import load
from flows.config.settings import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

PLUGINS = """
[sources.news]
kind = "table"
path = "news.csv"
[encoders.mini]
kind = "mfcc"
"""
FEATURE = PLUGINS + '[features.articles]\nsource = "news"\nencoder = "mini"\n'


def write(folder: Path, **files: str) -> Path:
    """Write ``NAME.toml`` into ``conf``; the path of ``main.toml``, or else of the first."""
    conf = folder / "conf"
    conf.mkdir(exist_ok=True)
    for name, text in files.items():
        (conf / f"{name}.toml").write_text(text, encoding="utf-8")
    return conf / ("main.toml" if "main" in files else f"{next(iter(files))}.toml")


def check_refused(folder: Path, text: str, said: str) -> None:
    """Check that a configuration is not taken, and what is said of it."""
    with pytest.raises(SettingsError, match=re.escape(said)):
        load(write(folder, main=text))
