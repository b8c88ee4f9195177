"""Schedules put into a work pool by Prefect's API."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flows import run as _run  # noqa: F401 - first: it sets what Prefect reads when it is imported

# isort: split

from httpx import HTTPError
from prefect.client.orchestration import get_client
from prefect.deployments.runner import DeploymentApplyError
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import PREFECT_API_URL, PREFECT_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME

from flows.config.settings import SettingsError
from flows.operations import files, names
from flows.operations.deployments import Pool, deployment, full_name
from flows.pipeline.refusals import RunError

if TYPE_CHECKING:
    from flows.config.settings import Settings


def pool(settings: Settings, name: str | None, image: str | None) -> Pool:
    """A work pool, and the configuration file as its workers find it.

    Args:
        settings: the configuration.
        name: of the pool; what Prefect has as the default one where it is None.
        image: that a worker starts, where the pool is of containers.
    """
    name = name or PREFECT_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME.value()
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
    if target.name is None:
        raise SettingsError(
            "no work pool is named; name one with --pool or by setting "
            f"{files.POOL_VARIABLE}, and `prefect work-pool ls` lists those that there are"
        )
    if not PREFECT_API_URL.value():
        raise SettingsError(
            "work pools are on a Prefect server, and none is named; set PREFECT_API_URL to its "
            "address, such as http://127.0.0.1:4200/api, or schedule without one: `vecmill serve`"
        )
    try:
        _check(target, target.name)
        _refuse_anothers(settings)
        return [_deploy(settings, name, target) for name in settings.schedules]
    except (PrefectException, DeploymentApplyError, HTTPError) as error:
        raise RunError(f"Prefect's server at {PREFECT_API_URL.value()}: {error}") from error


def _check(target: Pool, name: str) -> None:
    with get_client(sync_client=True) as client:
        try:
            found = client.read_work_pool(name)
        except ObjectNotFound:
            raise SettingsError(
                f"Prefect has no work pool {name!r}; `prefect work-pool ls` lists those "
                f"that it has, and `prefect work-pool create {name} --type process` makes it"
            ) from None
    if target.image is not None and found.type == "process":
        raise SettingsError(
            f"the work pool {name!r} starts processes, which have no image; leave --image "
            "out, or name a pool of containers"
        )


def _refuse_anothers(settings: Settings) -> None:
    """Before any is made, so that all are or none."""
    with get_client(sync_client=True) as client:
        for schedule in settings.schedules.values():
            name = full_name(settings, schedule)
            with suppress(ObjectNotFound):
                found = client.read_deployment_by_name(name)
                names.refuse_anothers(settings, name, found.parameters)


def _deploy(settings: Settings, name: str, target: Pool) -> dict[str, Any]:
    schedule = settings.schedules[name]
    made = deployment(settings, schedule, target)
    made.apply()
    due = schedule.when.after(datetime.now(UTC)) if schedule.active else None
    full = full_name(settings, schedule)
    return {"deployment": full, "schedule": name, "pool": target.name, "next": due}
