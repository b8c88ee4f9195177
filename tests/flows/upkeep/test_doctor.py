"""The doctor: what is wrong is a finding of its own, never its end."""

from __future__ import annotations

import shutil
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from flows.output.progress import Silent
from flows.sources.base import SourceError
from flows.upkeep import doctor
from flows.upkeep.doctor import Check, examine
from flows.upkeep.erase import Eraser
from storage import cleaning
from storage.locks import exclusive
from storage.model import StorageError
from tests.flows.interruptions import Interruption, Stopping, stop

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
    assert checks["catalog"].found.endswith("catalog.duckdb, 1 run")
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
    assert "`vecmill check`" in checks["configuration"].advice
    assert "catalog" not in checks
    assert {"python", "compute", "text model", "prefect server"} <= set(checks)


def test_a_missing_configuration_is_told(tmp_path: Path) -> None:
    checks = look(tmp_path / "nope.toml")
    assert checks["configuration"].state == "broken"
    assert "vecmill init" in checks["configuration"].found
    assert "--conf" in checks["configuration"].advice


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


def test_the_prefect_server_is_told(project: Project) -> None:
    check = look(project.settings().conf)["prefect server"]
    assert (check.state, check.found) == ("note", "none named, so each process starts its own")


def test_a_prefect_server_is_asked_whether_it_is_there(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Nothing) as server:
        url = f"http://127.0.0.1:{server.server_port}/api"
        server.timeout = 10.0  # seconds, so that one who asks nothing fails and does not hang
        monkeypatch.setenv("PREFECT_API_URL", url)
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        check = look(project.settings().conf)["prefect server"]
        answering.join()
    assert (check.state, check.found) == ("fine", url)
    check = look(project.settings().conf)["prefect server"]
    assert check.state == "broken"
    assert check.found.startswith(f"{url} does not answer (ConnectError: ")
    assert "--direct" in check.advice


def test_what_an_encoder_learned_is_missed(project: Project) -> None:
    project.encoder = {"kind": "lsa", "dim": 2}
    project.write([(n, f"text {n} of word{n % 7} and word{n % 3}", "x") for n in range(50)])
    project.run()
    assert "encoder of notes_v1" not in look(project.settings().conf)
    [state] = (project.root / "data" / "states").iterdir()
    state.unlink()
    checks = look(project.settings().conf)
    check = checks["encoder of notes_v1"]
    assert (check.state, check.found) == ("broken", f"what it learned is missing: {state}")
    assert "restore it from a backup" in check.advice
    assert checks["table notes_v1"].state == "fine"


def test_a_missing_package_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_PACKAGES", ("polars", "no-such-package"))
    checks = look(project.settings().conf)
    assert checks["no-such-package"].state == "broken"
    assert "pip install" in checks["no-such-package"].advice
    assert checks["polars"].state == "fine"


def table_files(project: Project) -> list[Path]:
    return sorted((project.root / "data" / "vectors" / "notes_v1.lance" / "data").glob("*.lance"))


def published(project: Project) -> dict[str, Check]:
    project.write([(n, f"text {n}", "x") for n in range(50)])
    project.run()
    return look(project.settings().conf)


def test_published_tables_are_opened(project: Project) -> None:
    check = published(project)["table notes_v1"]
    assert (check.state, check.found) == ("fine", "50 rows, as published (live)")


def test_a_file_that_is_cut_off_is_told(project: Project) -> None:
    published(project)
    (file,) = table_files(project)
    file.write_bytes(file.read_bytes()[:-200])
    check = look(project.settings().conf)["table notes_v1"]
    assert check.state == "broken"
    assert "'notes_v1' cannot be read" in check.found
    assert f"{check.found} {check.advice}".count("one backup") == 1


def test_a_file_that_is_gone_is_told(project: Project) -> None:
    published(project)
    table_files(project)[0].unlink()
    check = look(project.settings().conf)["table notes_v1"]
    assert check.state == "broken"
    assert "misses a file" in check.found


def test_a_run_that_failed_is_told_with_its_log(project: Project) -> None:
    project.write([("a", "text", "x")])
    project.run()
    project.source = {"path": "gone.csv"}
    with pytest.raises(SourceError, match="no file matches"):
        project.run()
    check = look(project.settings().conf)["runs of notes"]
    assert (check.state, check.found[:34]) == ("note", "the last one failed: no file match")
    assert project.runs()[-1]["run_id"] in check.advice


