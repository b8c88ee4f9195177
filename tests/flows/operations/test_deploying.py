"""`vecmill deploy`: files that Prefect takes, deployments that a worker carries out."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
import yaml  # type: ignore[import-untyped]
from docker.utils.build import exclude_paths  # type: ignore[import-untyped]

from flows.cli import run_command
from flows.config.configuration import load
from flows.config.settings import SettingsError
from flows.operations import lineage
from flows.operations.files import folder_in_image, texts, write
from flows.operations.names import refuse_anothers
from flows.operations.pools import deploy, pool
from tests.flows.alerts.test_alerts import listening
from tests.flows.operations.service import wait
from tests.flows.project import Project

if TYPE_CHECKING:
    from flows.config.settings import Settings
    from tests.flows.operations.service import Served, Service

SCHEDULES = """
[schedules.nightly]
features = ["notes"]
cron = "0 3 * * *"
timezone = "Europe/Berlin"

[schedules.tidy]
does = "maintain"
every = "2 days"
overlap = "queue"
active = false

[schedules.often]
does = "monitor"
every = "90 minutes"
timezone = "Europe/Berlin"
"""


def written(project: Project, image: str | None = None) -> dict[str, str]:
    project.more = SCHEDULES
    return texts_of(project, image)


def texts_of(project: Project, image: str | None = None) -> dict[str, str]:
    settings = project.settings()
    return texts(settings, pool(settings, "boxes", image))


def test_the_file_says_what_is_scheduled(project: Project) -> None:
    found = yaml.safe_load(written(project)["prefect.yaml"])
    root = project.root
    assert str(root) not in written(project)["prefect.yaml"], "it is as good in another checkout"
    steps = "prefect.deployments.steps"
    assert found["build"] == [{f"{steps}.run_shell_script": {"id": "project", "script": "pwd"}}]
    assert found["pull"] == [
        {f"{steps}.set_working_directory": {"directory": "{{ project.stdout }}"}}
    ]
    by_name: dict[str, dict[str, Any]] = {one["name"]: one for one in found["deployments"]}
    nightly, tidy, often = (by_name[f"{root.name}.{s}"] for s in ("nightly", "tidy", "often"))
    assert nightly["entrypoint"] == "flows.operations.jobs.run"
    assert nightly["parameters"] == {
        "schedule": "nightly", "conf": "vecmill.toml", "features": ["notes"],
    }  # fmt: skip
    assert nightly["schedules"] == [
        {"cron": "0 3 * * *", "timezone": "Europe/Berlin", "active": True}
    ]
    assert nightly["concurrency_limit"] == {"limit": 1, "collision_strategy": "CANCEL_NEW"}
    assert nightly["work_pool"] == {"name": "boxes", "job_variables": {}}
    assert tidy["concurrency_limit"]["collision_strategy"] == "ENQUEUE"
    assert tidy["schedules"][0]["rrule"].endswith("FREQ=DAILY;INTERVAL=2")
    assert tidy["schedules"][0]["active"] is False
    assert often["schedules"][0]["interval"] == 5400
    assert often["schedules"][0]["timezone"] == "UTC", "minutes are counted, whatever the clocks do"


def test_a_file_that_names_no_pool_asks_for_prefects_default_one(project: Project) -> None:
    project.more = SCHEDULES
    settings = project.settings()
    found = yaml.safe_load(texts(settings, pool(settings, None, None))["prefect.yaml"])
    variable = "{{ $PREFECT_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME }}"
    assert {one["work_pool"]["name"] for one in found["deployments"]} == {variable}


def test_in_an_image_everything_lies_where_the_dockerfile_puts_it(project: Project) -> None:
    files = written(project, "registry/shop:1")
    folder = f"/srv/{project.root.name}"
    found = yaml.safe_load(files["prefect.yaml"])
    (step,) = found["pull"]
    assert step["prefect.deployments.steps.set_working_directory"]["directory"] == folder
    one = found["deployments"][0]
    assert one["work_pool"]["job_variables"] == {"image": "registry/shop:1"}
    assert one["parameters"]["conf"] == f"{folder}/vecmill.toml"
    steps = instructions(files["Dockerfile"])
    assert [word for word, _ in steps] == [
        "FROM", "ARG", "ARG", "WORKDIR", "COPY", "RUN", "ENV", "CMD",
    ]  # fmt: skip
    rest = {word: text for word, text in steps if word != "ARG"}
    assert (rest["WORKDIR"], rest["COPY"]) == (folder, f". {folder}")
    assert dict(pair.split("=", 1) for pair in shlex.split(rest["ENV"])) == {
        "VECMILL_CONF": f"{folder}/vecmill.toml", "DO_NOT_TRACK": "1",
    }  # fmt: skip
    assert json.loads(rest["CMD"]) == ["vecmill", "serve"]
    assert {"*", "data", "local.toml", "**/.env"} <= set(files[".dockerignore"].splitlines())


def test_the_dockerfile_says_what_a_container_needs(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROWS", "rows")
    project.source = {"path": "${ROWS}.csv", "separator": "${ELSE:-,}"}
    text = written(project)["Dockerfile"]
    assert f"mount a volume at /srv/{project.root.name}/data.\n" in text
    assert "Prefect's blocks:\n# the configuration names ROWS.\n" in text
    project.source = {}
    project.more += '[store]\ncatalog = "/var/shop/catalog.duckdb"\n'
    assert "mount a volume at /var/shop.\n" in (made := texts_of(project)["Dockerfile"])
    assert "Prefect's blocks.\n" in made


def test_a_feature_goes_by_one_name_in_an_image_and_outside(project: Project) -> None:
    settings = project.settings()
    inside = replace(settings, root=Path(folder_in_image(settings)))
    assert lineage.feature(inside, "notes") == lineage.feature(settings, "notes")
    assert lineage.deployment(inside, "often") == lineage.deployment(settings, "often")


@pytest.mark.parametrize(
    ("conf", "store", "left_out"),
    [
        ("conf/shop.toml", 'catalog = "state/catalog.duckdb"',
         {"state", "data/vectors", "conf/local.toml"}),
        ("shop.toml", 'catalog = "catalog.duckdb"\nvectors = "s3://bucket/vectors"',
         {"catalog.duckdb*", "local.toml"}),
        ("shop.toml", "", {"data", "local.toml"}),
    ],
)  # fmt: skip
def test_store_and_secrets_are_no_part_of_an_image(
    tmp_path: Path, conf: str, store: str, left_out: set[str]
) -> None:
    file = tmp_path / conf
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"[store]\n{store}\n", encoding="utf-8")
    settings = load(file)
    found = ignored(settings)
    always = {"*", "!*.whl", f"!{conf}", "**/__pycache__", "**/.env"}
    assert {*found} == left_out | always | {"**/*.lance", "**/catalog.duckdb*"}
    assert found[0] == "*"


def test_no_record_and_no_store_goes_into_an_image(tmp_path: Path) -> None:
    conf = """
    [sources.news]
    kind = "table"
    path = "news/*.csv"
    id = "id"
    content = "text"
    [sources.unused]
    kind = "files"
    path = "photos/**/*.jpg"
    [encoders.glove]
    kind = "glove"
    vectors = "models/small.txt"
    [features.news]
    source = "news"
    encoder = "glove"
    """
    let_in = {
        "conf/base.toml", "conf/shop.toml", "models/small.txt", "vecmill-1.0-py3-none-any.whl",
    }  # fmt: skip
    left_out = {
        ".env", "conf/local.toml", "conf/other.toml", "data/catalog.duckdb", "models/s.txt",
        "news/a.csv", "old/catalog.duckdb.wal", "old/t.lance/data", "photos/x/1.jpg", "raw.csv",
    }  # fmt: skip
    for name in let_in | left_out:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("" if not name.endswith("shop.toml") else conf, encoding="utf-8")
    lines = ignored(load(tmp_path / "conf" / "shop.toml"))
    context = {name for name in exclude_paths(str(tmp_path), lines) if (tmp_path / name).is_file()}
    assert context - {"Dockerfile", ".dockerignore"} == let_in


def ignored(settings: Settings) -> list[str]:
    """The lines of a project's .dockerignore, without remarks."""
    found = texts(settings, pool(settings, "boxes", "shop:1"))[".dockerignore"].splitlines()
    return [line for line in found if not line.startswith("#")]


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments; lines that go on are joined."""
    lines = re.sub(r"\\\n", "", dockerfile).splitlines()
    return [
        (line.split(maxsplit=1)[0], line.split(maxsplit=1)[1])
        for line in lines
        if line and not line.startswith("#")
    ]


def test_no_file_of_the_users_is_written_over(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    project.more = SCHEDULES
    conf = str(project.settings().conf)
    command = ["deploy", "--pool", "boxes", "--write-only", "--conf", conf]
    assert run_command([*command, "--json"]) == 0
    assert [json.loads(line) for line in capfd.readouterr().out.splitlines()] == [
        {"file": str(project.root / name)}
        for name in ("prefect.yaml", "Dockerfile", ".dockerignore")
    ]
    assert run_command(command) == 0, "what it wrote itself is no reason to stop"
    mine = project.root / "Dockerfile"
    mine.write_bytes("# d'après\nFROM mine\n".encode("latin-1"))
    before = (project.root / "prefect.yaml").read_text("utf-8")
    capfd.readouterr()
    assert run_command(["deploy", "--pool", "other", *command[3:]]) == 2
    assert "prefect.yaml and Dockerfile in" in capfd.readouterr().err
    assert mine.read_bytes().endswith(b"\nFROM mine\n")
    assert (project.root / "prefect.yaml").read_text("utf-8") == before
    assert run_command([*command, "--force"]) == 0
    assert mine.read_text("utf-8").startswith("# A worker's image")


def test_what_cannot_be_deployed_is_told(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    conf = str(project.settings().conf)
    assert run_command(["serve", "--show", "--conf", conf]) == 2
    assert "nothing is scheduled in" in capfd.readouterr().err
    project.more = SCHEDULES
    project.settings()
    assert run_command(["deploy", "--pool", "boxes", "--conf", conf]) == 2
    assert "set PREFECT_API_URL to its address" in capfd.readouterr().err
    assert run_command(["deploy", "--conf", conf]) == 2
    assert "no work pool is named; name one with --pool or by setting PREFECT_DEPLOYMENTS_" in (
        capfd.readouterr().err
    )
    more = ["--write-only", "--notify", "slack-webhook/ops", "--conf", conf]
    assert run_command(["deploy", "--pool", "boxes", *more]) == 2
    assert "--notify asks the server" in capfd.readouterr().err


def test_the_list_of_schedules_says_when_each_is_due(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    project.more = SCHEDULES
    conf = str(project.settings().conf)
    assert run_command(["serve", "--show", "--json", "--conf", conf]) == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert {row["schedule"]: row["when"] for row in rows} == {
        "often": "every 90 minutes",
        "nightly": "0 3 * * *",
        "tidy": "every 2 days",
    }
    assert [row["schedule"] for row in rows][-1] == "tidy", "it is not active, so never due"
    assert rows[-1]["next"] is None
    assert rows[0]["next"] < rows[1]["next"]


def test_what_is_due_within_the_minute_is_told_to_the_second(
    project: Project, capfd: pytest.CaptureFixture[str]
) -> None:
    project.more = '[schedules.often]\nevery = "7 seconds"\n'
    conf = str(project.settings().conf)
    assert run_command(["serve", "--show", "--conf", conf]) == 0
    assert run_command(["serve", "--show", "--conf", conf]) == 0
    told = capfd.readouterr().out
    assert re.search(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC", told), told


def test_files_are_written_whole_or_none(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine", encoding="utf-8")
    with pytest.raises(Exception, match=r"^b in .* would be written over"):
        write(tmp_path, {"a": "new", "b": "new"}, force=False)
    assert not (tmp_path / "a").exists()


def folder(root: Path, more: str = "") -> Settings:
    """A project in a folder that is called ``shop``."""
    conf = root / "shop" / "vecmill.toml"
    conf.parent.mkdir(parents=True)
    conf.write_text(f"{more}\n[sources.s]\nkind = 'table'\npath = 's.csv'\n", encoding="utf-8")
    return load(conf)


def test_a_project_goes_by_its_folder_or_by_what_it_says(tmp_path: Path) -> None:
    plain = folder(tmp_path / "a")
    named = folder(tmp_path / "b", "[project]\nname = 'shop-2'")
    assert lineage.deployment(plain, "hourly") == "shop.hourly"
    assert lineage.deployment(named, "hourly") == "shop-2.hourly"
    assert folder_in_image(named) == "/srv/shop-2"
    with pytest.raises(
        SettingsError, match=r"\[project\]: name must be up to 63 letters.*'my shop'"
    ):
        folder(tmp_path / "c", "[project]\nname = 'my shop'")


def test_what_another_project_of_the_name_has_deployed_is_not_taken(tmp_path: Path) -> None:
    mine, other = folder(tmp_path / "a"), folder(tmp_path / "b")
    with pytest.raises(SettingsError, match=r"of another project that is called 'shop' too .*-2"):
        refuse_anothers(mine, "vecmill-run/shop.s", {"conf": str(other.conf)})
    store = f"[store]\nvectors = '{tmp_path}/v'\ncatalog = '{tmp_path}/c.duckdb'"
    one, two = folder(tmp_path / "c", store), folder(tmp_path / "d", store)
    refuse_anothers(one, "vecmill-run/shop.s", {"conf": str(two.conf)})
    renamed = folder(tmp_path / "e", "[project]\nname = 'shop-2'")
    for given in (str(mine.conf), str(renamed.conf), str(tmp_path / "moved.toml"), "shop.toml", ""):
        refuse_anothers(mine, "vecmill-run/shop.s", {"conf": given})


@pytest.mark.slow
def test_a_worker_carries_out_what_prefect_deploys_and_tells_whom_it_should(
    served: Served, asked: Service, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Through the file, through the API, with a secret of the server's, and with automations."""
    root = served.project.root
    name, value = f"n{uuid4().hex[:12]}", f"v{uuid4().hex[:12]}.csv"
    conf = _with_secret(served, name, value)
    with listening() as hook:
        _blocks(name, value, hook.url)
        asked.post("work_pools/", name=name, type="process")
        assert run_command(["deploy", "--write-only", "--conf", conf]) == 0
        asked.carry_out(
            *("prefect", "--no-prompt", "deploy", "--all"),
            cwd=root,
            PREFECT_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME=name,
        )
        worker = asked.start("prefect", "worker", "start", "--pool", name, "--name", name)
        run = served.carried_out("nightly")
        assert run["state_type"] == "COMPLETED", worker.said()
        assert '"encoded": 60' in asked.artifacts(run)["vecmill-schedule-nightly"]["data"]

        command = ["deploy", "--pool", name, "--conf", conf, "--notify", f"custom-webhook/{name}"]
        capfd.readouterr()
        assert run_command([*command, "--json"]) == 0
        rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        assert {row.get("schedule") for row in rows} == {"nightly", "tidy", "often", None}
        assert {"automation": f"{root.name}: a run failed"} in rows
        before = _automations(asked, root.name)
        assert run_command(command) == 0
        assert _automations(asked, root.name) == before, "changed in place, never away"
        _check_another_is_refused(root, tmp_path, name)

        (root / value).unlink()
        failed = served.carried_out("nightly")
        assert failed["state_type"] == "FAILED"
        wait(lambda: bool(hook.got), "the notification", worker.said)
    (got,) = hook.got
    assert re.match(r"nightly [\d :-]+ of vecmill-run: Failed\n", got["said"])
    assert "1 of 1 failed: notes: no file matches" in got["said"]
    assert f"${{secret:{name}}}" in got["said"]
    assert value not in worker.said()
    assert value not in json.dumps([failed, *asked.inner(failed)])
    worker.end()


