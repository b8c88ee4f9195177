"""Real flow runs on Prefect's own server: the same results, seen there, retried where it helps."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

import flows.sources
from flows.alerts.hooks import HookError
from flows.cli import run_command
from flows.config.settings import SettingsError
from flows.monitoring.looking import monitor
from flows.monitors.base import by_default
from flows.output.progress import Silent
from flows.pipeline.learning import Draw
from flows.runner import runner
from flows.sources import base
from tests.flows.alerts.test_alerts import listening
from tests.flows.operations.service import wait
from tests.flows.shop import Heard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import FlowRun, TaskRun

    from flows.config.settings import Settings
    from tests.flows.project import Project

pytestmark = pytest.mark.slow

ROWS = [(f"r{i}", f"text {i}", "x") for i in range(40)]
FLAKY = '''
"""A source that fails as often as a file says, then reads a table."""
from dataclasses import dataclass
from pathlib import Path

from flows.sources import table


@dataclass(frozen=True)
class Params:
    failures: str
    error: str
    table: str


class Flaky:
    def __init__(self, params, source):
        self.params, self.source = params, source

    @property
    def kept(self):
        return self.source.kept

    @property
    def types(self):
        return {}

    def scan(self):
        counter = Path(self.params.failures)
        left = int(counter.read_text())
        counter.write_text(str(left - 1))
        if left > 0:
            raise {"passing": ConnectionError, "lasting": ValueError}[self.params.error]("cut")
        yield from self.source.scan()


def open(params, root, modality):
    keys = table.Params(path=params.table, id="id", content="text", keep=["label"])
    return Flaky(params, table.open(keys, root, modality))
'''


@pytest.fixture(scope="session")
def client() -> Iterator[SyncPrefectClient]:
    """A client of the server that Prefect starts for this process; its start may take minutes."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as connected:
        connected.hello()
        yield connected


@pytest.fixture
def feature(project: Project) -> str:
    """A feature of a name that no other test and no earlier session has."""
    project.write(ROWS)
    name = f"f{uuid4().hex[:12]}"
    project.more = f'[features.{name}]\nsource = "notes"\nencoder = "mill"\nmax_dead = 0.5\n'
    return name


