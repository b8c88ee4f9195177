"""What a schedule starts: time-outs, events, and what is said of names that are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flows.config.settings import SettingsError
from tests.flows.operations.service import wait

if TYPE_CHECKING:
    from types import ModuleType

    from tests.flows.operations.service import Row, Served, Service

pytestmark = pytest.mark.slow

BOTH = '[features.more]\nsource = "notes"\nencoder = "mill"\n'


@pytest.fixture
def jobs(asked: Service) -> ModuleType:
    """The flows, run in this process and seen by the server of these tests."""
    del asked
    from flows.operations import jobs

    return jobs


EVERYTHING = """
[schedules.s]
every = "30 days"

[schedules.tidy]
does = "maintain"
every = "30 days"

[schedules.pages]
does = "report"
features = ["notes"]
every = "30 days"

[schedules.looks]
does = "monitor"
features = ["notes"]
every = "30 days"
"""


def test_each_kind_of_schedule_does_what_it_says(
    served: Served, jobs: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    served.project.feature = {"monitors": ["health"]}
    conf = served.conf(EVERYTHING)
    (row,) = jobs.run("s", conf)
    assert (row["status"], row["rows"]) == ("done", 60)
    assert jobs.maintain("tidy", conf) == []
    (page,) = jobs.report("pages", conf)
    assert page["page"] in map(str, served.project.root.rglob("notes.html"))
    (look,) = jobs.monitor("looks", conf)
    assert (look["feature"], look["monitor"]) == ("notes", "health")
    said = caplog.text
    assert "notes v1 (live): 60 new, 0 changed, 0 deleted, 0 dead letters, 60 rows" in said
    assert "what is no feature's: 0 things put in order" in said
    assert f"See {page['page']}" in said
    assert "notes: monitors: 1 " in said


def test_a_time_out_is_for_all_of_it_and_what_was_encoded_is_kept(
    served: Served, jobs: ModuleType
) -> None:
    served.project.encoder = {"breach": "slow"}
    schedule = '[schedules.s]\nevery = "1 day"\ntimeout = "4 seconds"\nretries = 3\n'
    conf = served.conf(BOTH + schedule)
    with pytest.raises(jobs.JobError) as raised:
        jobs.run("s", conf)
    assert str(raised.value) == (
        "2 of 2 failed: notes: the time-out of 0:00:04 has passed; "
        "more: not begun: the time-out of 0:00:04 had passed"
    )
    assert served.project.rows_or_none() is None
    served.project.encoder = {}
    conf = served.conf(BOTH + schedule.replace("4 seconds", "1 hour"))
    notes, more = jobs.run("s", conf)
    assert (notes["status"], notes["rows"], more["rows"]) == ("done", 60, 60)
    assert notes["encoded"] + notes["resumed"] == 60


def test_an_alarm_is_an_event_of_the_feature(served: Served, jobs: ModuleType) -> None:
    project = served.project
    project.feature = {"monitors": ["encoder"]}
    conf = served.conf('[schedules.s]\ndoes = "monitor"\nevery = "1 day"\n')
    project.run()
    project.encoder = {"breach": "turns"}
    project.write([*served.ROWS, *((f"more{i}", f"more {i}", "x") for i in range(5))])
    project.run()
    (row,) = jobs.monitor("s", conf)
    assert (row["feature"], row["monitor"], row["verdict"]) == ("notes", "encoder", "alarm")
    key = f"vecmill://{project.root.name}/notes"

    def found() -> list[Row]:
        events = served.service.events("vecmill.alarm")
        return [event for event in events if event["resource"]["prefect.resource.id"] == key]

    wait(lambda: bool(found()), "the alarm")
    (event,) = found()
    assert event["resource"]["vecmill.monitor"] == "encoder"
    payload = event["payload"]
    assert (payload["feature"], payload["version"]) == ("notes", 1)
    assert "the encoder changed" in payload["summary"]


def test_names_that_are_not_there_are_told_with_the_nearest(
    served: Served, jobs: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    conf = served.conf('[schedules.s]\nevery = "1 day"\n')
    with pytest.raises(SettingsError, match="no schedule 'z'; there are: s"):
        jobs.run("z", conf)
    with pytest.raises(SettingsError, match="no feature 'note'; did you mean 'notes'"):
        jobs.run("s", conf, ["note"])
    assert "z: not begun: no schedule 'z'; there are: s; readers get what was" in caplog.text
    assert f"Mend the configuration of {conf}" in caplog.text
