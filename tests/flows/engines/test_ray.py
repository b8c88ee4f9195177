"""Runs on a real Ray cluster: as local ones, whatever becomes of the workers."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from encoders.base import EncoderError
from flows.output.progress import Silent
from flows.pipeline import stages as pipeline
from flows.pipeline.refusals import RunError
from flows.runner import runner
from tests import ray_cluster
from tests.flows.engines.test_prefect import client, flow_runs, task_runs
from tests.flows.plugins.placed import LIBRARY
from tests.flows.project import Project
from tests.flows.shop import Heard
from tests.flows.sources.servers import s3
from tests.ray_cluster import SECRET

pytest.importorskip("ray", reason="Ray is not installed: pip install 'vecmill[ray]'")

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect.client.orchestration import SyncPrefectClient

    from flows.engines.engine import Engine

pytestmark = pytest.mark.slow
__all__ = ["client"]

ROWS = [(n, f"text {n % 50}", f"label {n % 3}") for n in range(60)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """A cluster on this machine, of four cores and two GPUs so called; the folder of its logs."""
    with ray_cluster.cluster((4, 2)) as started:
        yield started.logs


def engine(project: Project, **keys: Any) -> Engine:  # noqa: ANN401 - of any type
    """What `vecmill run --direct` takes for these keys."""
    from flows.engines.engine import direct

    project.engine = {"kind": "ray", "workers": 2, "retries": 2} | keys
    return direct(project.settings().engine)


def compared(project: Project, tmp_path: Path, name: str = "notes") -> None:
    """Hold what is published against what a local run of the same records publishes."""
    local = Project(tmp_path / "local", encoder={"dim": 8})
    local.root.mkdir()
    local.write(ROWS)
    local.run()
    columns = ("record_id", "vector", "content_hash", "label", "event_time")

    def plain(one: Project, view: str) -> dict[str, list[object]]:
        return {i: [row[c] for c in columns] for i, row in one.rows(view).items()}

    assert plain(project, name) == plain(local, "notes")


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


@pytest.mark.usefixtures("cluster")
def test_each_worker_loads_its_encoder_once_and_has_a_gpu_of_its_own(project: Project) -> None:
    project.write(ROWS)
    placed(project, pause=0.1)
    project.run(engine(project, shard_size=4, worker_cpus=2, worker_gpus=1))
    there = [told for told in places(project) if told["pid"] != os.getpid()]
    assert len(there) == len(places(project)) == 13, "a batch was encoded in this process"
    pids = {told["pid"] for told in there}
    assert len(pids) == 2
    built = [told["pid"] for told in places(project, "built")]
    assert sorted(pid for pid in built if pid != os.getpid()) == sorted(pids)
    assert {told["CUDA_VISIBLE_DEVICES"] for told in there} == {"0", "1"}
    assert len({(told["pid"], told["CUDA_VISIBLE_DEVICES"]) for told in there}) == 2


@pytest.mark.usefixtures("cluster")
def test_a_worker_that_is_killed_amid_a_shard_costs_nothing_but_time(
    project: Project, tmp_path: Path
) -> None:
    project.write(ROWS)
    project.encoder = {"breach": "falls"}
    heard = Heard()
    outcome = pipeline.embed(project.settings(), "notes", engine(project, shard_size=12), heard)
    assert (project.root / "encoded.fallen").exists(), "no worker was killed"
    assert [note for note in heard.notes if "a worker was lost with shard-0000" in note]
    assert (outcome.counts.encoded, outcome.rows) == (50, 60)
    texts = project.encoded()
    assert len(set(texts)) == 50
    assert len(texts) <= 50 + 2 * 12, "more was encoded again than the worker had"
    assert not list((project.root / "data/staging").rglob("*.*"))
    compared(project, tmp_path)


@pytest.mark.usefixtures("cluster")
def test_a_shard_that_kills_every_worker_fails_the_run_and_the_rest_is_kept(
    project: Project,
) -> None:
    project.write(ROWS)
    project.encoder = {"breach": "dies"}
    with pytest.raises(RunError, match=r"the worker that encoded shard-0000\d\d.parquet was lost"):
        project.run(engine(project, shard_size=8, retries=1))
    assert project.rows_or_none() is None
    [run] = project.runs()
    assert run["status"] == "failed"
    assert "was lost 2 times" in run["error"]
    assert "smaller shard_size" in run["error"]
    first = project.encoded()
    project.encoder = {}
    outcome = project.run()
    assert outcome.rows == 60
    assert outcome.counts.resumed > 0
    assert len(project.encoded()) == 50 - outcome.counts.resumed
    assert len(first) >= outcome.counts.resumed


@pytest.mark.usefixtures("cluster")
def test_records_that_cannot_be_encoded_are_dead_letters_as_ever(project: Project) -> None:
    project.write([*ROWS, (100, "FAIL", "x")])
    outcome = project.run(engine(project, shard_size=8))
    assert (outcome.counts.dead, outcome.rows) == (1, 60)
    (reason,) = project.dead().values()
    assert "cannot encode 'FAIL'" in reason


@pytest.mark.usefixtures("cluster")
def test_an_error_comes_back_as_what_it_was(project: Project) -> None:
    project.write(ROWS)
    project.encoder = {"breach": "refuses"}
    with pytest.raises(RunError, match=r"^notes: the weights are gone$"):
        project.run(engine(project))
    project.encoder = {"breach": "hangs"}
    with pytest.raises(RunError, match="the encoder 'mill' has not returned within"):
        project.run(engine(project, encode_timeout=1))


@pytest.mark.usefixtures("cluster")
def test_a_node_with_other_libraries_is_refused(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(ROWS)
    placed(project)
    monkeypatch.setenv(LIBRARY, "2")
    told = r'would make other vectors: library was "2", is "1"\. Install the same versions'
    with pytest.raises(EncoderError, match=told):
        project.run(engine(project))
    assert places(project) == []


@pytest.mark.usefixtures("cluster")
def test_more_workers_than_there_is_room_for_are_told_of_and_no_fault(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.engines.ray_pool._SOON", 0.5)
    project.write(ROWS)
    placed(project, pause=0.2)
    heard = Heard()
    keys = engine(project, workers=3, worker_cpus=2, shard_size=4)
    pipeline.embed(project.settings(), "notes", keys, heard)
    assert len({told["pid"] for told in places(project)}) == 2
    (note,) = [note for note in heard.notes if "waiting for room" in note]
    assert "3 workers of 2 CPUs and 0 GPUs in the Ray cluster, which has 4 CPUs" in note


@pytest.mark.usefixtures("cluster")
def test_no_room_at_all_is_an_error_that_says_what_there_is(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.engines.ray_pool._LEAST_PATIENCE", 1.0)
    project.write(ROWS)
    told = (
        "2 workers of 64 CPUs and 0 GPUs found no room in the Ray cluster within 2 seconds; it has"
    )
    with pytest.raises(RunError, match=told):
        project.run(engine(project, worker_cpus=64, wait_seconds=2))


@pytest.mark.parametrize("breach", ["tells", "outage"])
def test_no_secret_is_in_the_logs_of_ray(
    project: Project, cluster: Path, monkeypatch: pytest.MonkeyPatch, breach: str
) -> None:
    monkeypatch.setenv("VECMILL_KEY", SECRET)
    project.write([*ROWS, (100, "FAIL", "x")])
    project.encoder = {
        "kind": "keyed", "token": "${VECMILL_KEY}", "breach": breach,
        "headers": {"authorization": "Bearer ${VECMILL_KEY}"},
    }  # fmt: skip
    if breach == "tells":
        assert project.run(engine(project)).rows == 60
        (reason,) = project.dead().values()
        assert "no answer to '${VECMILL_KEY}'" in reason
    else:
        with pytest.raises(Exception, match=r"\*\*\*@example|\$\{VECMILL_KEY\}") as caught:
            project.run(engine(project, retries=0))
        assert SECRET not in repr(caught.value)
    logs = "".join(
        path.read_text("utf-8", "replace") for path in cluster.rglob("*") if path.is_file()
    )
    assert SECRET not in logs
    for written in ("printed", "logged", "warned"):
        assert breach != "tells" or f"{written} ${{VECMILL_KEY}}" in logs


def test_vectors_in_an_object_store_are_written_by_the_committer_alone(
    project: Project, cluster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del cluster
    with s3() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        project.more = '[store]\nvectors = "s3://mill/vectors"\n'
        project.write(ROWS)
        project.encoder = {"breach": "falls"}
        outcome = project.run(engine(project, shard_size=12))
        assert (project.root / "encoded.fallen").exists()
        assert outcome.counts.encoded == 50
        compared(project, tmp_path)
        project.write([*ROWS[10:], (100, "more", "x")])
        project.encoder = {}
        counts = project.run(engine(project, shard_size=12)).counts
        assert (counts.new, counts.deleted, counts.encoded) == (1, 10, 1)
        assert len(project.rows()) == 51
    assert not (project.root / "data/vectors").exists()


def test_flows_run_on_it_and_a_killed_worker_costs_nothing_but_time(
    project: Project, cluster: Path, tmp_path: Path, client: SyncPrefectClient
) -> None:
    del cluster
    name = f"f{uuid4().hex[:12]}"
    project.more = f'[features.{name}]\nsource = "notes"\nencoder = "mill"\nmax_dead = 0.5\n'
    project.write(ROWS)
    project.encoder = {"breach": "falls"}
    project.engine = {"kind": "ray", "workers": 2, "retries": 2, "shard_size": 12}
    with runner(project.settings(), Silent(), direct=False) as flows_:
        row = flows_.embed(name)
    assert (project.root / "encoded.fallen").exists(), "no worker was killed"
    assert (row["encoded"], row["rows"]) == (50, 60)
    compared(project, tmp_path, name)
    [run] = flow_runs(client, name)
    assert run.state_type == "COMPLETED"
    tasks = task_runs(client, run)
    assert sum(task.name.startswith("encode") for task in tasks) == 5
    assert {task.state_type for task in tasks} == {"COMPLETED"}
    project.encoder = {"breach": "dies", "revision": 2}
    with (
        runner(project.settings(), Silent(), direct=False) as flows_,
        pytest.raises(RunError, match="was lost 3 times"),
    ):
        flows_.embed(name)
    last = flow_runs(client, name)[-1]
    assert last.state_type == "FAILED"
    assert "CRASHED" in {task.state_type for task in task_runs(client, last)}
