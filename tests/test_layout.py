"""The shape of the repository: what is promised of it and checked by no linter."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.metadata import version

import pytest

from encoders import registry
from flows.config.configuration import load
from flows.config.starter import STARTER
from flows.demo.project import CARRIED
from tests.conftest import LONG, REPOSITORY


def test_these_are_all_the_packages() -> None:
    found = {path.parent.name for path in REPOSITORY.glob("*/__init__.py")}
    assert found == {"encoders", "flows", "storage", "tests"}
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert set(wheel) == found - {"tests"}
    for package in wheel:
        assert (REPOSITORY / package / "py.typed").is_file()


def test_the_starter_is_the_worked_example() -> None:
    assert STARTER.read_text("utf-8") == (REPOSITORY / "conf" / "base.toml").read_text("utf-8")


def test_the_demo_carries_its_configuration() -> None:
    assert CARRIED.read_text("utf-8") == (REPOSITORY / "conf" / "demo.toml").read_text("utf-8")


@pytest.mark.parametrize("name", ["base", "demo", "test"])
def test_configurations_load(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = REPOSITORY / "conf" / f"{name}.toml"
    for variable in re.findall(r"(?<!\$)\$\{(\w+)\}", file.read_text("utf-8")):
        monkeypatch.setenv(variable, "http://given")  # good as an address and as a name
    assert load(file).root == REPOSITORY


def test_every_encoder_kind_stands_in_the_test_configuration() -> None:
    with (REPOSITORY / "conf" / "test.toml").open("rb") as file:
        entries = tomllib.load(file)["encoders"].values()
    assert {entry["kind"] for entry in entries} == set(registry.kinds())


def test_the_changelog_has_a_section_for_what_is_installed_or_to_come() -> None:
    headings = [
        line.removeprefix("## ").split(" ")[0]
        for line in (REPOSITORY / "CHANGELOG.md").read_text("utf-8").splitlines()
        if line.startswith("## ")
    ]
    assert headings[0] in {"Unreleased", version("vecmill")}


def test_nothing_private_or_made_is_tracked() -> None:
    done = subprocess.run(
        ["git", "ls-files", "data", ".cache", "conf/local.toml", "*.duckdb", "*.pkl", "uv.lock"],  # noqa: S607 - whichever git there is
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip("not a git checkout: nothing can be tracked")
    assert done.stdout == ""


def test_files_that_are_to_come_first_are_there() -> None:
    gone = [name for name in LONG if not (REPOSITORY / "tests" / name).is_file()]
    assert gone == [], "what took long has another name or is gone: mend LONG in tests/conftest.py"
