"""What a release carries, and that it runs where nothing of the repository is."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

_BUILD = "import sys, hatchling.build as build; print(build.build_{}(sys.argv[1]))"

hatchling = pytest.importorskip("hatchling.build")


def made(kind: str, folder: Path) -> Path:
    """Build a release as a build front end has hatchling do it, in a process of its own."""
    done = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-c", _BUILD.format(kind), str(folder)],
        cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    return folder / done.stdout.split()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    with zipfile.ZipFile(made("wheel", folder)) as file:
        file.extractall(folder / "unpacked")  # noqa: S202 - made a moment ago, by us
    return folder / "unpacked"


def run(wheel: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "flows.cli", *arguments],
        cwd=home, capture_output=True, text=True, check=False, timeout=600,
        env={"PYTHONPATH": str(wheel), "PATH": "", "HOME": str(home)},
    )  # fmt: skip


def test_it_carries_all_that_the_packages_read(wheel: Path) -> None:
    for package in ("encoders", "flows", "storage"):
        tracked = {
            path.relative_to(REPOSITORY)
            for path in (REPOSITORY / package).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        assert {path for path in tracked if not (wheel / path).is_file()} == set()
    assert not (wheel / "tests").exists()


@pytest.mark.slow
def test_it_runs_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [sys.executable, "-c", "import flows; print(flows.__file__)"],
        cwd=tmp_path, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(wheel)},
    )  # fmt: skip
    assert where.stdout.startswith(str(wheel))
    rows = "".join(f"r{n},{n % 7},{n % 5}\n" for n in range(60))
    (tmp_path / "rows.csv").write_text(f"id,width,height\n{rows}", encoding="utf-8")
    for arguments in (
        ["init", "rows.csv", "--yes"], ["run", "--direct"], ["search", "rows", "--id", "r0"],
    ):  # fmt: skip
        done = run(wheel, tmp_path, *arguments)
        assert done.returncode == 0, done.stderr
    assert "r35" in done.stdout  # as wide and as high


def test_the_source_release_has_what_its_makefile_needs(tmp_path: Path) -> None:
    with tarfile.open(made("sdist", tmp_path)) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    needed = {
        "Makefile", "constraints.txt", "constraints-use.txt", "pyproject.toml", "README.md",
        "CHANGELOG.md", "LICENSE", "mkdocs.yml", "conf/base.toml", "conf/demo.toml",
        "conf/test.toml", "docs/concepts.md", "docs/_build/reference.py", "tests/conftest.py",
        "tests/faults/shim.c", "tests/releases/release-0.1.tar.gz", "flows/config/starter.toml",
    }  # fmt: skip
    assert needed - names == set()
    assert not {name for name in names if name.startswith(("data/", ".venv"))}
