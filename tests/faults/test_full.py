"""A disk that is full or cannot be written: an error that says so, and nothing half done."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.faults.scenes import SCENES, instants
from tests.faults.trials import Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.faults.outcome import Twin
    from tests.faults.trials import Ended, Trials
    from tests.flows.project import Project

WORDS = {Mode.FULL: "the disk is full: make room", Mode.READ_ONLY: "mount it for writing"}


def check_told(ended: Ended, mode: Mode, code: int) -> None:
    """It says what is wrong, or was done before it could meet it."""
    assert ended.code in {1, code}, ended.err
    assert "a fault of Vecmill's" not in ended.err
    if ended.code == 1:
        assert WORDS[mode] in ended.err or "cannot write the export" in ended.err, ended.err


def test_a_full_disk_is_told_and_made_good(trials: Trials, twin_of: Callable[[str], Twin]) -> None:
    twin = twin_of("next")
    for at in instants(twin.changes * 3 // 4, 2, seed=1):
        ended = twin.strike(trials, Mode.FULL, at)
        check_told(ended, Mode.FULL, 1)


@pytest.mark.slow
@pytest.mark.parametrize("mode", WORDS)
@pytest.mark.parametrize("name", SCENES)
def test_a_disk_that_fails_anything_is_told_and_made_good(
    trials: Trials, twin_of: Callable[[str], Twin], name: str, mode: Mode
) -> None:
    twin = twin_of(name)
    for at in instants(twin.changes, 1, seed=len(name)):
        check_told(twin.strike(trials, mode, at), mode, twin.code)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes; skips where none may be mounted."""
    folder, mount = tmp_path / "small", shutil.which("mount")
    folder.mkdir()
    if mount is None:
        pytest.skip("there is no `mount` here")
    command = [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode:  # noqa: S603 - our own folder
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S603, S607 - found beside mount


@pytest.mark.slow
@pytest.mark.parametrize("form", ["npy", "parquet", "arrow"])
def test_an_export_to_a_disk_that_is_truly_full_leaves_what_was_there(
    trials: Trials, project: Project, small: Path, form: str
) -> None:
    project.encoder = {"dim": 2048}
    project.write([(n, f"text {n}", "x") for n in range(100)])
    project.run()
    target = small / "out"
    ended = trials.run(
        project.root, "export", "notes", "--format", form, "--output", str(target), "--where",
        "record_id = '1'",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    before = {path: path.stat().st_size for path in small.rglob("*") if path.is_file()}
    filler = small / "filler"
    with filler.open("wb") as file:
        file.write(bytes(1_400_000))
    ended = trials.run(project.root, "export", "notes", "--format", form, "--output", str(target))
    assert ended.code == 1, (ended.code, ended.err)
    assert "No space left on device" in ended.err
    filler.unlink()
    assert {path: path.stat().st_size for path in small.rglob("*") if path.is_file()} == before