def flow_runs(client: SyncPrefectClient, feature: str) -> list[FlowRun]:
    """The flow runs of a feature, oldest first."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

    wanted = FlowRunFilter(name=FlowRunFilterName(like_=feature))
    found = client.read_flow_runs(flow_run_filter=wanted)
    return sorted(found, key=lambda run: run.created or 0)


def task_runs(client: SyncPrefectClient, run: FlowRun) -> list[TaskRun]:
    """The task runs of a flow run, in the order of their starts."""
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    wanted = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    found = client.read_task_runs(flow_run_filter=wanted)
    return sorted(found, key=lambda task: str(task.expected_start_time))


def artifact(client: SyncPrefectClient, key: str) -> str:
    """The text of the one artifact of a key."""
    [found] = pages(client, key)
    return found


def pages(client: SyncPrefectClient, key: str) -> list[str]:
    """The texts of all artifacts of a key."""
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=[key]))
    return [str(found.data) for found in client.read_artifacts(artifact_filter=wanted)]


def embed(project: Project, feature: str, *, direct: bool = False) -> dict[str, Any]:
    with runner(project.settings(), Silent(), direct=direct) as flows_:
        return flows_.embed(feature)


def plain(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k not in {"run", "seconds", "feature"}}


@pytest.mark.usefixtures("client")
def test_a_flow_run_gives_what_a_direct_run_gives(project: Project, feature: str) -> None:
    project.engine = {"workers": 2, "shard_size": 4}
    flow, direct = embed(project, feature), embed(project, "notes", direct=True)
    assert plain(flow) == plain(direct)
    assert (flow["encoded"], flow["rows"]) == (40, 40)
    theirs, ours = project.rows(feature), project.rows("notes")
    columns = ("vector", "content_hash", "label")
    assert {i: [row[c] for c in columns] for i, row in theirs.items()} == {
        i: [row[c] for c in columns] for i, row in ours.items()
    }
    again = embed(project, feature)
    assert (again["unchanged"], again["encoded"]) == (40, 0)


def test_steps_are_tasks_and_the_outcome_is_an_artifact(
    project: Project, feature: str, client: SyncPrefectClient
) -> None:
    project.engine = {"workers": 2, "shard_size": 8}
    embed(project, feature)
    [run] = flow_runs(client, feature)
    assert (run.name, run.state_type) == (f"embed {feature}", "COMPLETED")
    assert run.parameters["feature"] == feature
    tasks = task_runs(client, run)
    assert {task.state_type for task in tasks} == {"COMPLETED"}
    kinds = [task.name.split("-")[0].split(" ")[0] for task in tasks]
    expected = ["asset", "commit", *["encode"] * 5, "plan", "prepare", "publish"]
    assert sorted(kinds) == expected
    assert f"plan {feature}" in {task.name for task in tasks}
    assert "| encoded | 40 |" in artifact(client, f"vecmill-run-{feature}")


def test_monitors_run_as_a_flow(project: Project, feature: str, client: SyncPrefectClient) -> None:
    found = {}
    embed(project, feature)
    for direct in (True, False):
        with runner(project.settings(), Silent(), direct=direct) as flows_:
            found[direct] = flows_.monitor(feature)
    assert found[False] == found[True]
    assert [finding["monitor"] for finding in found[False]] == list(by_default())
    assert [run.name for run in flow_runs(client, feature)] == [
        f"embed {feature}",
        f"monitor {feature}",
    ]
    told = artifact(client, f"vecmill-findings-{feature}")
    assert "| **drift** | cannot tell |" in told
    assert told.startswith(f"## {feature} v1\n")
    assert f"`vecmill report {feature} --version 1 --open`" in told


def test_a_fit_runs_as_a_flow(project: Project, feature: str, client: SyncPrefectClient) -> None:
    project.encoder = {"kind": "lsa", "dim": 2, "min_texts": 1, "max_share": 1.0}
    found = {}
    for direct in (True, False):
        with runner(project.settings(), Silent(), direct=direct) as flows_:
            found[direct] = flows_.fit("notes" if direct else feature, Draw(size=20))
    assert found[False]["state"] == found[True]["state"]
    assert (found[False]["version"], found[False]["records"]) == (1, 20)
    assert [run.name for run in flow_runs(client, feature)] == [f"fit {feature}"]
    assert "| records | 20 |" in artifact(client, f"vecmill-fit-{feature}")


@pytest.mark.usefixtures("client")
def test_a_flow_takes_plain_parameters_as_a_deployment_gives_them(
    project: Project, feature: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows import run

    conf = project.settings().conf
    parameters = json.loads(json.dumps({"feature": feature, "conf": str(conf), "refit": False}))
    assert run.embed(**parameters)["encoded"] == 40
    monkeypatch.setenv("VECMILL_CONF", str(conf))
    assert run.embed(feature=feature)["encoded"] == 0


def test_a_deployment_fills_what_a_fit_has_registered(
    project: Project, feature: str, client: SyncPrefectClient
) -> None:
    from flows import run

    project.encoder = {"kind": "lsa", "dim": 2, "min_texts": 1, "max_share": 1.0}
    conf = str(project.settings().conf)
    first = run.embed(feature, conf)
    assert (first["version"], first["encoded"], "also" in first) == (1, 40, False)
    project.write([*ROWS, ("new", "text of another word", "x")])
    assert run.fit(feature, conf)["version"] == 2
    found = json.loads(json.dumps(run.embed(feature, conf)))
    assert (found["version"], found["standing"], found["encoded"]) == (1, "live", 1)
    [other] = found["also"]
    assert (other["version"], other["standing"], other["rows"]) == (2, "candidate", 41)
    [page] = {text for text in pages(client, f"vecmill-run-{feature}") if "| version | 2 |" in text}
    assert "| version | 1 |" in page, "it shows both"
    assert "also" not in run.embed(feature, conf, target="configured")


def test_a_failing_run_is_failed_there_and_exit_code_1_here(
    project: Project,
    feature: str,
    client: SyncPrefectClient,
    capfd: pytest.CaptureFixture[str],
) -> None:
    project.write([(i, f"FAIL {i}", "x") for i, _, _ in ROWS[:10]])
    conf = str(project.settings().conf)
    assert run_command(["run", feature, "--conf", conf, "--json"]) == 1
    got = capfd.readouterr()
    told = json.loads(got.out)
    assert (told["feature"], told["status"], "Traceback" in got.err) == (feature, "failed", False)
    assert told["error"].startswith(f"{feature}: 10 of 10 records cannot be read or encoded")
    error = json.loads(got.err)
    assert error["error"].startswith(f"{feature}: 10 of 10 records cannot be read or encoded")
    [run] = flow_runs(client, feature)
    assert run.state_type == "FAILED"


def test_tasks_that_encode_hold_a_slot_and_wait_for_it(
    project: Project, feature: str, client: SyncPrefectClient
) -> None:
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.concurrency.sync import concurrency

    name = f"l{uuid4().hex[:12]}"
    project.engine = {"concurrency_limit": name, "shard_size": 64}
    with pytest.raises(SettingsError, match=f"{name}.*has no global concurrency limit"):
        embed(project, feature)
    client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
    settings = project.settings()
    with ThreadPoolExecutor() as threads:
        with concurrency(name, strict=True):
            running = threads.submit(carry_out, settings, feature)
            wait(lambda: encodes(client, feature, "RUNNING"), "the task to begin")
            assert project.encoded() == []
        assert running.result()["encoded"] == 40
    assert len(project.encoded()) == 40


def carry_out(settings: Settings, feature: str) -> dict[str, Any]:
    with runner(settings, Silent(), direct=False) as flows_:
        return flows_.embed(feature)


def encodes(client: SyncPrefectClient, feature: str, state: str) -> bool:
    """Whether a task that encodes for a feature is in a state."""
    tasks = [task for run in flow_runs(client, feature) for task in task_runs(client, run)]
    return any(t.name.startswith("encode") and t.state_type == state for t in tasks)


@pytest.fixture
def flaky(feature: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The feature, over a source of a kind that is a new file and nothing else."""
    package = tmp_path / "plugins"
    package.mkdir()
    (package / "flaky.py").write_text(FLAKY, encoding="utf-8")
    monkeypatch.setattr(flows.sources, "__path__", [*flows.sources.__path__, str(package)])
    base.kinds.cache_clear()
    yield feature
    base.kinds.cache_clear()


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize(
    ("error", "failures", "left", "code"),
    [("passing", 1, -1, 0), ("passing", 9, 7, 1), ("lasting", 9, 8, 1)],
)
@pytest.mark.usefixtures("client")
def test_what_passes_is_tried_again_and_nothing_else(
    project: Project, flaky: str, *, error: str, failures: int, left: int, code: int, direct: bool
) -> None:
    counter = project.root / "failures"
    counter.write_text(str(failures))
    project.engine = {"retries": 1}
    project.source = {
        "kind": "flaky", "failures": str(counter), "error": error, "table": "notes.csv",
    }  # fmt: skip
    conf = str(project.settings().conf)
    arguments = ["run", flaky, "--conf", conf, *(["--direct"] if direct else [])]
    assert run_command(arguments) == code
    assert int(counter.read_text()) == left
    assert len(project.rows_or_none(flaky) or {}) == (0 if code else 40)


