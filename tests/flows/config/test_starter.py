"""The starter configuration: never over somebody's work, and of use once its comments are off."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from flows.config import starter
from flows.config.configuration import load
from flows.config.settings import SettingsError
from flows.engines.engine import Direct
from flows.output.progress import Silent
from flows.pipeline import stages as pipeline

if TYPE_CHECKING:
    from pathlib import Path

SECTION = re.compile(r"^# \[([\w.]+)\]\n(?:# .*\n)*", re.MULTILINE)


def uncommented(text: str, *names: str) -> str:
    """The starter with the comments of some sections taken off."""

    def bare(match: re.Match[str]) -> str:
        return re.sub("^# ", "", match[0], flags=re.MULTILINE) if match[1] in names else match[0]

    return SECTION.sub(bare, text)


def test_it_loads_as_it_is(tmp_path: Path) -> None:
    path = starter.write(tmp_path / "new" / "project")
    loaded = load(path)
    assert (loaded.root, loaded.features) == (tmp_path / "new" / "project", {})


def test_it_loads_with_every_comment_taken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DB_PASSWORD", "a-word-of-the-test")
    path = starter.write(tmp_path)
    text = path.read_text("utf-8")
    names = [match[1] for match in SECTION.finditer(text)]
    named = {"articles", "photos", "orders", "customers"}
    assert {f"sources.{name}" for name in named} < set(names)
    path.write_text(uncommented(text, *names), encoding="utf-8")
    feature = load(path).feature("articles")
    assert (feature.source.kind, feature.encoder.kind) == ("table", "sentence")
    assert [monitor.kind for monitor in feature.monitors] == ["drift", "health"]
    assert (feature.history, feature.update, feature.gates.min_overlap) == (True, "both", 0.5)


def test_it_does_not_write_over_anything(tmp_path: Path) -> None:
    path = starter.write(tmp_path)
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"base\.toml is there already; edit it, or let"):
        starter.write(tmp_path)
    assert path.read_text("utf-8") == "mine"


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(SettingsError, match=r"cannot write .*: Not a directory; name another"):
        starter.write(file)


@pytest.mark.slow
def test_it_runs_with_one_feature_over_a_small_table(tmp_path: Path) -> None:
    path = starter.write(tmp_path)
    text = uncommented(path.read_text("utf-8"), "sources.articles", "features.articles")
    path.write_text(text, encoding="utf-8")
    (tmp_path / "news").mkdir()
    rows = [f"{i},A title {i},A body {i},2026-01-0{i},tests" for i in range(1, 7)]
    news = tmp_path / "news" / "january.csv"
    news.write_text("\n".join(["id,title,body,published_at,label", *rows]), encoding="utf-8")
    outcome = pipeline.embed(load(path), "articles", Direct(), Silent())
    assert (outcome.rows, outcome.counts.dead, outcome.standing) == (6, 0, "live")
