"""Files that are damaged: an error that says which and what helps, or work that is done again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage.ids import hash_text
from tests.faults.observed import logged
from tests.faults.trials import Mode

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.faults.outcome import Twin
    from tests.faults.trials import Trials

pytestmark = pytest.mark.slow

RUN = ("run", "--direct")
ONE_BACKUP = "from one backup"


def cut(path: Path) -> None:
    """Leave half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    """Leave nothing of it."""
    path.write_bytes(b"")


def spoil(path: Path) -> None:
    """Flip bits in the middle of a file."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 64] = bytes(byte ^ 0x5A for byte in data[middle : middle + 64])
    path.write_bytes(data)


def overwrite(path: Path) -> None:
    """Put another program's words in its place."""
    path.write_bytes(b"SQLite format 3\0" + bytes(8192))


@pytest.mark.parametrize("damage", [cut, empty, overwrite])
def test_a_damaged_catalog_is_told(
    trials: Trials, twin_of: Callable[[str], Twin], damage: Callable[[Path], None]
) -> None:
    root = trials.copy(twin_of("next").base, "damaged")
    catalog = root / "data/catalog.duckdb"
    whole = catalog.read_bytes()
    damage(catalog)
    for argv in (RUN, ("sql", "FROM notes")):
        ended = trials.run(root, *argv)
        assert ended.code == 1, ended.err
        assert f"the catalog {catalog}" in ended.err
        assert ONE_BACKUP in ended.err
        assert "Traceback" not in ended.err
    catalog.write_bytes(whole)
    check_mended(trials, twin_of("next"), root)


@pytest.mark.parametrize("pattern", ["_versions/*.manifest", "data/*"])
@pytest.mark.parametrize("damage", [cut, empty])
def test_a_damaged_table_is_told(
    trials: Trials,
    twin_of: Callable[[str], Twin],
    damage: Callable[[Path], None],
    pattern: str,
) -> None:
    root = trials.copy(twin_of("next").base, "damaged")
    (file,) = (root / "data/vectors/notes_v1.lance").glob(pattern)
    whole = file.read_bytes()
    damage(file)
    ended = trials.run(root, *RUN)
    assert ended.code == 1, ended.err
    assert "backup" in ended.err
    assert "Traceback" not in ended.err
    assert trials.run(root, "sql", "SELECT sum(vector[1]) FROM notes").code in {1, 2}
    file.write_bytes(whole)
    check_mended(trials, twin_of("next"), root)


@pytest.mark.parametrize("damage", [cut, empty, spoil])
def test_a_damaged_receipt_is_made_anew(
    trials: Trials, twin_of: Callable[[str], Twin], damage: Callable[[Path], None]
) -> None:
    root, twin = killed_with_receipts(trials, twin_of)
    staged = sorted((root / "data/staging").rglob("staged-*.parquet"))
    damage(staged[0])
    sound = set(trials.look(root)["staged"])
    logged(root)
    ended = trials.run(root, *RUN)
    assert ended.code == 0, ended.err
    assert "1 staged files of an earlier run cannot be read" in ended.err
    assert sound
    assert not {hash_text(text) for text in logged(root)} & sound
    assert trials.look(root) == twin.after


def killed_with_receipts(trials: Trials, twin_of: Callable[[str], Twin]) -> tuple[Path, Twin]:
    """A project whose run was killed after some shards were encoded."""
    twin = twin_of("next")
    root = trials.copy(twin.base, "damaged")
    at = twin.changes // 2
    while len(list((root / "data/staging").rglob("staged-*.parquet"))) < 2:
        root = trials.copy(twin.base, "damaged")
        assert trials.run(root, *RUN, mode=Mode.KILL, at=at).killed
        at += 6
    return root, twin


def check_mended(trials: Trials, twin: Twin, root: Path) -> None:
    """The fault is mended: the next run ends as an undisturbed one."""
    ended = trials.run(root, *RUN)
    assert ended.code == twin.code, ended.err
    assert trials.look(root) == twin.after