@pytest.mark.usefixtures("client")
def test_an_alert_goes_through_a_block_of_prefect(project: Project) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    name = f"b{uuid4().hex[:12]}"
    project.feature = {"monitors": ["encoder"]}
    project.more = f'[alerts.ops]\nkind = "prefect"\nblock = "custom-webhook/{name}"\n'
    project.write([(f"record-{n}", f"text {n}", "x") for n in range(20)])
    project.run()
    project.encoder = {"breach": "turns"}
    project.write([(f"record-{n}", f"text {n}", "x") for n in range(25)])
    project.run()
    heard = Heard()
    monitor(project.settings(), "notes", heard)
    assert any(f"Prefect has no block custom-webhook/{name}" in note for note in heard.notes)
    with listening() as hook:
        block = CustomWebhookNotificationBlock(
            name=name, url=hook.url, json_data={"said": "{{body}}"}, headers={}, cookies={}
        )
        block.save(name)
        with runner(project.settings(), Silent(), direct=False) as flows_:
            flows_.monitor("notes")
        (got,) = hook.got
    assert got["said"].startswith("notes v1, alarm: encoder")
    assert "the encoder changed" in got["said"]


@pytest.mark.usefixtures("client")
def test_a_block_that_says_nothing_of_its_failure_is_not_taken_for_one_that_sent() -> None:
    from prefect.blocks.notifications import MattermostWebhook
    from pydantic import SecretStr

    from flows.run import notify

    name = f"b{uuid4().hex[:12]}"
    with listening() as hook:
        keys = {"hostname": "127.0.0.1", "port": urlsplit(hook.url).port, "secure": False}
        MattermostWebhook.model_validate({**keys, "token": SecretStr("t" * 26)}).save(name)
        hook.status = 500
        with pytest.raises(HookError, match=r"the block .* failed"):
            notify(f"mattermost-webhook/{name}", "told")
        hook.status = 200
        notify(f"mattermost-webhook/{name}", "told")
    assert len(hook.got) == 2
