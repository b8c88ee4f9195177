"""Searching a feature over others by queries of its parts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from flows.cli import run_command
from flows.config.settings import SettingsError
from flows.output.progress import Silent
from flows.pipeline import stages as pipeline
from flows.searching.queries import SearchError
from flows.searching.search import search
from flows.searching.search_parts import search as search_by_parts
from tests.flows.project import vector
from tests.flows.shop import unit

if TYPE_CHECKING:
    from tests.flows.shop import Shop


TEXTS = ("wheel", "grain", "flour", "mill", "stone", "oat", "rye")
CAPTIONS = ("red", "blue", "green", "grey", "pink", "teal", "gold")


@pytest.fixture
def searched(shop: Shop) -> Shop:
    shop.write([(f"r{i}", text, "x") for i, text in enumerate(TEXTS)])
    shop.photos([(f"p{i}", f"r{i}", text, "", "y") for i, text in enumerate(CAPTIONS)])
    shop.bring_up()
    return shop


def ids(found: Any) -> list[str]:  # noqa: ANN401 - pyarrow ships no types
    return list(found["record_id"].to_pylist())


def distances(query: tuple[str, str], weights: tuple[float, float] = (1.0, 1.0)) -> Any:  # noqa: ANN401 - an array
    """The weighted sums of squared distances of the parts, which the tables are to reproduce."""
    one = [((unit(query[0], 8) - unit(text, 8)) ** 2).sum() for text in TEXTS]
    other = [((unit(query[1], 5) - unit(text, 5)) ** 2).sum() for text in CAPTIONS]
    return weights[0] * np.array(one) + weights[1] * np.array(other)


def test_by_id(searched: Shop) -> None:
    found = search(searched.settings(), "products", "id", "r2", 10)
    expected = distances((TEXTS[2], CAPTIONS[2]))
    order = [i for i in np.argsort(expected).tolist() if i != 2]
    assert ids(found) == [f"r{i}" for i in order]
    np.testing.assert_allclose(found["distance"].to_numpy(), expected[order], atol=1e-5)


def test_features_over_the_same_parts_may_share_their_space(searched: Shop) -> None:
    searched.keys = (
        f"[features.offers]\nover = {searched.over}\nencoder = 'fused'\n"
        "shares_space_with = 'products'\n"
    )
    searched.bring_up("offers")
    found = search(searched.settings(), "offers", "id", "r2", 10, of="products")
    assert ids(found)[0] == "r2"
    assert len(found) == len(TEXTS)
    searched.keys = searched.keys.replace(searched.over, '["notes"]')
    searched.configure()
    with pytest.raises(SettingsError, match="'fused' and 'fused' have no space in common"):
        pipeline.plan(searched.settings(), "offers", Silent())


def test_a_text_is_compared_with_each_part_of_texts(searched: Shop) -> None:
    found = search(searched.settings(), "products", "text", "spoke", 10)
    expected = distances(("spoke", "spoke"))
    assert ids(found) == [f"r{i}" for i in np.argsort(expected)]
    np.testing.assert_allclose(np.sort(expected), found["distance"].to_numpy(), atol=1e-5)


@pytest.mark.parametrize("require", ["all", "any"])
def test_one_part_ranks_as_its_own_feature_does(shop: Shop, require: str) -> None:
    shop.require = require
    shop.over = '["notes", "rows"]'
    shop.fuse = "weights = { notes = 0.01 }"
    shop.keys = TABLE
    shop.write([(f"r{i}", text, "x") for i, text in enumerate(TEXTS)])
    rows = "".join(f"r{i},{i * i},{i % 3}\n" for i in range(1, 9))
    (shop.root / "rows.csv").write_text("id,price,stock\n" + rows, encoding="utf-8")
    shop.bring_up("notes", "rows", "products")
    settings = shop.settings()
    for part, modality, query in (
        ("notes", "text", "spoke"),
        ("rows", "row", '{"price": 11, "stock": 1}'),
    ):
        own = ids(search(settings, part, modality, query, 20))
        found = ids(search(settings, "products", modality, query, 20))
        assert found == [i for i in own if i in set(found)]
        assert len(found) == (6 if require == "all" else len(own))
    both = {"text": "spoke", "row": '{"price": 11, "stock": 1}'}
    found = search_by_parts(settings, "products", both, 3)
    assert len(found) == 3
    assert found.column_names[:2] == ["record_id", "distance"]


TABLE = """
[sources.rows]
kind = "table"
path = "rows.csv"
id = "id"

[encoders.rows]
kind = "tabular"

[features.rows]
source = "rows"
encoder = "rows"
"""


def test_an_average_is_searched_in_the_space_of_its_parts(shop: Shop) -> None:
    shop.over = '["notes", { feature = "captions", id = "product" }]'
    shop.fuse = "method = 'mean'"
    shop.keys = '[features.captions]\nsource = "photos"\nencoder = "mill"\n'
    shop.bring_up("notes", "captions", "products")
    settings = shop.settings()
    [row] = search(settings, "products", "text", "wheel", 1).to_pylist()
    mean = (unit("wheel", 8) + unit("red", 8)) / 2
    assert row["record_id"] == "a"
    cosine = mean @ unit("wheel", 8) / np.linalg.norm(mean)
    assert row["distance"] == pytest.approx(1 - cosine, abs=1e-5)
    np.testing.assert_allclose(vector(shop.rows("products")["a"]), mean, atol=1e-6)


def test_what_no_part_takes(searched: Shop) -> None:
    settings = searched.settings()
    with pytest.raises(SearchError, match=r"no part .* by row; its parts: notes \(--text\)"):
        search(settings, "products", "row", "{}", 3)
    with pytest.raises(SearchError, match="notes is not over other features"):
        search_by_parts(settings, "notes", {"text": "x", "row": "{}"}, 3)


@pytest.mark.parametrize("k", [0, -1])
def test_fewer_than_one_record(searched: Shop, k: int) -> None:
    with pytest.raises(SearchError, match=f"-k must be at least 1, got {k}"):
        search_by_parts(searched.settings(), "products", {"text": "wheel"}, k)


def test_several_queries_on_the_command_line(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.over = '["notes", "rows"]'
    shop.keys = TABLE
    (shop.root / "rows.csv").write_text("id,price\na,1\nb,2\nc,9\n", encoding="utf-8")
    shop.bring_up("notes", "rows", "products")
    conf = str(shop.settings().conf)
    asked = ["--text", "wheel", "--row", '{"price": 1}']
    assert run_command(["search", "products", *asked, "--json", "--conf", conf]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (first["record_id"], first["distance"]) == ("a", pytest.approx(0, abs=1e-5))
    assert run_command(["search", "notes", *asked, "--conf", conf]) == 2
    assert run_command(["search", "products", *asked, "--id", "a", "--conf", conf]) == 2
