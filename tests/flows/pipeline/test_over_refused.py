"""What a feature over features cannot be, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from encoders.base import EncoderUsageError
from flows.config.settings import SettingsError
from flows.output.progress import Silent
from flows.pipeline import stages as pipeline
from storage.model import UsageError

if TYPE_CHECKING:
    from tests.flows.shop import Shop


@pytest.mark.parametrize(
    ("attribute", "value", "said"),
    [
        ("over", '["notes", "photo"]', "is over 'photo', which is no feature; did you mean"),
        ("over", '["products"]', "in a circle: products over products"),
        ("over", '["notes", "notes"]', "names 'notes' more than once"),
        (
            "over",
            '[{ feature = "notes", on = "id" }]',
            "unknown key 'on' in ",
        ),
        ("over", "[]", "needs either a source, or over"),
        ("keys", 'source = "notes"', "needs either a source, or over"),
        ("keys", "history = true", "cannot be together with over"),
        ("fuse", "parts = [{ feature = 'notes', dim = 8 }]", "names parts, which a run fills in"),
        ("fuse", "weights = { notes = -1 }", "weights.notes must be 0 or more"),
        ("fuse", "weights = { photo = 2.0 }", r"weight for 'photo', .*did you mean 'photos'\?"),
    ],
)
def test_a_configuration_that_cannot_be(shop: Shop, attribute: str, value: str, said: str) -> None:
    setattr(shop, attribute, value)
    shop.configure()
    with pytest.raises(SettingsError, match=said):
        shop.settings()


def test_encoders_of_vectors_and_features_over_features_go_together(shop: Shop) -> None:
    shop.feature = {"encoder": "fused"}
    with pytest.raises(SettingsError, match="of the source 'notes', and its encoder 'fused'"):
        shop.settings()
    shop.feature = {}
    shop.more = shop.more.replace('encoder = "fused"', 'encoder = "eye"')
    with pytest.raises(SettingsError, match=r"over features, and its encoder 'eye'.* reads text"):
        shop.settings()


def test_a_circle_of_two(shop: Shop) -> None:
    shop.over = '["offers"]'
    shop.keys = '[features.offers]\nover = ["products"]\nencoder = "fused"\n'
    shop.configure()
    with pytest.raises(SettingsError, match="circle: products over offers over products"):
        shop.settings()


@pytest.mark.parametrize(
    ("attribute", "value", "error", "said"),
    [
        ("over", '["notes", { feature = "photos", id = "produkt" }]', SettingsError,
         "names the column 'produkt' of photos, which keeps none of that name; did you mean"),
        ("over", '["notes", { feature = "photos", id = "product", keep = ["label"] }]',
         SettingsError, "names the column 'label' of photos"),
        ("fuse", "method = 'mean'", EncoderUsageError, "needs parts of one space"),
    ],
)  # fmt: skip
def test_what_only_the_store_can_tell(
    shop: Shop, attribute: str, value: str, error: type[Exception], said: str
) -> None:
    setattr(shop, attribute, value)
    with pytest.raises(error, match=said):
        shop.bring_up()


def test_a_part_without_a_version(shop: Shop) -> None:
    shop.run(name="notes")
    with pytest.raises(UsageError, match="over photos, which has no live version yet; run"):
        pipeline.plan(shop.settings(), "products", Silent())


def test_a_part_of_chunks(shop: Shop) -> None:
    shop.encoder = {"kind": "phrases", "log": str(shop.root / "encoded.jsonl")}
    shop.configure()
    with pytest.raises(UsageError, match=r"over notes, whose rows are chunks of records.*pool"):
        shop.bring_up()
