"""The documentation builds without a warning, says what the code has, and asks nobody."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

import flows.cli
import flows.monitors.base
import flows.sources.base
from encoders import registry
from flows.commands._app import app
from flows.config.features import FeatureKeys
from flows.config.settings import Engine, Gc, IndexPolicy, Reports, Store
from flows.lifecycle.gates import Gates
from flows.operations.schedules import Keys as ScheduleKeys
from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

_ROW = re.compile(r"<tr>\s*<td><code>(\w+)</code></td>.*?<td>([^\n]*)</td>\s*</tr>", re.DOTALL)
"""Of a table of keys: the key, and what it means."""


class Asked(HTMLParser):
    """What a page would fetch by itself, from other hosts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        where = told.get("src") or (told.get("href") if tag == "link" else None) or ""
        if where.startswith(("http:", "https:", "//")) and told.get("rel") != "canonical":
            self.found.append(where)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The documentation, built where a warning is an error: links, anchors, pages left out."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(  # noqa: S603 - our own documentation
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=600,
        env={"NO_MKDOCS_2_WARNING": "1", "PATH": "", "HOME": str(folder)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def read(site: Path, name: str) -> str:
    return (site / name / "index.html").read_text("utf-8")


def test_every_command_is_there(site: Path) -> None:
    text = read(site, "reference/commands")
    named = {name for name in app if not name.startswith("-")}
    assert set(re.findall(r'id="vecmill-([a-z]+)"', text)) == named


@pytest.mark.parametrize("page", ["encoders", "sources", "monitors"])
def test_every_kind_and_key_is_there(site: Path, page: str) -> None:
    package = {
        "encoders": registry, "sources": flows.sources.base, "monitors": flows.monitors.base,
    }[page]  # fmt: skip
    text = read(site, f"reference/{page}")
    for kind in package.kinds():
        section = re.search(rf'<h2 id="{kind}">.*?(?=<h2 |</article>)', text, re.DOTALL)
        assert section is not None, kind
        keys = {field.name for field in fields(package.params_type(kind))}
        told = _ROW.findall(section[0])
        also = {"blocks"} if page == "monitors" else set[str]()
        assert {key for key, _ in told} == keys | also, kind
        assert [key for key, meaning in told if not meaning] == [], kind


def test_every_key_of_the_configuration_means_something(site: Path) -> None:
    told = dict(_ROW.findall(read(site, "reference/configuration")))
    for of in (Store, Engine, Gc, Reports, FeatureKeys, ScheduleKeys, IndexPolicy, Gates):
        for field in fields(of):
            assert told[field.name], field.name


def test_no_page_asks_anybody_for_anything(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 50
    assert {where for page in pages for where in Asked(page.read_text("utf-8")).found} == set()
