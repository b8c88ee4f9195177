"""What was sent is not sent again while it stands, unless it has become graver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage import alerts
from storage.catalog import Catalog

if TYPE_CHECKING:
    from pathlib import Path

KEY = {"feature": "notes", "version": 1, "run_id": "r", "channel": "ops"}


def test_a_graver_verdict_is_news_and_a_milder_one_is_not(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.duckdb")
    sent = []
    for verdict in ("watch", "watch", "alarm", "watch", "alarm"):
        claimed = alerts.claim(catalog, KEY, {"drift": verdict}, [])
        alerts.settle(catalog, list(claimed.values()), None)
        sent.append(bool(claimed))
    assert sent == [True, False, True, False, False]
    assert not alerts.claim(catalog, KEY, {}, ["drift"])
    assert alerts.claim(catalog, KEY, {"drift": "watch"}, []), "after it was quiet"


def test_what_is_on_its_way_is_not_sent_twice_and_what_failed_is(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.duckdb")
    first = alerts.claim(catalog, KEY, {"drift": "alarm"}, [])
    assert not alerts.claim(catalog, KEY, {"drift": "alarm"}, [])
    assert alerts.claim(catalog, KEY | {"channel": "other"}, {"drift": "alarm"}, [])
    alerts.settle(catalog, list(first.values()), "it answers HTTP 500")
    assert alerts.claim(catalog, KEY, {"drift": "alarm"}, [])
