"""The flows: `embed` and `monitor`. Run them here, serve them on a schedule, or deploy them.

Without ``PREFECT_API_URL`` Prefect starts a server of its own for the life of the process; with it,
runs are seen in that server's UI. Parameters are names and plain values, so that a deployment can
be started from the UI as well.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from flows.outcomes import Outcome
    from storage.model import FindingRow

# Read by Prefect when it is imported. Its first start migrates a database, which takes minutes on a
# busy machine; and a tool that people run on private records has no business phoning home.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "600")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")

from httpx import HTTPError
from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.exceptions import PrefectException
from prefect.task_runners import ThreadPoolTaskRunner

from flows import monitoring, pipeline
from flows.progress import listener
from flows.settings import load
from flows.tasks import Tasks


@flow(name="embed", flow_run_name="embed {feature}", persist_result=False)
def embed(feature: str, conf: str | None = None, *, refit: bool = False) -> dict[str, Any]:
    """Bring a feature's vectors up to date with its source, and publish them.

    Args:
        feature: the feature's name in the configuration.
        conf: the configuration file, as for ``vecmill --conf``.
        refit: let an encoder that learns do so again, which makes a new version.

    Returns:
        `flows.outcomes.Outcome.row`.
    """
    settings = load(Path(conf) if conf else None)
    engine = Tasks(settings.engine.retries)
    outcome = pipeline.embed(settings, feature, engine, listener(), refit=refit)
    _keep_page(_outcome_page(outcome), _key("run", feature))
    return outcome.row()


@flow(name="monitor", flow_run_name="monitor {feature}", persist_result=False)
def monitor(
    feature: str, conf: str | None = None, version: int | None = None
) -> list[dict[str, Any]]:
    """Run a feature's monitors on what the last run of a version (the live one) wrote.

    Returns:
        The findings, `storage.model.FindingRow` as plain values.
    """
    settings = load(Path(conf) if conf else None)
    findings = monitoring.monitor(settings, feature, listener(), version)
    _keep_page(_findings_page(findings), _key("findings", feature))
    return [asdict(finding) for finding in findings]


def with_workers(workers: int) -> Any:  # noqa: ANN401 - a Prefect flow
    """The embed flow with so many shards encoded at once."""
    runner: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=workers)
    return embed.with_options(task_runner=cast("Any", runner))  # invariant in its future type


def _keep_page(page: str, key: str) -> None:
    """Show a page with the flow run; what is published stays so where Prefect cannot take it."""
    try:
        create_markdown_artifact(page, key=key)
    except (PrefectException, HTTPError) as error:
        listener().note(f"Prefect did not take the run's page: {error}")


def _key(what: str, feature: str) -> str:
    """An artifact's key; Prefect allows lower-case letters, digits and dashes."""
    return f"vecmill-{what}-{feature.replace('_', '-')}"


def _outcome_page(outcome: Outcome) -> str:
    lines = [f"| {name} | {value} |" for name, value in outcome.row().items()]
    return "\n".join([f"## {outcome.feature}", "", "| | |", "|---|---|", *lines])


def _findings_page(findings: list[FindingRow]) -> str:
    return "\n\n".join(f"**{f.monitor}: {f.verdict}.** {f.summary}" for f in findings)
