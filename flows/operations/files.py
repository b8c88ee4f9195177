"""A `prefect.yaml`, a `Dockerfile` and a `.dockerignore` for a project, as texts.

They say what `vecmill deploy` does by itself, for those who keep their deployments under version
control or build them elsewhere. Prefect reads the first with ``prefect deploy --all``.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from encoders import registry
from flows.config.anchors import inside
from flows.config.layers import LOCAL
from flows.config.settings import SettingsError
from flows.config.templates import wanted
from flows.operations import lineage
from flows.operations.recurrence import ANCHOR
from flows.output.pages import write_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flows.config.settings import Plugin, Settings
    from flows.operations.deployments import Pool
    from flows.operations.schedules import Schedule

_DOCKERFILE = """\
# A worker's image: Vecmill, and this project's configuration. Made by `vecmill deploy`.
#
#     docker build -t {image} .
#
# Only what .dockerignore lets in is in it: the configuration, files that encoders name, and wheels.
# Mount sources and the store at the paths that the configuration names, or keep them in an object
# store. The catalog's folder is to outlive the container: mount a volume at {kept}.
# Secrets come as environment variables or from Prefect's blocks{variables}.
FROM python:3.11-slim

# Where Vecmill comes from: a release, or a wheel that lies in this folder (`pip wheel --no-deps`
# in its repository makes one): --build-arg VECMILL=./vecmill-{version}-py3-none-any.whl
ARG VECMILL=vecmill=={version}
# The CPU's torch; empty for the CUDA build that PyPI has.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

