"""News day by day: ordinary days are quiet, and what goes wrong with a feed is named."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from flows.monitoring.looking import monitor
from flows.output.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from storage.model import FindingRow
    from tests.flows.project import Project

    Row = tuple[str, str, str | None, str]
    Feed = Callable[[int, float], list[Row]]

pytestmark = [pytest.mark.slow, pytest.mark.realdata]

HEADER = ("id", "text", "label", "at")
DAYS, A_DAY = 7, 100
GERMAN = (
    "Der Aufsichtsrat hat am Montag in {0} beschlossen, die Werke im Süden des Landes zu schließen",
    "Nach dem Spiel in {0} sagte der Trainer, die Mannschaft habe in der zweiten Hälfte gekämpft",
    "Forscher der Universität {0} haben ein Verfahren entwickelt, das Strom aus Abwärme gewinnt",
    "Die Regierung in {0} will die Steuern auf Treibstoff senken, teilte ein Sprecher heute mit",
)


def feed(stories: list[dict[str, str]]) -> Feed:
    """News of the last day, the newest some hours old."""

    def day(nth: int, hours: float) -> list[Row]:
        at = datetime.now(UTC) - timedelta(hours=hours)
        some = stories[nth * A_DAY : (nth + 1) * A_DAY]
        return [
            (s["id"], f"{s['title']} {s['body']}", s["label"], str(at - n * timedelta(minutes=9)))
            for n, s in enumerate(some)
        ]

    return day


@pytest.fixture
def news(project: Project, data: Path) -> tuple[Project, Feed, list[Row]]:
    """A feature that has seen ordinary days after all that had gathered before."""
    with (data / "text" / "ag_news.csv").open(encoding="utf-8", newline="") as file:
        day = feed(list(csv.DictReader(file)))
    project.source = {"event_time": "at"}
    project.engine = {"shard_size": 2048}
    project.feature = {"monitors": ["records"]}
    rows: list[Row] = []
    for nth in range(DAYS):
        for part in range(10 if nth == 0 else 1):
            rows += day(50 + part if nth == 0 else nth, 2 + nth % 3)
        project.write(rows, HEADER)
        project.run()
    return project, day, rows


def look(news: tuple[Project, Feed, list[Row]], more: list[Row]) -> tuple[FindingRow, set[str]]:
    project, _, rows = news
    project.write([*rows, *more], HEADER)
    project.run()
    (finding,) = monitor(project.settings(), "notes", Silent())
    return finding, {p["name"] for p in finding.parts if p["verdict"] == "alarm"}


def test_what_goes_wrong_with_a_feed_is_named(news: tuple[Project, Feed, list[Row]]) -> None:
    project, day, rows = news
    (ordinary,) = monitor(project.settings(), "notes", Silent())
    assert ordinary.verdict == "quiet", ordinary.summary
    assert {p["name"] for p in ordinary.parts if p["verdict"] == "quiet"} >= {
        "volume", "freshness", "nulls", "lengths", "languages", "empty",
    }  # fmt: skip

    german = day(10, 2)
    german[:20] = [
        (
            i,
            f"{GERMAN[n % 4].format(f'Neustadt {n}')}. {GERMAN[(n + 1) % 4].format('Berlin')}.",
            c,
            at,
        )
        for n, (i, _, c, at) in enumerate(german[:20])
    ]
    finding, alarms = look(news, german)
    assert alarms == {"languages"}
    assert "de " in finding.summary
    rows += german

    unlabelled = day(11, 3)
    unlabelled[:30] = [(i, text, None, at) for i, text, _, at in unlabelled[:30]]
    finding, alarms = look(news, unlabelled)
    assert alarms == {"nulls of label"}
    assert set(finding.record_ids) <= {row[0] for row in unlabelled[:30]}
    rows += unlabelled

    blank = day(12, 2)
    blank[:15] = [(i, " ", c, at) for i, _, c, at in blank[:15]]
    _, alarms = look(news, blank)
    assert alarms == {"empty"}
    rows += blank

    _, alarms = look(news, day(13, 14 * 24))
    assert alarms == {"freshness"}
    rows += day(13, 14 * 24)

    _, alarms = look(news, [row for nth in range(14, 24) for row in day(nth, 2)])
    assert alarms == {"volume"}
    rows += [row for nth in range(14, 24) for row in day(nth, 2)]

    finding, alarms = look(news, day(25, 3))
    assert (finding.verdict, alarms) == ("quiet", set())
