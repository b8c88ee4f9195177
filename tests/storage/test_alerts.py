"""What was sent is not sent again while it stands, unless it has become graver."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from storage import alerts
from storage.alerts import Raised
from storage.catalog import Catalog
from storage.database import DatabaseFile
from storage.forgetting import purge_catalog
from storage.schema import FIRST, MIGRATIONS

if TYPE_CHECKING:
    from pathlib import Path

KEY = {"feature": "notes", "version": 1, "run_id": "r", "channel": "ops"}

NOTHING = ("nothing is sent",)


@pytest.fixture
def catalog(tmp_path: Path, empty_catalog: Path) -> Catalog:
    return Catalog(shutil.copyfile(empty_catalog, tmp_path / "catalog.duckdb"))


def sends(catalog: Catalog, verdict: str, *about: str) -> tuple[str, ...] | None:
    """What is sent as new of `drift`, None where all of it is; `NOTHING` where nothing is."""
    claimed = alerts.claim(catalog, KEY, {"drift": Raised(verdict, about)}, [])
    if not claimed:
        return NOTHING
    alerts.settle(catalog, [claimed["drift"].alert_id], None)
    return claimed["drift"].new


def test_a_graver_verdict_is_news_and_a_milder_one_is_not(catalog: Catalog) -> None:
    told = ("watch", "watch", "alarm", "watch", "alarm")
    sent = [sends(catalog, verdict) != NOTHING for verdict in told]
    assert sent == [True, False, True, False, False]
    assert not alerts.claim(catalog, KEY, {}, ["drift"])
    assert alerts.claim(catalog, KEY, {"drift": Raised("watch")}, []), "after it was quiet"


def test_what_is_on_its_way_is_not_sent_twice_and_what_failed_is(catalog: Catalog) -> None:
    first = alerts.claim(catalog, KEY, {"drift": Raised("alarm")}, [])
    assert not alerts.claim(catalog, KEY, {"drift": Raised("alarm")}, [])
    assert alerts.claim(catalog, KEY | {"channel": "other"}, {"drift": Raised("alarm")}, [])
    alerts.settle(catalog, [first["drift"].alert_id], "it answers HTTP 500")
    assert alerts.claim(catalog, KEY, {"drift": Raised("alarm")}, [])


def test_what_an_alarm_was_not_about_before_is_news_once(catalog: Catalog) -> None:
    assert sends(catalog, "alarm", "slice a", "slice b") is None
    assert sends(catalog, "alarm", "slice b", "slice a") == NOTHING
    assert sends(catalog, "alarm", "slice a") == NOTHING, "what is gone is no news"
    assert sends(catalog, "alarm", "slice a", "slice c") == ("slice c",)
    for about in (["slice b"], ["slice c"], [], ["slice a", "slice b", "slice c"]):
        assert sends(catalog, "alarm", *about) == NOTHING, "a part that comes and goes"
    alerts.claim(catalog, KEY, {}, ["drift"])
    assert sends(catalog, "alarm", "slice a") is None


def test_news_that_could_not_be_sent_is_sent_later(catalog: Catalog) -> None:
    sends(catalog, "alarm", "slice a")
    tried = alerts.claim(catalog, KEY, {"drift": Raised("alarm", ("slice a", "slice b"))}, [])
    alerts.settle(catalog, [tried["drift"].alert_id], "it answers HTTP 500")
    assert sends(catalog, "alarm", "slice a", "slice b") == ("slice b",)


def test_an_alarm_that_an_earlier_release_sent_is_not_sent_again(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    before = {number: MIGRATIONS[number] for number in range(1, 5)}
    with DatabaseFile(path, FIRST, before, 10, print).write() as con:
        con.execute(
            "INSERT INTO alerts (alert_id, feature, version, monitor, run_id, channel, verdict, "
            "status, sent_at) SELECT verdict, 'notes', 1, 'drift', 'r', 'ops', verdict, 'sent', "
            "now() FROM (SELECT unnest(['watch', 'alarm']) AS verdict)"
        )
    catalog = Catalog(path)
    assert sends(catalog, "alarm", "slice a") == NOTHING
    assert sends(catalog, "alarm", "slice a", "slice b") == ("slice b",)


def test_an_erased_record_is_in_no_alert(catalog: Catalog) -> None:
    sends(catalog, "alarm", "record 'é-4711-815'", "record 'x'", "record 'é-4711-8150'")
    purge_catalog(catalog, "notes", ["é-4711-815", "x"], [], [])
    (row,) = catalog.query("SELECT about FROM alerts").to_pylist()
    left = ["record '[erased]'", "record '[erased]'", "record 'é-4711-8150'"]
    assert json.loads(row["about"]) == left