def test_a_table_that_is_gone_is_told(project: Project) -> None:
    published(project)
    shutil.rmtree(project.root / "data" / "vectors" / "notes_v1.lance")
    check = look(project.settings().conf)["table notes_v1"]
    assert check.state == "broken"
    assert "'notes_v1' cannot be opened" in check.found


def test_vectors_that_are_looked_for_elsewhere_are_told_and_no_folder_is_made(
    project: Project,
) -> None:
    published(project)
    vectors = project.root / "data" / "vectors"
    vectors.rename(vectors.with_name("moved"))
    check = look(project.settings().conf)["table notes_v1"]
    assert "[store] vectors names another place than before, set it back" in check.found
    assert f"{check.found} {check.advice}".count("one backup") == 1
    with pytest.raises(StorageError, match="there is no folder"):
        project.plan()
    project.stores().vectors.drop("notes_v1")
    assert not vectors.exists()


def test_a_catalog_that_is_not_of_these_vectors_is_told(project: Project) -> None:
    published(project)
    catalog = project.stores().catalog
    with catalog.transaction() as con:
        con.execute("UPDATE manifests SET rows = 49")
    assert "50 rows, its manifest says 49" in look(project.settings().conf)["table notes_v1"].found
    with catalog.transaction() as con:
        con.execute("UPDATE manifests SET lance_version = 7")
    check = look(project.settings().conf)["table notes_v1"]
    assert (check.state, "no Lance version 7" in check.found) == ("broken", True)


def test_earlier_states_that_are_not_there_are_told(project: Project) -> None:
    published(project)
    project.write([(n, f"text {n}", "y") for n in range(50)])
    project.run()
    vectors = project.stores().vectors
    cleaning.remove_states(vectors, "notes_v1", cleaning.physical(vectors, "notes_v1").versions)
    checks = look(project.settings().conf)
    assert checks["table notes_v1"].state == "fine"
    assert checks["earlier states of notes_v1"].found.startswith("1 that the catalog names")


def test_what_a_killed_run_left_is_told(project: Project) -> None:
    project.write([(n, f"text {n}", "x") for n in range(50)])
    with pytest.raises(Interruption, match="stopped here"):
        project.run(Stopping(point="encode", how=stop))
    with project.stores().catalog.transaction() as con:
        con.execute("UPDATE runs SET status = 'running'")
    checks = look(project.settings().conf)
    assert checks["runs of notes"].state == "note"
    assert "files of runs" in checks["staging"].found
    with exclusive(project.stores().locks / "notes.lock", "notes", 1.0, lambda _: None):
        assert look(project.settings().conf)["runs of notes"].found == "one is under way"


def test_an_erasure_that_was_broken_off_is_told(project: Project) -> None:
    published(project)
    eraser = Eraser(project.settings(), "notes", ["3"], Stopping(point="states", how=stop))
    with pytest.raises(Interruption, match="stopped here"):
        eraser.erase(Silent())
    check = look(project.settings().conf)["erasure of notes"]
    assert (check.state, "vecmill erase notes" in check.advice) == ("broken", True)


def test_a_catalog_with_a_damaged_block_is_told(project: Project) -> None:
    published(project)
    path = project.settings().catalog
    damaged = bytearray(path.read_bytes())
    for at in range(12_288, len(damaged), 4096):
        damaged[at + 100 : at + 200] = b"\xff" * 100
    path.write_bytes(bytes(damaged))
    broken = [c for c in look(project.settings().conf).values() if c.state == "broken"]
    assert broken
    assert "from one backup" in broken[0].advice


@pytest.mark.parametrize("command", [["sql", "FROM notes"], ["search", "notes", "--id", "3"]])
def test_readers_of_a_damaged_table_are_told_what_helps(
    project: Project, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    published(project)
    (file,) = table_files(project)
    file.write_bytes(file.read_bytes()[:-200])
    assert run_command([*command, "--conf", str(project.settings().conf)]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "cannot be read" in told
    assert "one backup" in told
    assert "Traceback" not in told
