"""Files that are seen whole or not at all."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from storage import swaps


@pytest.mark.parametrize("hidden", [False, True])
def test_what_fails_half_way_leaves_what_was_there(tmp_path: Path, *, hidden: bool) -> None:
    target = tmp_path / "kept.txt"
    target.write_text("before", "utf-8")
    with pytest.raises(ValueError, match="half way"):
        _fail(target, hidden=hidden)
    assert target.read_text("utf-8") == "before"
    assert list(tmp_path.iterdir()) == [target]


def _fail(target: Path, *, hidden: bool) -> None:
    with swaps.whole(target, hidden=hidden) as fresh:
        fresh.write_text("half", "utf-8")
        raise ValueError("half way")


@pytest.mark.parametrize("durable", [False, True])
def test_it_is_not_seen_until_it_is_whole(tmp_path: Path, *, durable: bool) -> None:
    target = tmp_path / "map.png"
    with swaps.whole(target, durable=durable, hidden=True, ending=".png") as fresh:
        fresh.write_text("whole", "utf-8")
        assert fresh.suffix == ".png"
        assert fresh.name.startswith(".map.png.")
        assert not target.exists()
    assert target.read_text("utf-8") == "whole"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_not_there_is_the_error(tmp_path: Path) -> None:
    target = tmp_path / "nowhere" / "a.txt"
    with pytest.raises(FileNotFoundError), swaps.whole(target) as fresh:
        fresh.write_text("x", "utf-8")


def folder(path: Path, text: str) -> Path:
    path.mkdir()
    (path / "a.txt").write_text(text, "utf-8")
    return path


def test_a_folder_is_put_where_there_is_none(tmp_path: Path) -> None:
    target = tmp_path / "target"
    swaps.put(folder(tmp_path / "fresh", "new"), target, tmp_path / "old")
    assert (target / "a.txt").read_text("utf-8") == "new"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("relative", [False, True])
def test_a_folder_is_put_in_the_place_of_another_which_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, relative: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    here = Path() if relative else tmp_path
    target = folder(here / "target", "before")
    fresh, old = folder(here / "fresh", "new"), here / "old"
    swaps.put(fresh, target, old)
    assert (target / "a.txt").read_text("utf-8") == "new"
    (kept,) = {*here.iterdir()} - {target}
    assert kept == (fresh if sys.platform in {"linux", "darwin"} else old)
    assert (kept / "a.txt").read_text("utf-8") == "before"


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has the call that is looked for")
def test_where_folders_cannot_be_exchanged_one_is_moved_away_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, old = folder(tmp_path / "target", "before"), tmp_path / "old"
    fresh = folder(tmp_path / "fresh", "new")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(sys, "platform", "darwin")  # whose call is none of Linux's
        swaps.put(fresh, target, old)
    assert {*tmp_path.iterdir()} == {target, old}
    assert [(path / "a.txt").read_text("utf-8") for path in (target, old)] == ["new", "before"]


def test_a_file_is_put_in_the_place_of_a_link_and_not_of_what_it_leads_to(tmp_path: Path) -> None:
    there, target, fresh = tmp_path / "there", tmp_path / "target", tmp_path / "fresh"
    target.symlink_to(folder(there, "before"))
    fresh.write_text("new", "utf-8")
    swaps.put(fresh, target, tmp_path / "old")
    assert (target.is_symlink(), target.read_text("utf-8")) == (False, "new")
    assert (there / "a.txt").read_text("utf-8") == "before"


def test_the_files_of_a_folder_are_settled(tmp_path: Path) -> None:
    swaps.settle(folder(tmp_path / "whole", "new"))
    with pytest.raises(FileNotFoundError):
        swaps.settle(tmp_path / "nowhere")
