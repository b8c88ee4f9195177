"""Versions of features over features follow those of their parts, and never mix two."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from flows.cli import run_command
from flows.lifecycle import promotion as lifecycle
from flows.lifecycle.lineage import lineage
from flows.lifecycle.recipes import versions
from flows.output.progress import Silent
from flows.pipeline import kin
from flows.pipeline.fit import fit
from flows.pipeline.learning import Draw
from flows.pipeline.versions import open_source
from tests.flows.plugins.letters import vector_of
from tests.flows.project import vector
from tests.flows.shop import NOTES, PHOTOS, unit

if TYPE_CHECKING:
    import pytest

    from tests.flows.shop import Shop


def test_a_new_version_of_a_part_makes_one_of_the_feature(shop: Shop) -> None:
    shop.bring_up()
    shop.eye = 2
    assert [run.version for run in shop.bring_up()] == [1, 2, 1], "not live yet, so not read"
    lifecycle.promote(shop.settings(), "photos", 2)
    fused = shop.bring_up("products")[0]
    assert (fused.version, fused.standing, fused.counts.encoded) == (2, "candidate", 2)
    was, now = (shop.rows(f"products_v{number}")["a"] for number in (1, 2))
    np.testing.assert_allclose(vector(was)[8:], unit("red", 5), atol=1e-6)
    other = vector_of("red", 5, 2)
    np.testing.assert_allclose(vector(now)[8:], other / np.linalg.norm(other), atol=1e-6)
    assert was["content_hash"] == now["content_hash"]
    assert shop.rows("products")["a"]["run_id"] == was["run_id"], "readers see what they saw"
    assert [row["about"] for row in versions(shop.settings(), "products")][1] == "another photos"
    lifecycle.promote(shop.settings(), "products", 2)


def test_rolled_back_the_version_before_is_found_again(shop: Shop) -> None:
    shop.bring_up()
    shop.eye = 2
    shop.bring_up("photos")
    lifecycle.promote(shop.settings(), "photos", 2)
    shop.bring_up("products")
    lifecycle.rollback(shop.settings(), "photos")
    shop.eye = 1
    fused = shop.bring_up("products")[0]
    assert (fused.version, fused.standing, fused.counts.unchanged) == (1, "live", 2)
    assert len(shop.stores().catalog.versions("products")) == 2


def test_the_live_version_goes_on_over_the_versions_that_it_is_of(shop: Shop) -> None:
    shop.keys = 'update = "live"'
    shop.bring_up()
    shop.eye = 2
    shop.bring_up("photos")
    lifecycle.promote(shop.settings(), "photos", 2)
    shop.write([("a", "spoke", "x"), *NOTES[1:]])
    shop.configure()
    shop.run(name="notes")
    fused = shop.run(name="products", target="live")
    assert (fused.version, fused.counts.changed) == (1, 1)
    expected = np.concatenate([unit("spoke", 8), unit("red", 5)])
    np.testing.assert_allclose(vector(shop.rows("products_v1")["a"]), expected, atol=1e-6)


def test_a_part_that_publishes_meanwhile_is_read_as_it_was(shop: Shop) -> None:
    shop.bring_up("notes", "photos")
    settings = shop.settings()
    source = open_source(settings, settings.feature("products"), None)
    stamp = source.stamp()  # type: ignore[attr-defined] # a Joined has one
    shop.write([("a", "spoke", "x"), ("d", "new", "y")])
    shop.run()
    shop.photos([("p1", "a", "green", "", "x")])
    shop.run(name="photos")
    [chunk] = source.scan()
    records = chunk.records.sort("record_id")  # a merge promises no order of rows
    assert records["record_id"].to_list() == ["a", "b"]
    batch = source.fetch(records)["content"].struct.unnest()  # type: ignore[attr-defined]
    np.testing.assert_array_equal(batch["notes"].to_numpy()[0], vector_of("wheel", 8))
    np.testing.assert_array_equal(batch["photos"].to_numpy()[0], vector_of("red", 5))
    assert source.stamp() == stamp  # type: ignore[attr-defined]
    assert open_source(settings, settings.feature("products"), None).stamp() != stamp  # type: ignore[attr-defined]


def test_a_history_gives_what_its_records_are_now(shop: Shop) -> None:
    shop.more = ""
    history = {"history": True}
    shop.feature = history
    shop.source = {"event_time": "at"}
    header = ("id", "text", "label", "at")
    shop.write([("a", "old", "x", "2024-01-01"), ("b", "grain", "y", "2024-01-01")], header)
    shop.bring_up("notes", "photos")
    shop.write([("a", "new", "x", "2024-02-01"), ("b", "grain", "y", "2024-01-01")], header)
    shop.bring_up("notes")
    shop.bring_up("products")
    np.testing.assert_allclose(vector(shop.rows("products")["a"])[:8], unit("new", 8), atol=1e-6)


def test_a_feature_over_a_feature_over_others(shop: Shop) -> None:
    shop.bring_up()
    shop.keys = """
[encoders.again]
kind = "fuse"
weights = { products = 9.0 }

[features.offers]
over = ["products"]
encoder = "again"
"""
    shop.configure()
    settings = shop.settings()
    assert kin.ordered(settings.features, ["offers", "products", "photos"]) == [
        "photos", "products", "offers",
    ]  # fmt: skip
    assert kin.descendants(settings.features, "notes") == ["offers", "products"]
    shop.run(name="offers")
    # SQL gives rows in any order.
    rows, made = shop.rows("products"), shop.rows("offers")
    whole = np.stack([vector(rows[of]) for of in rows]).astype(np.float64)
    centred = whole - whole.mean(axis=0)
    spread = np.sqrt((centred**2).sum(axis=1).mean())
    found = np.stack([vector(made[of]) for of in rows])
    np.testing.assert_allclose(found, 3 * centred / spread, atol=1e-5)
    [trace] = lineage(settings, "offers", "a").traces
    [products] = trace.parts
    notes, photos = products.traces[0].parts
    assert (notes.feature, notes.record_id, photos.record_id) == ("notes", "a", "p1")
    assert photos.traces[0].fingerprint in json.dumps(
        dict(shop.stores().catalog.versions("products")[0].recipe)
    )


def test_what_is_learned_of_parts_makes_a_version_of_its_own(shop: Shop) -> None:
    shop.fuse = 'scale = "standard"'
    shop.bring_up()
    fitted = fit(shop.settings(), "products", Draw(), Silent())
    assert (fitted.new, fitted.fit.records, fitted.version.dim) == (False, 2, 13)
    shop.write([*NOTES, ("d", "oat", "x")])
    shop.photos([*PHOTOS, ("p4", "d", "teal", "", "z")])
    shop.bring_up()
    fitted = fit(shop.settings(), "products", Draw(), Silent())
    assert (fitted.new, fitted.fit.records, fitted.version.version) == (True, 3, 2)
    run = shop.run(name="products", target=2)
    assert (run.version, run.counts.encoded) == (2, 3)
    rows = np.stack([vector(row) for row in shop.rows("products_v2").values()])
    np.testing.assert_allclose(rows.mean(axis=0), 0, atol=1e-6)


def test_a_promotion_tells_of_what_is_over_the_feature(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.bring_up()
    shop.eye = 2
    shop.bring_up("photos")
    conf = str(shop.settings().conf)
    for command in (["promote", "photos", "candidate"], ["rollback", "photos"]):
        assert run_command([*command, "--conf", conf]) == 0
        told = " ".join(capsys.readouterr().err.split())
        assert "over photos is products, which stays as it is" in told
