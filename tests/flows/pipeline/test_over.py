"""Features over features: joined by their ids, fused, and brought up to date."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.config.configuration import load
from flows.pipeline.scope import Scope
from storage.aligned import Aligned
from tests.flows.project import vector
from tests.flows.shop import PHOTOS, Heard, unit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.flows.shop import Shop


def test_parts_are_joined_by_their_ids_and_fused(shop: Shop) -> None:
    fused = shop.bring_up()[-1]
    assert (fused.counts.records, fused.counts.new, fused.rows) == (2, 2, 2)
    rows = shop.rows("products")
    expected = np.concatenate([unit("wheel", 8), unit("red", 5)])
    np.testing.assert_allclose(vector(rows["a"]), expected, atol=1e-6)
    assert rows["a"]["label"] == "x"
    [version] = shop.stores().catalog.versions("products")
    assert (version.dim, version.metric, version.modality) == (13, "l2", "vector")
    parents = {name: shop.stores().catalog.live(name) for name in ("notes", "photos")}
    named: Any = version.recipe["parts"]
    assert [part["fingerprint"] for part in named] == [
        parent.fingerprint for parent in parents.values() if parent
    ]


def test_what_has_not_changed_is_not_read_and_not_fused_again(shop: Shop) -> None:
    shop.bring_up()
    again = shop.bring_up("products")[0]
    assert (again.counts.unchanged, again.counts.encoded) == (2, 0)
    shop.write([("a", "wheel", "x"), ("b", "other grain", "y"), ("c", "flour", "z")])
    _, fused = shop.bring_up("notes", "products")
    assert (fused.version, fused.counts.changed, fused.counts.encoded) == (1, 1, 1)
    expected = np.concatenate([unit("other grain", 8), unit("blue", 5)])
    np.testing.assert_allclose(vector(shop.rows("products")["b"]), expected, atol=1e-6)


def test_an_unchanged_run_opens_no_vectors(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.bring_up()
    seen: list[bool] = []
    real = Aligned.stream

    def stream(tables: Aligned, *, every: bool) -> Iterator[Any]:
        seen.append(every)
        return real(tables, every=every)

    monkeypatch.setattr(Aligned, "stream", stream)
    shop.bring_up("products")
    assert not seen
    shop.run(name="products", scope=Scope(full=True))
    assert seen


def test_weights_and_a_changed_weight_make_another_version(shop: Shop) -> None:
    shop.bring_up()
    shop.fuse = "weights = { notes = 4.0 }"
    fused = shop.bring_up("products")[0]
    assert (fused.version, fused.standing, fused.counts.encoded) == (2, "candidate", 2)
    expected = np.concatenate([2 * unit("wheel", 8), unit("red", 5)])
    np.testing.assert_allclose(vector(shop.rows("products_v2")["a"]), expected, atol=1e-6)


def test_records_that_lack_a_part_are_passed_over_and_told(shop: Shop) -> None:
    shop.configure()
    for name in ("notes", "photos"):
        shop.run(name=name)
    heard = Heard()
    shop.run_told("products", heard)
    assert any(
        "of 3 records 1 have no vector of photos; these are passed over" in note
        for note in heard.notes
    )
    shop.photos([*PHOTOS, ("p9", "", "green", "2024-01-03", "z"), ("p8", "d", "red", "", "z")])
    shop.bring_up("photos")
    heard = Heard()
    shop.run_told("products", heard)
    assert any("1 row of photos has no id to join it by" in note for note in heard.notes)
    assert any("1 have no vector of notes, 1 have no vector of photos" in n for n in heard.notes)
    assert sorted(shop.rows("products")) == ["a", "b"]


def test_records_of_any_part_with_zeros_for_what_they_lack(shop: Shop) -> None:
    shop.require = "any"
    shop.photos([*PHOTOS, ("p8", "d", "red", "", "z")])
    fused = shop.bring_up()[-1]
    rows = shop.rows("products")
    assert sorted(rows) == ["a", "b", "c", "d"]
    assert fused.counts.new == 4
    np.testing.assert_allclose(vector(rows["c"])[:8], unit("flour", 8), atol=1e-6)
    assert not vector(rows["c"])[8:].any()
    assert not vector(rows["d"])[:8].any()
    assert (rows["c"]["label"], rows["d"]["label"]) == ("z", None)


def test_what_vanishes_from_a_part_vanishes(shop: Shop) -> None:
    shop.bring_up()
    shop.photos(PHOTOS[1:])
    fused = shop.bring_up("photos", "products")[-1]
    assert (fused.counts.deleted, list(shop.rows("products"))) == (1, ["b"])


def test_a_dead_letter_of_a_part_is_a_record_that_lacks_it(shop: Shop) -> None:
    shop.photos([PHOTOS[0], ("p2", "b", "FAIL", "", "y")])
    fused = shop.bring_up()[-1]
    assert (fused.counts.new, fused.counts.dead, list(shop.rows("products"))) == (1, 0, ["a"])


def test_two_rows_for_one_record_are_a_dead_letter(shop: Shop) -> None:
    shop.photos([*PHOTOS, ("p3", "b", "green", "", "z")])
    fused = shop.bring_up()[-1]
    assert (fused.counts.new, fused.counts.dead) == (1, 1)
    [reason] = shop.dead().values()
    assert reason.startswith("2 records of photos have product = 'b', and one was expected")
    shop.photos(PHOTOS)
    assert shop.bring_up("photos", "products")[-1].counts.dead == 0


def test_event_time_and_columns_are_those_that_are_named(shop: Shop) -> None:
    shop.over = (
        '[{ feature = "photos", id = "product", keep = ["spot"] }, '
        '{ feature = "notes", keep = ["label"] }]'
    )
    shop.bring_up()
    row = shop.rows("products")["a"]
    assert (row["event_time"].year, row["spot"], row["label"]) == (2024, "x", "x")
    assert "product" not in row
    np.testing.assert_allclose(vector(row)[:5], unit("red", 5), atol=1e-6)


@pytest.mark.parametrize("block", [0, 1])
def test_the_page_on_it_is_a_configuration(tmp_path: Path, block: int) -> None:
    page = Path(__file__).parents[3] / "docs" / "over.md"
    blocks = re.findall(r"^```toml\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    parts = "".join(
        f"""
        [features.{name}]
        source = "all"
        encoder = "rows"
        """
        for name in ("titles", "photos", "prices")
    )
    rest = """
        [sources.all]
        kind = "table"
        path = "all.csv"

        [encoders.rows]
        kind = "tabular"

        [encoders.fused]
        kind = "fuse"
    """
    path = tmp_path / "vecmill.toml"
    path.write_text(blocks[block] + parts + rest, encoding="utf-8")
    over = load(path).features["products"].over
    assert over is not None
    assert [part.feature for part in over.parts] == ["titles", "photos", "prices"]
