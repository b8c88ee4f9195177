"""What a run would do, asked for by a button: to read a source may take long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flows.config.settings import SettingsError
from flows.config.stores import Stores
from flows.output import units
from flows.output.markup import Html, el, put
from flows.pipeline import stages, versions
from flows.reports.grid import Column
from flows.ui import frame
from flows.ui.grids import rows_table
from flows.ui.jobs import PATIENCE

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from flows.pipeline.outcomes import Planned
    from flows.ui.jobs import Job
    from flows.ui.site import Site

_NAMES = ("records", "new", "changed", "updated", "unchanged", "deleted", "deduplicated",
          "encoded", "resumed", "dead")  # fmt: skip
_COLUMNS = {"table": Column("Version")} | {
    name: Column(name.capitalize(), is_number=True) for name in _NAMES
}


def plan(site: Site, request: Request) -> Response:
    """The button, and what came of it."""
    name = site.feature(request.path_params["name"])
    job = site.jobs.find(request.query_params.get("job"))
    going = job is not None and not job.ended.is_set()
    address = f"/features/{name}/plan"
    lead = frame.lead(
        "What a run would do now, as ", el("code", f"vecmill plan {name}"), " tells it: the source "
        "is read and held against what is published. Nothing is encoded or written.",
    )  # fmt: skip
    button = el("button", "Plan again" if job else "Plan", disabled=going)
    return frame.page(
        f"{name}: plan", frame.title(name, el("span", "plan")), frame.feature_nav(name, "/plan"),
        lead, el("form", button, action=address, method="post"),
        el("div", frame.slot(job) if job else None, id="answer"),
        again=f"{address}?job={job.id}" if job and going else None,
    )  # fmt: skip


def begin(site: Site, name: str) -> Job:
    """Begin to plan.

    Raises:
        SettingsError: if the feature is in no configuration any more.
    """
    settings = site.settings
    if name not in settings.features:
        raise SettingsError(f"{name} is in no configuration any more, so no run would do anything")

    def work(job: Job) -> Html:
        targets = versions.targets(settings.feature(name), Stores.of(settings))
        return _told([stages.plan(settings, name, job, target=one) for one in targets])

    job = site.jobs.start({}, f"Reading the source of {name}", "plan", work)
    job.ended.wait(PATIENCE)
    return job


def _told(plans: list[Planned]) -> Html:
    rows = []
    for one in plans:
        new = ", new" if one.creates else ""
        rows.append(one.row() | {"table": f"v{one.version}{new}"})
    words = []
    for one in plans:
        work = f"{one.counts.encoded:,} to encode" if one.counts.encoded else "nothing to encode"
        known = one.counts.encoded and one.seconds is not None
        time = f", {units.about(one.seconds or 0)}" if known else ""
        money = "" if one.cost is None else f", about {one.cost:,.4g} {one.currency}"
        words.append(el("p", f"v{one.version}: {work}{time}{money}", class_="verdict small"))
        words += [frame.wrong(f"A run would fail: {one.problem}")] if one.problem else []
    return put(*words, rows_table(rows, _COLUMNS, "What a run would do"))
