"""Runs on a real Ray cluster: as local ones, whatever becomes of the workers."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flows.refusals import RunError
from flows.runner import runner
from flows.progress import Silent
from tests.conftest import REPOSITORY
from tests.flows.project import Project
from tests.flows.sources.servers import PASSWORD

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'vecmill[ray]'")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.engine import Engine

pytestmark = pytest.mark.slow

ROWS = [(n, f"text {n % 50}", f"label {n % 3}") for n in range(60)]
SECRET = "correct-horse-battery"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cluster on this machine, of four cores and two GPUs so called; the folder of its logs."""
    environment = {
        "PYTHONPATH": str(REPOSITORY), "VECMILL_KEY": SECRET, "OMP_NUM_THREADS": "",
    }  # fmt: skip
    context = ray.init(
        num_cpus=4,
        num_gpus=2,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        runtime_env={
            "env_vars": environment,
            "worker_process_setup_hook": "tests.flows.plugins.install",
        },
    )
    yield Path(context.address_info["session_dir"]) / "logs"
    ray.shutdown()


def engine(project: Project, **keys: Any) -> Engine:  # noqa: ANN401 - of any type
    """What `vecmill run --direct` takes for these keys."""
    from flows.engine import direct

    project.engine = {"kind": "ray", "workers": 2, "retries": 2} | keys
    return direct(project.settings().engine)


def compared(project: Project, tmp_path: Path) -> None:
    """Hold what is published against what a local run of the same records publishes."""
    local = Project(tmp_path / "local", encoder={"dim": 8})
    local.root.mkdir()
    local.write(ROWS)
    local.run()
    columns = ("record_id", "vector", "content_hash", "label", "event_time")

    def plain(one: Project) -> dict[str, list[object]]:
        return {i: [row[c] for c in columns] for i, row in one.rows().items()}

    assert plain(project) == plain(local)


def places(project: Project, what: str = "encodes") -> list[dict[str, Any]]:
    """Where the encoder told that it was."""
    lines = (project.root / "places.jsonl").read_text("utf-8").splitlines()
    return [told for told in map(json.loads, lines) if told["what"] == what]


def placed(project: Project, **keys: Any) -> None:  # noqa: ANN401 - of any type
    """Have the project encoded by what tells of its place."""
    at = {"log": str(project.root / "encoded.jsonl"), "places": str(project.root / "places.jsonl")}
    project.encoder = {"kind": "placed", **at, **keys}


@pytest.mark.usefixtures("cluster")
def test_a_run_gives_what_a_local_one_gives(project: Project, tmp_path: Path) -> None:
    project.write(ROWS)
    outcome = project.run(engine(project, shard_size=4))
    assert (outcome.counts.encoded, outcome.rows) == (50, 60)
    assert len(project.encoded()) == 50
    compared(project, tmp_path)
    again = project.run(engine(project, shard_size=4))
    assert (again.counts.unchanged, again.counts.encoded) == (60, 0)
