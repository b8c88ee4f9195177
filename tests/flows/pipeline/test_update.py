"""Which versions runs bring up to date while a candidate stands beside the live one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flows.pipeline.versions import targets
from storage.model import UsageError

if TYPE_CHECKING:
    from tests.flows.project import Project

THREE = (("a", "wheel", "x"), ("b", "grain", "y"), ("c", "flour", "z"))
FOUR = (*THREE, ("d", "water", "x"))


def with_candidate(project: Project, update: str) -> None:
    """A live v1, a candidate v2 of another encoder, and a new record in the source."""
    project.write(THREE)
    project.run()
    project.encoder = {"revision": 2}
    project.run()
    project.feature = {"update": update}
    project.write(FOUR)


def run_all(project: Project) -> list[tuple[int, str]]:
    settings = project.settings()
    chosen = targets(settings.feature("notes"), project.stores())
    outcomes = [project.run(target=target) for target in chosen]
    return [(outcome.version, outcome.standing) for outcome in outcomes]


def held(project: Project) -> list[int]:
    return [len(project.rows(view)) for view in ("notes_v1", "notes_v2")]


@pytest.mark.parametrize(
    ("update", "ran", "rows"),
    [
        ("configured", [(2, "candidate")], [3, 4]),
        ("live", [(1, "live")], [4, 3]),
        ("both", [(1, "live"), (2, "candidate")], [4, 4]),
    ],
)
def test_what_runs_bring_up_to_date(
    project: Project, update: str, ran: list[tuple[int, str]], rows: list[int]
) -> None:
    with_candidate(project, update)
    assert run_all(project) == ran
    assert held(project) == rows
    assert [v.standing for v in project.versions()] == ["live", "candidate"]


def test_the_live_version_goes_on_with_the_encoder_that_made_it(project: Project) -> None:
    with_candidate(project, "live")
    before = project.rows()
    run_all(project)
    after = project.rows()
    assert {k: after[k]["vector"] for k in before} == {k: r["vector"] for k, r in before.items()}
    project.encoder = {}
    project.feature = {}
    project.write((*FOUR[:3], ("e", "water", "x")))
    outcome = project.run()
    assert (outcome.version, outcome.counts.deduplicated) == (1, 1), "an equal vector was there"


def test_both_are_one_where_the_configured_encoder_is_live(project: Project) -> None:
    with_candidate(project, "both")
    project.promote(2)
    assert run_all(project) == [(2, "live")]


def test_a_first_run_is_of_the_configured_encoder(project: Project) -> None:
    project.write(THREE)
    project.feature = {"update": "live"}
    assert run_all(project) == [(1, "live")]


def test_a_candidate_is_begun_or_asked_for_by_name(project: Project) -> None:
    project.write(THREE)
    project.run()
    with pytest.raises(UsageError, match=r"notes has no candidate: .* of v1, which is live"):
        project.run(target="candidate")
    project.encoder = {"revision": 2}
    assert project.run(target="candidate").version == 2
    assert project.run(target="candidate").counts.unchanged == 3
    assert project.run(target=1).counts.unchanged == 3
    with pytest.raises(UsageError, match="no version v7; there are: v1, v2"):
        project.run(target=7)


def test_an_encoder_that_changed_under_a_version_is_refused(project: Project) -> None:
    with_candidate(project, "live")
    with project.stores().catalog.transaction() as con:
        con.execute("UPDATE versions SET params = json_merge_patch(params, '{\"revision\": 9}') "
                    "WHERE version = 1")  # fmt: skip
    with pytest.raises(UsageError, match=r"notes_v1 was made by .* revision was 1, is 9"):
        run_all(project)
    assert held(project) == [3, 3]
