"""Commands that put what is configured into operation: on a schedule, or in a work pool."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from flows.commands._app import OPERATE, AsJson, Conf, Flag, app, load
from flows.output.answers import complain, print_json, say, table
from flows.output.codes import FINE

if TYPE_CHECKING:
    from flows.config.settings import Settings

_Port = Annotated[int | None, Parameter(metavar="N", show_default=False)]
_COLUMNS = ("schedule", "does", "features", "when", "timezone", "overlap", "next")


@app.command(group=OPERATE)
def serve(
    *, show: Flag = False, port: _Port = None, conf: Conf = None, json: AsJson = False
) -> int:
    """Start what [schedules] says when it is due, until SIGTERM or Ctrl-C.

    It talks to the Prefect server that is configured (PREFECT_API_URL), or starts one on this
    machine for its own life. Each run is a process of its own. When it ends, runs that go on are
    stopped: what they have encoded is kept, nothing half done is published, and the next run goes
    on from there; a second signal ends it at once. The exit code is 0 after SIGTERM, 130 after
    Ctrl-C, and 1 where Prefect's server is gone, or another process serves a schedule already.

    Parameters
    ----------
    show
        Only list the schedules, and when each is due next.
    port
        The port of the server that it starts; 4200, or a free one if that is taken.
    """
    settings = load(conf)
    rows = _rows(_scheduled(settings))
    print_json(rows, json=json)
    if not json:
        table([row | {"next": _to_the_second(row["next"])} for row in rows], _COLUMNS)
    if show:
        return FINE
    from flows.operations.alone import alone

    with alone(settings):
        return _served(settings, port)


def _served(settings: Settings, port: int | None) -> int:
    # What runs log is what there is to see here; elsewhere it is told in our words.
    if os.environ.get("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL") == "CRITICAL":
        os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "INFO"
    from flows.operations import ending, serving

    with serving.api(port, settings.catalog.parent / "prefect-server.log") as server:
        say(f"Prefect's pages are at {serving.pages(server)}")
        ended = serving.serve(settings, server, say, lambda: say("serving; Ctrl-C ends it"))
    if ended.problem is not None:
        complain(ended.problem, code=ended.code)
        ending.at_once(ended.code)
    say("ended; the schedules are paused until they are served again")
    return ended.code


@app.command(group=OPERATE)
def deploy(
    *,
    pool: Annotated[str | None, Parameter(metavar="POOL", show_default=False)] = None,
    image: Annotated[str | None, Parameter(metavar="IMAGE", show_default=False)] = None,
    write_only: Flag = False,
    force: Flag = False,
    notify: Annotated[str | None, Parameter(metavar="BLOCK", show_default=False)] = None,
    conf: Conf = None,
    json: AsJson = False,
) -> int:
    """Have the workers of a Prefect work pool start what [schedules] says when it is due.

    Each schedule becomes a deployment, made anew where it is there already. With --write-only they
    are written down instead, into a prefect.yaml for `prefect deploy --all` in that folder, beside
    a Dockerfile. With --json there is a row for each deployment, file and automation.

    Parameters
    ----------
    pool
        The work pool: `prefect work-pool create NAME` makes one. Where none is named it is that of
        PREFECT_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME, which a prefect.yaml that names none asks for.
    image
        The image that workers start, for a pool of containers; the Dockerfile makes one.
    write_only
        Write prefect.yaml, Dockerfile and .dockerignore into the project's folder, and ask no
        server anything.
    force
        Write over files of these names.
    notify
        A notification block, such as slack-webhook/ops: automations have it told of runs that
        fail and of alarms.
    """
    from flows.config.settings import SettingsError
    from flows.operations import files, pools

    settings = _scheduled(load(conf))
    if write_only and notify is not None:
        raise SettingsError("--notify asks the server; leave --write-only out, or deploy first")
    target = pools.pool(settings, pool, image)
    if write_only:
        made = files.write(settings.root, files.texts(settings, target), force=force)
        print_json([{"file": str(path)} for path in made], json=json)
        for path in made:
            say(f"wrote {path}")
        return FINE
    rows = pools.deploy(settings, target)
    print_json(rows, json=json)
    if not json:
        table(rows, ("deployment", "schedule", "pool", "next"))
        say(f"a worker takes them up: `prefect worker start --pool {target.name}`")
    if notify is not None:
        from flows.operations import automations

        names = automations.make(settings, notify)
        print_json([{"automation": name} for name in names], json=json)
        for name in names:
            say(f"automation: {name}")
    return FINE


def _scheduled(settings: Settings) -> Settings:
    """The configuration, which must have a schedule."""
    from flows.config.settings import SettingsError

    if not settings.schedules:
        files = ", ".join(str(file) for file in settings.files)
        raise SettingsError(
            f"nothing is scheduled in {files}; add a table such as [schedules.nightly] with "
            "cron = '0 3 * * *'"
        )
    return settings


def _to_the_second(due: datetime | None) -> datetime | str | None:
    """When a schedule is due, with its seconds where it has any."""
    return f"{due:%Y-%m-%d %H:%M:%S} UTC" if due is not None and due.second else due


def _rows(settings: Settings) -> list[dict[str, Any]]:
    """The schedules, the one that is due first at the top."""
    now = datetime.now(UTC)
    rows = []
    for schedule in settings.schedules.values():
        due = schedule.when.after(now) if schedule.active else None
        rows.append(
            {
                "schedule": schedule.name,
                "does": schedule.does,
                "features": ", ".join(schedule.features) or "all",
                "when": schedule.when.told(),
                "timezone": schedule.when.zone,
                "overlap": schedule.overlap,
                "active": schedule.active,
                "next": due,
            }
        )
    return sorted(rows, key=lambda row: (row["next"] is None, row["next"] or now))
