"""Files that are seen whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage import swaps

if TYPE_CHECKING:
    from pathlib import Path


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
