"""A secret that the configuration takes from the environment is written down nowhere."""

from __future__ import annotations

import json
import os
import secrets
from typing import TYPE_CHECKING

import pytest

from flows.config.configuration import load
from flows.config.settings import SettingsError
from flows.pipeline import fitting
from tests.conftest import PREFECT_HOME
from tests.flows.plugins import installed
from tests.flows.project import Project
from tests.processes import python

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.processes import Forking

RUN = """
import sys
from flows.cli import run_command
from tests.flows.plugins import installed
with installed():
    sys.exit(run_command(sys.argv[1:]))
"""
NAME = "VECMILL_TEST_TOKEN"


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    """A secret with what messages and addresses write otherwise."""
    value = f"s3'\\{secrets.token_hex(8)}+/ é"
    monkeypatch.setenv(NAME, value)
    return value


@pytest.fixture
def project(tmp_path: Path, secret: str) -> Iterator[Project]:
    assert secret  # it is to be there before the configuration is read
    keys = {
        "kind": "keyed",
        "token": f"${{{NAME}}}",
        "headers": {"Authorization": f"Bearer ${{{NAME}}}"},
        "prompt": f"${{{NAME}}}: ",
    }
    with installed():
        project = Project(tmp_path, encoder=keys, engine={"shard_size": 4})
        project.write([(n, f"text {n}", "x") for n in range(9)] + [(9, "FAIL", "x")])
        project.settings()
        yield project
    fitting.forget()


def holding(core: str, folders: Iterable[Path]) -> list[Path]:
    """The files that hold the core of the secret, which every way of writing it keeps."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if core.encode() in path.read_bytes()]


@pytest.mark.parametrize("breach", ["", "outage", "denied"])
def test_no_secret_is_stored_or_printed(
    forking: Forking, project: Project, secret: str, breach: str
) -> None:
    core, conf = secret[4:20], project.root / "vecmill.toml"
    project.encoder["breach"] = breach
    project.feature = {"max_dead": 0.5}
    project.settings()
    commands = (("run", "--direct"), ("dead",), ("status", "--json"))
    ran, *others = [forking.run(RUN, *command, "--conf", conf) for command in commands]
    told = "".join(said.out + said.err for said in (ran, *others))
    assert ran.code == (1 if breach else 0), told
    expected = {
        "": f"Bearer ${{{NAME}}}",
        "outage": "cannot reach https://***@example.org/",
        "denied": f"DeniedError: denied to ${{{NAME}}}",
    }
    assert expected[breach] in told
    assert core not in told
    assert holding(core, [project.root]) == []


@pytest.mark.slow
@pytest.mark.parametrize("breach", ["outage", "denied"])
def test_prefect_is_told_no_secret(project: Project, secret: str, breach: str) -> None:
    core = secret[4:20]
    project.encoder["breach"] = breach
    project.feature = {"max_dead": 0.5}
    project.settings()
    with python(RUN, "run", "--conf", project.root / "vecmill.toml") as child:
        told = "".join(child.communicate())
    assert child.returncode == 1, told
    assert ("***@" if breach == "outage" else f"${{{NAME}}}") in told
    assert core not in told
    assert holding(core, [project.root, PREFECT_HOME]) == []


def test_the_catalog_keeps_what_the_configuration_said(project: Project, secret: str) -> None:
    project.run()
    (version,) = project.versions()
    kept = json.dumps([dict(version.params), dict(version.recipe)])
    assert version.params["token"] == f"${{{NAME}}}"
    assert version.recipe["prompt"] == f"${{{NAME}}}: "
    assert secret not in json.loads(kept)[0].values()
    encoder = fitting.encoder_of(version, project.stores().states)
    assert encoder.params.token == secret  # type: ignore[attr-defined] # it is a Keyed


def test_a_rotated_secret_makes_no_new_version(
    project: Project, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.encoder["prompt"] = ""
    project.run()
    monkeypatch.setenv(NAME, secret[::-1])
    project.run()
    (version,) = project.versions()
    encoder = fitting.encoder_of(version, project.stores().states)
    assert encoder.params.token == secret[::-1]  # type: ignore[attr-defined] # it is a Keyed


def test_a_secret_that_is_gone_is_asked_for(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run()
    (version,) = project.versions()
    monkeypatch.delenv(NAME)
    with pytest.raises(SettingsError, match=rf"uses \$\{{{NAME}\}}, but .* is not set; set it"):
        fitting.encoder_of(version, project.stores().states)


def test_an_error_of_the_configuration_holds_no_secret(project: Project, secret: str) -> None:
    project.more = f'[store]\nvectors = ["${{{NAME}}}"]\n'
    with pytest.raises(SettingsError, match="vectors = ") as caught:
        project.settings()
    assert secret[4:20] not in f"{caught.value!s} {caught.value.__cause__}"
    assert f"${{{NAME}}}" in str(caught.value)


def test_what_only_looks_like_a_variable_stays(tmp_path: Path) -> None:
    with installed():
        project = Project(tmp_path, encoder={"kind": "keyed", "token": "$${NOT_A_VARIABLE}"})
        project.write([(1, "text", "x")])
        project.run()
        (version,) = project.versions()
        encoder = fitting.encoder_of(version, project.stores().states)
    fitting.forget()
    assert encoder.params.token == "${NOT_A_VARIABLE}"  # type: ignore[attr-defined] # noqa: S105 - a Keyed; no secret


def test_paths_from_the_environment_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "minilm").mkdir()
    monkeypatch.setenv(NAME, "minilm")
    path = tmp_path / "vecmill.toml"
    path.write_text(
        '[encoders.a]\nkind = "sentence"\nmodel = "weights/${VECMILL_TEST_TOKEN}"\n'
        '[sources.s]\nkind = "files"\npath = "*"\n[features.f]\nsource = "s"\nencoder = "a"\n'
    )
    plugin = load(path).feature("f").encoder
    kept = fitting.params_of(plugin)["model"]
    assert kept == f"{tmp_path}/./weights/${{{NAME}}}"
    assert plugin.params.model == kept.replace(f"${{{NAME}}}", os.environ[NAME])


def test_a_plan_tells_what_differs_and_no_secret(project: Project, secret: str) -> None:
    project.run()
    project.encoder["prompt"] = f"${{{NAME}}} is: "
    row = project.plan().row()
    assert row["changes"] == [
        {"key": "prompt", "was": f"${{{NAME}}}: ", "becomes": f"${{{NAME}}} is: "}
    ]
    assert secret not in str(row)
