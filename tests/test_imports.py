"""Heavy libraries are loaded by what needs them, and by nothing that only passes by."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import encoders
import flows.monitors
import flows.sources

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

HEAVY = frozenset(
    {"duckdb", "lance", "lancedb", "polars", "prefect", "pyarrow", "scipy", "sklearn"}
    | {"sentence_transformers", "torch", "torchvision", "transformers", "PIL", "soundfile"}
)


SLOW_TO_LOAD = frozenset({"markdown_it", "numpy", "pygments"})
"""Not heavy, but each takes a third of what the list of commands may."""


NOTES = """
[sources.notes]
kind = "table"
path = "notes.csv"
id = "id"
content = "text"

[encoders.letters]
kind = "letters"
log = "/dev/null"

[features.notes]
source = "notes"
encoder = "letters"
"""


def loaded_by(statement: str, looked_for: frozenset[str] = HEAVY) -> set[str]:
    """Those libraries that a fresh interpreter has loaded after a statement."""
    tell = "import json, sys; print(json.dumps(sorted(m for m in sys.modules if '.' not in m)))"
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", f"{statement}\n{tell}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    modules: list[str] = json.loads(done.stdout.splitlines()[-1])
    return set(modules) & looked_for


def names_in(package: ModuleType) -> list[str]:
    return [f"{package.__name__}.{m.name}" for m in pkgutil.iter_modules(package.__path__)]


WITH_TORCH = {"encoders._dataset"}
"""Its class is one of torch's; `encoders.dataset` brings it when it is asked for."""
PLUGINS = sorted(
    {*names_in(encoders), *names_in(flows.sources), *names_in(flows.monitors)} - WITH_TORCH
)


def test_the_probe_sees_what_is_loaded() -> None:
    assert loaded_by("import polars") >= {"polars"}


@pytest.mark.parametrize(
    "statement",
    [
        "import encoders, encoders.base, storage, storage.ids, storage.model",
        "import flows.cli",
        "from flows.cli import run_command; assert run_command(['--help']) == 0",
        "from flows.cli import run_command; assert run_command(['run', '--help']) == 0",
        "from flows.cli import run_command; assert run_command(['--version']) == 0",
        "import flows.config.configuration; flows.config.configuration.load()",
        "import flows.upkeep.doctor, flows.output.progress",
        "import flows.config.starter, flows.output.console",
    ],
)
def test_nothing_heavy_is_loaded(statement: str) -> None:
    assert loaded_by(statement) == set()


def test_the_list_of_commands_loads_little() -> None:
    ask = "from flows.cli import run_command; assert run_command(['--help']) == 0"
    assert loaded_by(ask, SLOW_TO_LOAD) == set()
    # The probe sees them where they are: the words of a command have markup.
    assert "markdown_it" in loaded_by(ask.replace("'--help'", "'run', '--help'"), SLOW_TO_LOAD)


def test_no_plugin_loads_anything_heavy_by_being_imported() -> None:
    assert {"encoders.vision", "flows.sources.table", "flows.monitors.drift"} <= set(PLUGINS)
    together = loaded_by("\n".join(f"import {name}" for name in PLUGINS))
    culprits = [name for name in PLUGINS if loaded_by(f"import {name}")] if together else []
    assert culprits == []


def test_a_run_without_prefect_does_not_load_it() -> None:
    assert "prefect" not in loaded_by(
        "import flows.runner, flows.pipeline.stages, flows.monitoring.looking"
    )


def test_prefect_is_not_started_for_a_feature_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "conf.toml").write_text(NOTES, encoding="utf-8")
    conf = ["--conf", str(tmp_path / "conf.toml")]
    asked = (["monitor", "nots"], ["backfill", "nots", "--since", "2026-01-01"], ["fit", "nots"])
    begun = "from tests.flows.plugins import install; install(); from flows.cli import run_command"
    lines = [f"assert run_command({[*words, *conf]!r}) == 2" for words in asked]
    assert "prefect" not in loaded_by("\n".join([begun, *lines]))


def test_a_command_loads_only_what_it_reads_and_writes_with(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("id,text\na,one\nb,two\n", encoding="utf-8")
    (tmp_path / "conf.toml").write_text(NOTES, encoding="utf-8")
    begun = "from tests.flows.plugins import install; install(); from flows.cli import run_command"

    def loaded_by_commands(*commands: list[str]) -> set[str]:
        conf = ["--conf", str(tmp_path / "conf.toml")]
        asked = [f"assert run_command({[*words, *conf]!r}) == 0" for words in commands]
        return loaded_by("; ".join([begun, *asked]))

    # LanceDB, which takes a second to import, is for those who search by words.
    run = ["run", "--direct", "--full"]
    assert loaded_by_commands(run) == {"duckdb", "lance", "polars", "pyarrow"}
    assert loaded_by_commands(run) == {"duckdb", "lance", "polars", "pyarrow"}
    near = ["search", "notes"]
    asked = [["status"], ["sql", "FROM notes"], [*near, "--id", "a"], [*near, "--text", "one"]]
    assert loaded_by_commands(*asked) == {"duckdb", "lance", "pyarrow"}
