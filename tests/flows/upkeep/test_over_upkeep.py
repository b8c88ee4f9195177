"""Erasing, cleaning, tracing and backfilling features over features."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from flows.cli import run_command
from flows.config.settings import Gc
from flows.lifecycle import promotion as lifecycle
from flows.output.progress import Silent
from flows.pipeline import backfills
from flows.pipeline.scope import Scope
from flows.upkeep.derived import derived
from flows.upkeep.erase import Eraser
from flows.upkeep.gc import Collector
from storage.locks import exclusive
from storage.model import StorageError, UsageError
from tests.flows.shop import PHOTOS

if TYPE_CHECKING:
    from tests.flows.shop import Shop


def test_erasing_from_a_part_erases_what_was_made_of_it(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.bring_up()
    settings = shop.settings()
    assert derived(settings, {"photos": ["p1"]}) == {"products": {"a"}, "photos": {"p1"}}
    conf = str(settings.conf)
    assert run_command(["erase", "photos", "--id", "p1", "--conf", conf]) == 0
    assert "products" in capsys.readouterr().out
    assert sorted(shop.rows("products")) == ["a", "b"], "only with --yes"
    shop.photos(PHOTOS[1:])
    assert run_command(["erase", "photos", "--id", "p1", "--yes", "--conf", conf]) == 0
    assert sorted(shop.rows("products")) == ["b"]
    assert sorted(shop.rows("photos")) == ["p2"]
    table = shop.stores().vectors.head("products_v1")
    assert len(table.versions()) == 1
    receipts = shop.stores().catalog.query("SELECT feature, receipt FROM erasures").to_pylist()
    assert [row["feature"] for row in receipts] == ["products", "photos"]
    assert all(json.loads(row["receipt"])["proved"] for row in receipts)
    assert shop.bring_up("products")[0].counts.records == 1


def test_erasing_finds_what_was_made_of_a_row_when_it_named_another_record(shop: Shop) -> None:
    shop.bring_up()
    shop.photos([("p1", "c", *PHOTOS[0][2:]), PHOTOS[1]])
    shop.bring_up("photos")
    assert derived(shop.settings(), {"photos": ["p1"]})["products"] == {"a", "c"}


def test_erasing_looks_through_versions_of_before_the_id_was_kept(shop: Shop) -> None:
    shop.configure()
    now = shop.more
    shop.more = now.replace('keep = ["product", "spot"]', 'keep = ["spot"]')
    shop.run(name="photos")
    shop.more = now.replace("revision = 1", "revision = 2")
    shop.run(name="photos")
    found = derived(shop.settings(), {"photos": ["p1"]})
    assert found == {"products": {"a"}, "photos": {"p1"}}


def test_erasing_what_was_made_alone_says_that_it_comes_back(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.bring_up()
    conf = str(shop.settings().conf)
    run_command(["erase", "products", "--id", "a", "--conf", conf])
    assert "erase them from what it is over (notes, photos)" in capsys.readouterr().err


def test_what_is_over_a_retired_version_keeps_its_table(shop: Shop) -> None:
    shop.bring_up()
    shop.eye = 2
    shop.bring_up("photos")
    lifecycle.promote(shop.settings(), "photos", 2)
    settings = shop.settings()
    policy = Gc(keep_runs=1, keep_days=0, drop_retired_after_days=0, grace_hours=0)
    items = Collector(settings, policy).collect([], Silent())
    [kept] = [item for item in items if item.kind == "table"]
    assert (kept.goes, kept.why) == (False, "products_v1 is over it")
    shop.bring_up("products")
    lifecycle.promote(shop.settings(), "products", 2)
    items = Collector(settings, policy).collect([], Silent())
    assert {item.what for item in items if item.kind == "table" and item.goes} == {
        "all of photos_v1", "all of products_v1",
    }  # fmt: skip


def test_collecting_waits_for_a_run_of_what_is_over_it(shop: Shop) -> None:
    shop.bring_up()
    shop.engine = {"wait_seconds": 0.2}
    settings = shop.settings()
    lock = shop.stores().locks / "products.lock"
    with exclusive(lock, "products", 1, Silent().note):
        for clean in (
            lambda: Collector(settings, Gc()).collect(["photos"], Silent()),
            lambda: Eraser(settings, "photos", ["p1"]).erase(Silent()),
        ):
            with pytest.raises(StorageError, match="another run of products"):
                clean()


def test_plain_commands_take_parts_first(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.more = shop.more.replace("[features.photos]", "[features.zoom]").replace(
        'feature = "photos"', 'feature = "zoom"'
    )
    conf = str(shop.settings().conf)
    assert run_command(["plan", "--json", "--conf", conf]) == 0
    told = [json.loads(line)["feature"] for line in capsys.readouterr().out.splitlines()]
    assert sorted(told) == ["notes", "zoom"]
    assert run_command(["plan", "products", "--json", "--conf", conf]) == 2
    err = " ".join(capsys.readouterr().err.split())
    assert "over notes and zoom, which have no live version yet" in err
    assert "run `vecmill run notes zoom products`" in err
    named = ["products", "zoom", "notes"]
    assert run_command(["run", *named, "--direct", "--json", "--conf", conf]) == 0
    told = [json.loads(line)["feature"] for line in capsys.readouterr().out.splitlines()]
    assert told == ["notes", "zoom", "products"]
    assert run_command(["plan", "--json", "--conf", conf]) == 0
    told = [json.loads(line)["feature"] for line in capsys.readouterr().out.splitlines()]
    assert told.index("products") > told.index("zoom")
    assert run_command(["lineage", "products", "a", "--place", "--conf", conf]) == 0
    out = capsys.readouterr().out
    assert "place: notes_v1: a, with the same content" in out
    assert "    zoom 'p1' of the source 'photos' (table)" in out


def test_a_backfill_takes_the_event_times_of_the_first_part(shop: Shop) -> None:
    since, until = (datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2))
    shop.bring_up("notes", "photos")
    asked = backfills.Asked(since, until)
    with pytest.raises(UsageError, match="event times are those of notes, which over names first"):
        backfills.plan(shop.settings(), "products", asked, Silent())
    shop.over = '[{ feature = "photos", id = "product" }, "notes"]'
    shop.configure()
    shop.run(name="products", scope=Scope("backfill", since, until))
    assert sorted(shop.rows("products")) == ["a"]
