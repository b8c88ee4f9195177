"""Schedules put into a work pool by Prefect's API."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows import run as _run  # noqa: F401 - first: it sets what Prefect reads when it is imported

# isort: split

from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.deployments.runner import DeploymentApplyError
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import PREFECT_API_URL

from flows.config.settings import SettingsError
from flows.operations import files
from flows.operations.deployments import FLOWS, Pool, deployment
from flows.pipeline.refusals import RunError

if TYPE_CHECKING:
    from flows.config.settings import Settings


def pool(settings: Settings, name: str, image: str | None) -> Pool:
    """A work pool, and the configuration file as its workers find it."""
    conf = str(settings.conf) if image is None else files.conf_in_image(settings)
    return Pool(name, image, conf)


def deploy(settings: Settings, target: Pool) -> list[dict[str, Any]]:
    """Make a deployment of each schedule, or make it anew.

    Returns:
        A row a deployment.

    Raises:
        SettingsError: if no server is named, or it has no such pool.
        RunError: if the server cannot be reached, or takes no deployment.
    """
    if not PREFECT_API_URL.value():
        raise SettingsError(
            "work pools are on a Prefect server, and none is named; set PREFECT_API_URL to its "
            "address, such as http://127.0.0.1:4200/api, or schedule without one: `vecmill serve`"
        )
    try:
        _check(target)
        return [_deploy(settings, name, target) for name in settings.schedules]
    except (PrefectException, DeploymentApplyError, HTTPError) as error:
        raise RunError(f"Prefect's server at {PREFECT_API_URL.value()}: {error}") from error


def _check(target: Pool) -> None:
    with get_client(sync_client=True) as client:
        try:
            found = client.read_work_pool(target.name)
        except ObjectNotFound:
            raise SettingsError(
                f"Prefect has no work pool {target.name!r}; `prefect work-pool ls` lists those "
                f"that it has, and `prefect work-pool create {target.name} --type process` makes it"
            ) from None
    if target.image is not None and found.type == "process":
        raise SettingsError(
            f"the work pool {target.name!r} starts processes, which have no image; leave --image "
            "out, or name a pool of containers"
        )


def _deploy(settings: Settings, name: str, target: Pool) -> dict[str, Any]:
    schedule = settings.schedules[name]
    made = deployment(settings, schedule, target)
    made.apply()
    due = schedule.when.after(datetime.now(UTC)) if schedule.active else None
    full = f"{FLOWS[schedule.does].name}/{made.name}"
    return {"deployment": full, "schedule": name, "pool": target.name, "next": due}
