"""The doctor: what is wrong is a finding of its own, never its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flows import doctor
from flows.doctor import Check, examine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flows.project import Project


def look(conf: Path) -> dict[str, Check]:
    checks = list(examine(conf))
    by_name = {check.check: check for check in checks}
    assert len(by_name) == len(checks), "a check is named twice"
    assert all(check.advice for check in checks if check.state != "fine")
    return by_name


def test_a_sound_project_has_nothing_broken(project: Project) -> None:
    project.write([("a", "wheel", "x")])
    project.run()
    checks = look(project.settings().conf)
    assert [c for c in checks.values() if c.state == "broken"] == []
    assert checks["catalog"].found.endswith("catalog.duckdb, 1 runs")
    assert checks["configuration"].found.startswith("notes in ")
    assert checks["torch"].state == "fine"
    assert checks["compute"].found.partition(" ")[0] != ""
    assert "53aa51172d14" in checks["text model"].found


def test_a_broken_configuration_is_told_and_the_rest_is_looked_at(project: Project) -> None:
    project.more = "[featurs]\n"
    path = project.root / "vecmill.toml"
    path.write_text("[featurs]\n", encoding="utf-8")
    checks = look(path)
    assert checks["configuration"].state == "broken"
    assert "did you mean 'features'?" in checks["configuration"].found
    assert "catalog" not in checks
    assert {"python", "compute", "text model", "prefect server"} <= set(checks)


def test_a_missing_configuration_is_told(tmp_path: Path) -> None:
    checks = look(tmp_path / "nope.toml")
    assert checks["configuration"].state == "broken"
    assert "vecmill init" in checks["configuration"].found


def test_a_store_that_is_not_there_yet_is_no_fault(project: Project) -> None:
    checks = look(project.settings().conf)
    assert (checks["catalog"].state, checks["disk"].state) == ("note", "fine")
    assert not (project.root / "data").exists()


def test_a_catalog_that_is_no_database_is_told(project: Project) -> None:
    settings = project.settings()
    settings.catalog.parent.mkdir()
    settings.catalog.write_bytes(b"this is not a database" * 1000)
    check = look(settings.conf)["catalog"]
    assert check.state == "broken"
    assert str(settings.catalog) in check.found
    assert settings.catalog.read_bytes() == b"this is not a database" * 1000


def test_a_store_whose_folder_is_a_file_is_told(project: Project) -> None:
    (project.root / "data").write_text("in the way")
    check = look(project.settings().conf)["disk"]
    assert (check.state, check.found) == ("broken", f"{project.root / 'data'} is not a folder")


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:4200/api"])
def test_the_prefect_server_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch, url: str | None
) -> None:
    if url:
        monkeypatch.setenv("PREFECT_API_URL", url)
    check = look(project.settings().conf)["prefect server"]
    assert (check.state, check.found == url) == (("fine", True) if url else ("note", False))


def test_a_missing_package_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_PACKAGES", ("polars", "no-such-package"))
    checks = look(project.settings().conf)
    assert checks["no-such-package"].state == "broken"
    assert "pip install" in checks["no-such-package"].advice
    assert checks["polars"].state == "fine"