WORKDIR {folder}
COPY . {folder}
RUN pip install --no-cache-dir ${{TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"}} "$VECMILL"

ENV VECMILL_CONF="{folder}/{conf}" \\
    DO_NOT_TRACK=1
CMD ["vecmill", "serve"]
"""
POOL_VARIABLE = "PREFECT_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME"
"""The environment variable by which Prefect is told of a pool; `vecmill deploy` heeds it too."""
UNNAMED = f"{{{{ ${POOL_VARIABLE} }}}}"
_IGNORED = """\
# Made by `vecmill deploy`: nothing of this folder is in an image but what stands here after a "!",
# so that no record of a source and no store is sent to a registry.
*
# a wheel of Vecmill, the configuration, and the files that encoders name
!*.whl
{let_in}
# stores wherever they lie, and secrets that belong to one machine
**/*.lance
**/catalog.duckdb*
{left_out}
**/__pycache__
**/.env
"""


def folder_in_image(settings: Settings) -> str:
    """Where the project lies in an image: of its name, by which assets and automations go."""
    return f"/srv/{lineage.project(settings)}"


def conf_in_image(settings: Settings) -> str:
    """The configuration file as a container of the image finds it."""
    return f"{folder_in_image(settings)}/{_relative(settings)}"


def texts(settings: Settings, pool: Pool) -> dict[str, str]:
    """The files by name, for a work pool."""
    return {
        "prefect.yaml": prefect_yaml(settings, pool),
        "Dockerfile": _DOCKERFILE.format(
            image=pool.image or f"{lineage.project(settings).lower()}:latest",
            version=version("vecmill"),
            folder=folder_in_image(settings),
            conf=_relative(settings),
            kept=_kept(settings),
            variables=_variables(settings),
        ),
        ".dockerignore": _IGNORED.format(
            let_in="\n".join(f"!{path}" for path in _let_in(settings)),
            left_out="\n".join(_left_out(settings)),
        ),
    }


def prefect_yaml(settings: Settings, pool: Pool) -> str:
    """The text of a `prefect.yaml` with a deployment a schedule, and no path of this machine."""
    # JSON is YAML too: strings need no rules of their own.
    made = [_deployment(settings, schedule, pool) for schedule in settings.schedules.values()]
    lines = [
        f"# Made by `vecmill deploy` from {settings.conf.name}; `prefect deploy --all` reads it.",
        f"name: {json.dumps(lineage.project(settings))}",
        f"prefect-version: {version('prefect')}",
        *_steps(settings, pool),
        "deployments:",
        *(line for one in made for line in _item(one)),
    ]
    return "\n".join(lines) + "\n"


def write(folder: Path, files: dict[str, str], *, force: bool) -> list[Path]:
    """Write files, each of which must be new or as it was written before.

    Raises:
        SettingsError: if there is another of one's name, and not ``force``; nothing is written.
    """
    others = [
        name
        for name, text in files.items()
        if (folder / name).exists() and (folder / name).read_bytes() != text.encode()
    ]
    if others and not force:
        raise SettingsError(
            f"{' and '.join(others)} in {folder} would be written over; move them away, or take "
            "what stands there with --force"
        )
    for name, text in files.items():
        write_page(folder / name, text, "file")
    return [folder / name for name in files]


def _relative(settings: Settings) -> str:
    return settings.conf.relative_to(settings.root).as_posix()


def _kept(settings: Settings) -> str:
    """The folder of the catalog as a container has it."""
    kept = settings.catalog.parent
    if not kept.is_relative_to(settings.root):
        return kept.as_posix()
    return (PurePosixPath(folder_in_image(settings)) / kept.relative_to(settings.root)).as_posix()


def _variables(settings: Settings) -> str:
    """What the configuration must have from the environment, as the end of a sentence."""
    files = [file for file in settings.files if file.name != LOCAL]
    named = {name for file in files for name in wanted(tomllib.loads(file.read_text("utf-8")))}
    return f":\n# the configuration names {', '.join(sorted(named))}" if named else ""


def _let_in(settings: Settings) -> list[str]:
    """What of the project's folder is part of an image."""
    files = [file for file in settings.files if file.name != LOCAL]
    named = {found for one in settings.features.values() for found in _files_of(one.encoder)}
    conf = dict.fromkeys(file.relative_to(settings.root).as_posix() for file in files)
    return [*conf, *sorted(named - {*conf})]


def _files_of(encoder: Plugin) -> Iterator[str]:
    """The files and folders of the project that an encoder names."""
    for name in registry.paths(encoder.kind):
        found = inside(getattr(encoder.params, name))
        if found is not None:
            yield found


def _left_out(settings: Settings) -> list[str]:
    """What is no part of an image even where it lies in what else is one."""
    paths = [settings.catalog.parent, settings.conf.parent / LOCAL]
    if "://" not in settings.vectors:
        paths.insert(1, Path(settings.vectors))
    in_root = settings.catalog.parent == settings.root
    if in_root:
        paths[0] = settings.catalog
    inner = [
        path.relative_to(settings.root) for path in paths if path.is_relative_to(settings.root)
    ]
    lines = [path.as_posix() for path in inner if not {*path.parents} & {*inner}]
    return [f"{lines[0]}*", *lines[1:]] if in_root else lines


def _steps(settings: Settings, pool: Pool) -> list[str]:
    """What is done as the file is deployed, and the step that a run begins with."""
    build, where = ["build: null"], folder_in_image(settings)
    if pool.image is None:
        # Where `prefect deploy` is called, so that the file is as good in another checkout.
        script = "  - prefect.deployments.steps.run_shell_script:"
        build = ["build:", script, "      id: project", "      script: pwd"]
        where = "{{ project.stdout }}"
    step = "  - prefect.deployments.steps.set_working_directory:"
    return [*build, "push: null", "pull:", step, f"      directory: {json.dumps(where)}"]


def _deployment(settings: Settings, schedule: Schedule, pool: Pool) -> dict[str, Any]:
    from flows.operations import deployments

    flow = deployments.FLOWS[schedule.does]
    conf = _relative(settings) if pool.image is None else pool.conf
    return {
        "name": lineage.deployment(settings, schedule.name),
        "description": deployments.described(settings, schedule),
        "version": version("vecmill"),
        "entrypoint": f"flows.operations.jobs.{flow.fn.__name__}",
        "tags": deployments.tags(settings, schedule),
        "parameters": deployments.parameters(settings, schedule, replace(pool, conf=conf)),
        "concurrency_limit": {
            "limit": 1,
            "collision_strategy": deployments.COLLISION[schedule.overlap].value,
        },
        "work_pool": {"name": pool.name or UNNAMED, "job_variables": pool.variables()},
        "schedules": [_due(schedule)],
    }


def _due(schedule: Schedule) -> dict[str, Any]:
    when = schedule.when
    more = {"timezone": when.counted_in, "active": schedule.active}
    if when.kind == "every":
        anchor = ANCHOR.isoformat()
        return {"interval": int(when.interval.total_seconds()), "anchor_date": anchor, **more}
    return {when.kind: when.text, **more}


def _item(deployment: dict[str, Any]) -> list[str]:
    first, *others = [f"{key}: {_yaml(value)}" for key, value in deployment.items()]
    return [f"  - {first}", *(f"    {line}" for line in others)]


def _yaml(value: Any) -> str:  # noqa: ANN401 - plain values
    return json.dumps(value, ensure_ascii=False)