def _blocks(name: str, value: str, url: str) -> None:
    """Have the server keep a secret, and a block that sends to an address."""
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.blocks.system import Secret
    from pydantic import SecretStr

    Secret(value=SecretStr(value)).save(name)
    CustomWebhookNotificationBlock(
        name=name, url=url, json_data={"said": "{{body}}"}, headers={}, cookies={}
    ).save(name)


def _automations(service: Service, project: str) -> dict[str, str]:
    """The automations of a project by id; there are two."""
    found = service.post("automations/filter")
    ours = {one["id"]: one["name"] for one in found if one["name"].startswith(f"{project}: ")}
    assert sorted(ours.values()) == [f"{project}: a run failed", f"{project}: an alarm"]
    return ours


def _check_another_is_refused(root: Path, elsewhere: Path, name: str) -> None:
    """A project of the same name, whose store is its own, takes no deployment of the first's."""
    other = Project(elsewhere / "other" / root.name)
    other.root.mkdir(parents=True)
    other.more = SCHEDULES
    settings = other.settings()
    with pytest.raises(SettingsError, match="of another project that is called"):
        deploy(settings, pool(settings, name, None))


def _with_secret(served: Served, name: str, value: str) -> str:
    """A configuration whose source's path is a secret that Prefect's server keeps; its file."""
    root = served.project.root
    conf = root / "vecmill.toml"
    served.conf(SCHEDULES)
    plain = conf.read_text("utf-8")
    conf.write_text(plain.replace('"notes.csv"', f'"${{secret:{name}}}"'), encoding="utf-8")
    (root / "notes.csv").rename(root / value)
    return str(conf)
